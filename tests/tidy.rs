//! The floors of the house, checked: what may import what, where SQL, frames, keys and FHIR may stand, how long a file may grow,
//! and what README and CI promise. Runs on the text of the tree alone: `cargo test --test tidy`.
//!
//! Each rule is a plain function from sources to sentences, proved on small bad examples beside it, so that no rule is one that
//! cannot fail. A rule in the way of good work is to be changed here, in a change of its own that says why.

#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/pages.rs"]
mod pages;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/places.rs"]
mod places;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tables.rs"]
mod tables;
#[path = "tidy/taste.rs"]
mod taste;

use source::Tree;

/// Fails with every finding on a line of its own, after the rule in one sentence.
#[track_caller]
fn holds(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "\n{rule}\n\n  {}\n", findings.join("\n  "));
}

#[test]
fn there_is_something_to_check() {
    let tree = Tree::of_this_project();
    let known = ["src/lib.rs", "src/main.rs", "src/kernel/base/world.rs"];
    for path in known {
        assert!(
            tree.sources.iter().any(|source| source.path == path),
            "{path} was not read: is the walk of the tree broken?"
        );
    }
}

#[test]
fn imports_go_down_only() {
    holds(
        "Imports go down: interfaces -> features -> kernel; in the kernel live -> engine -> {log, policy} -> {wire, crypto, store} -> base, never sideways.",
        &floors::imports_go_down(&Tree::of_this_project().sources),
    );
}

#[test]
fn features_meet_only_through_their_faces() {
    holds(
        "A feature uses another one only through its mod.rs: `crate::features::x::Name`, never `crate::features::x::sql::Name`.",
        &floors::features_through_faces(&Tree::of_this_project().sources),
    );
}

#[test]
fn only_crypto_knows_ring() {
    holds(
        "Cryptography stands in kernel/crypto; kernel/base/world.rs takes randomness from ring and nothing else does.",
        &places::only_crypto_knows_ring(&Tree::of_this_project().sources),
    );
}

#[test]
fn only_the_edge_knows_sockets() {
    holds(
        "Only kernel/wire and interfaces know WebSocket frames (tungstenite).",
        &places::only_the_edge_knows_sockets(&Tree::of_this_project().sources),
    );
}

#[test]
fn only_the_chart_knows_fhir() {
    holds(
        "Only features/chart, a feature's chart.rs and care_plan's import know FHIR resources.",
        &places::only_the_chart_knows_fhir(&Tree::of_this_project().sources),
    );
}

#[test]
fn sql_stands_in_its_place() {
    holds(
        "SQL stands in sql.rs files, kernel/store and migrations/ only.",
        &places::sql_stands_in_its_place(&Tree::of_this_project().sources),
    );
}

#[test]
fn each_table_has_one_owner() {
    let tree = Tree::of_this_project();
    holds(
        "Each table of migrations/ is named by the SQL of one folder only.",
        &tables::each_table_has_one_owner(&tree.sources, &tree.migrations),
    );
}

#[test]
fn files_are_small() {
    holds("A file of src has at most 500 lines.", &taste::files_are_small(&Tree::of_this_project().sources));
}

#[test]
fn functions_are_small() {
    holds("A function of src has at most 70 lines.", &taste::functions_are_small(&Tree::of_this_project().sources));
}

#[test]
fn every_file_says_what_it_is() {
    holds(
        "Every file of src begins with a `//!` line that says what it is and what it may not know.",
        &taste::every_file_says_what_it_is(&Tree::of_this_project().sources),
    );
}

#[test]
fn lints_are_expected_never_allowed() {
    let tree = Tree::of_this_project();
    holds(
        "No `allow` of a lint, only `expect` with a reason.",
        &taste::no_allow(tree.sources.iter().chain(&tree.tests)),
    );
}

#[test]
fn nothing_is_left_unfinished() {
    let tree = Tree::of_this_project();
    holds("No stub macros and no ignored tests.", &taste::nothing_unfinished(tree.sources.iter().chain(&tree.tests)));
}

#[test]
fn nothing_unwraps_outside_tests() {
    holds(
        "No `unwrap` outside tests; `expect` states the invariant.",
        &taste::no_unwrap(&Tree::of_this_project().sources),
    );
}

#[test]
fn the_map_lists_every_feature() {
    let tree = Tree::of_this_project();
    holds(
        "ARCHITECTURE.md names each folder of src/features.",
        &pages::map_lists_features(&tree.sources, &tree.page("ARCHITECTURE.md")),
    );
}

#[test]
fn readme_and_ci_run_the_same_tests() {
    let tree = Tree::of_this_project();
    holds(
        "README's first shell block starts the demo, its second runs every test, and .ci/run calls that second command.",
        &pages::readme_and_ci_agree(&tree.page("README.md"), &tree.page(".ci/run")),
    );
}

#[test]
fn no_page_names_the_machine_it_was_written_on() {
    let tree = Tree::of_this_project();
    holds("No path of one machine stands in the tree.", &pages::no_machine_paths(&tree.texts));
}
