//! What the pages promise: the map is whole, README and CI run the same tests, nothing names the machine it was written on.

use std::collections::BTreeSet;

use crate::source::{Source, is_word};

/// Every feature that the map leaves out.
pub fn map_lists_features(sources: &[Source], map: &str) -> Vec<String> {
    let features: BTreeSet<String> = sources
        .iter()
        .filter_map(|source| {
            source.path.strip_prefix("src/features/")?.split_once('/').map(|(name, _)| name.to_owned())
        })
        .collect();
    let left_out = features
        .into_iter()
        .filter(|name| !map.contains(&format!("features/{name}")) && !map.contains(&format!("{name}/")));
    left_out.map(|name| format!("ARCHITECTURE.md says nothing of features/{name}")).collect()
}

/// The line that starts the demo, as the first fenced shell block of README has it.
const DEMO: &str = "cargo run --release -- demo";

/// What is wrong with README's first two shell blocks and with .ci/run.
pub fn readme_and_ci_agree(readme: &str, ci: &str) -> Vec<String> {
    let blocks = shell_blocks(readme);
    let mut findings = Vec::new();
    if blocks.first().map(String::as_str) != Some(DEMO) {
        findings.push(format!("README's first shell block is not exactly `{DEMO}`"));
    }
    match blocks.get(1).map(|block| block.lines().collect::<Vec<_>>()).as_deref() {
        Some([command]) => {
            if !ci.lines().any(|line| line.trim().trim_start_matches("exec ").trim_start_matches("./") == *command) {
                findings.push(format!(".ci/run does not call `{command}`"));
            }
        }
        _ => findings.push("README's second shell block is not one command that runs every test".into()),
    }
    findings
}

/// The fenced shell blocks of a page.
fn shell_blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(bool, Vec<&str>)> = None;
    for line in page.lines() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                open = Some((["sh", "bash", "shell", "console"].contains(&language.trim()), Vec::new()))
            }
            (Some(_), Some(_)) => {
                if let Some((true, lines)) = open.take() {
                    blocks.push(lines.join("\n").trim().to_owned());
                }
                open = None;
            }
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => {}
        }
    }
    blocks
}

/// Folders of the machine this was written on; spelt in two parts, so that this file names none.
const MACHINE: &[&str] = &[concat!("/wo", "rk/"), concat!("/tm", "p/"), concat!("/ro", "ot/")];

/// Every line that names a folder of one machine.
pub fn no_machine_paths(texts: &[(String, String)]) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in texts.iter().filter(|(path, _)| path != "Cargo.lock") {
        for (number, line) in text.lines().enumerate() {
            // `example.org/work/` is an address, not a folder.
            let starts = |at: usize| !line[..at].bytes().next_back().is_some_and(|byte| is_word(byte) || byte == b'.');
            if let Some(folder) = MACHINE.iter().find(|folder| line.match_indices(*folder).any(|(at, _)| starts(at))) {
                findings.push(format!("{path}:{}: names {folder}", number + 1));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_is_not_on_the_map_is_found() {
        let sources = [Source::new("src/features/mod.rs", ""), Source::new("src/features/tasks/sql.rs", "")];
        assert_eq!(map_lists_features(&sources, "features/channels").len(), 1);
        assert!(map_lists_features(&sources, "* `features/tasks`: work").is_empty());
    }

    fn readme(first: &str, second: &str) -> String {
        format!("# Name\n```json\n{{}}\n```\n```sh\n{first}\n```\ntext\n```sh\n{second}\n```\n")
    }

    #[test]
    fn readme_and_ci_that_differ_are_found() {
        let ci = "#!/bin/sh\ntests/run\n";
        assert!(readme_and_ci_agree(&readme(DEMO, "tests/run"), ci).is_empty());
        assert!(readme_and_ci_agree(&readme(DEMO, "tests/run"), "./tests/run").is_empty());
        assert_eq!(readme_and_ci_agree(&readme("cargo run", "tests/run"), ci).len(), 1);
        assert_eq!(readme_and_ci_agree(&readme(DEMO, "cargo test"), ci).len(), 1);
        assert_eq!(readme_and_ci_agree(&readme(DEMO, "cargo build\ntests/run"), ci).len(), 1);
        assert_eq!(readme_and_ci_agree(&readme(DEMO, "tests/run"), "# tests/run\n").len(), 1);
        assert_eq!(readme_and_ci_agree("", "").len(), 2);
    }

    #[test]
    fn a_path_of_this_machine_is_found() {
        let text = |line: String| no_machine_paths(&[("docs/a.md".into(), line)]).len();
        assert_eq!(text(format!("see {}shared", MACHINE[0])), 1);
        assert_eq!(text(format!("cd {}x", MACHINE[1])), 1);
        assert_eq!(text(format!("https://example.org{}x", MACHINE[0])), 0);
        assert_eq!(text("a frame/work is none".into()), 0);
    }
}
