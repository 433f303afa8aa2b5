//! What may import what. The orders below are the map of ARCHITECTURE.md as data.

use crate::paths::{Path, paths};
use crate::source::Source;

/// The floors of the kernel, from the ground. A module may import from lower numbers and from itself, never from its own number.
const KERNEL: &[(&str, u8)] =
    &[("base", 0), ("wire", 1), ("crypto", 1), ("store", 1), ("log", 2), ("policy", 2), ("engine", 3), ("live", 4)];

/// The features, in the order in which they may know each other.
const FEATURES: &[(&str, u8)] = &[
    ("identity", 0),
    ("patients", 1),
    ("care_plan", 2),
    ("files", 3),
    ("channels", 4),
    ("tasks", 5),
    ("notes", 6),
    ("handoffs", 6),
    ("checkins", 6),
    ("intake", 7),
    ("board", 8),
    ("discharge", 9),
    ("search", 10),
    ("chart", 11),
];

/// Where a module stands.
#[derive(Debug, PartialEq, Eq)]
enum Shelf<'a> {
    /// `lib.rs`, `main.rs`, `server.rs`: puts everything together, may know everything.
    Assembly,
    /// `interfaces/..`, with the name of the interface.
    Interface(Option<&'a str>),
    /// `features/mod.rs`: the registry, knows every feature.
    Registry,
    /// `features/<name>/..`
    Feature(&'a str),
    /// `kernel/<name>/..`; none for `kernel/mod.rs`.
    Kernel(Option<&'a str>),
}

fn shelf<'a>(module: &[&'a str]) -> Shelf<'a> {
    match module {
        ["kernel", rest @ ..] => Shelf::Kernel(rest.first().copied()),
        ["features", name, ..] if name.starts_with(|c: char| c.is_ascii_lowercase()) => Shelf::Feature(name),
        ["features", ..] => Shelf::Registry,
        ["interfaces", rest @ ..] => Shelf::Interface(rest.first().copied()),
        _ => Shelf::Assembly,
    }
}

/// Every import that does not go down.
pub fn imports_go_down(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        let module = source.module();
        let module: Vec<&str> = module.iter().map(String::as_str).collect();
        let from = shelf(&module);
        if let Some(unknown) = not_on_the_map(&from) {
            findings.push(format!("{}: {unknown}", source.path));
            continue;
        }
        for path in paths(source).iter().filter(|path| path.of_crate) {
            // A test may ask for a whole engine; what is shipped may not.
            if path.segments[0] == "testing" && source.is_test(path.at) {
                continue;
            }
            if let Some(reason) = goes_up(&from, path) {
                findings.push(format!(
                    "{}: imports crate::{}: {reason}",
                    source.place(path.at),
                    path.segments.join("::")
                ));
            }
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

fn floor(floors: &[(&str, u8)], name: &str) -> Option<u8> {
    floors.iter().find(|(known, _)| *known == name).map(|(_, floor)| *floor)
}

fn not_on_the_map(shelf: &Shelf<'_>) -> Option<String> {
    match shelf {
        Shelf::Kernel(Some(name)) if floor(KERNEL, name).is_none() => {
            Some(format!("kernel/{name} has no floor; give it one in tests/tidy/floors.rs and ARCHITECTURE.md"))
        }
        Shelf::Feature(name) if floor(FEATURES, name).is_none() => Some(format!(
            "features/{name} has no place in the order; give it one in tests/tidy/floors.rs and ARCHITECTURE.md"
        )),
        _ => None,
    }
}

/// Why `path` may not be named from `from`; none when it may.
fn goes_up(from: &Shelf<'_>, path: &Path) -> Option<String> {
    let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
    let to = shelf(&segments);
    // A path of one word is the crate's root itself: a macro that a lower floor exports.
    if to == Shelf::Assembly && segments.len() < 2 {
        return None;
    }
    match (from, &to) {
        (Shelf::Assembly, _)
        | (Shelf::Interface(_), Shelf::Interface(_) | Shelf::Registry | Shelf::Feature(_) | Shelf::Kernel(_)) => None,
        // `serve` and `demo` are typed at the command line, which therefore starts the server.
        (Shelf::Interface(Some("cli")), Shelf::Assembly) => None,
        (Shelf::Interface(_), Shelf::Assembly) => {
            Some("an interface does not know how the server is put together".into())
        }
        (Shelf::Registry, Shelf::Feature(_) | Shelf::Kernel(_) | Shelf::Registry) => None,
        (Shelf::Registry | Shelf::Feature(_), Shelf::Interface(_) | Shelf::Assembly) => {
            Some("a feature knows no interface".into())
        }
        (Shelf::Feature(_), Shelf::Registry) => Some("a feature does not know the list it stands in".into()),
        (Shelf::Feature(_), Shelf::Kernel(_)) => None,
        (Shelf::Feature(here), Shelf::Feature(there)) => sideways(FEATURES, here, there),
        (Shelf::Kernel(_), Shelf::Interface(_) | Shelf::Registry | Shelf::Feature(_) | Shelf::Assembly) => {
            Some("the kernel knows nothing above it".into())
        }
        (Shelf::Kernel(None), Shelf::Kernel(_)) => None,
        (Shelf::Kernel(Some(_)), Shelf::Kernel(None)) => Some("name the floor: crate::kernel::<floor>::..".into()),
        (Shelf::Kernel(Some(here)), Shelf::Kernel(Some(there))) => sideways(KERNEL, here, there),
    }
}

/// Why `here` may not import from `there` of the same shelf.
fn sideways(floors: &[(&str, u8)], here: &str, there: &str) -> Option<String> {
    if here == there {
        return None;
    }
    let Some(target) = floor(floors, there) else {
        return Some(format!("there is no {there} on the map"));
    };
    match floor(floors, here)?.cmp(&target) {
        std::cmp::Ordering::Greater => None,
        std::cmp::Ordering::Equal => Some(format!("{here} and {there} stand side by side and do not know each other")),
        std::cmp::Ordering::Less => Some(format!("{there} stands above {here}")),
    }
}

/// Every path of one feature into the inside of another.
pub fn features_through_faces(sources: &[Source]) -> Vec<String> {
    let inner = |feature: &str, module: &str| {
        let (file, folder) =
            (format!("src/features/{feature}/{module}.rs"), format!("src/features/{feature}/{module}/"));
        sources.iter().any(|source| source.path == file || source.path.starts_with(&folder))
    };
    let mut findings = Vec::new();
    for source in sources {
        let module = source.module();
        let ["features", here, ..] = module.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
            continue;
        };
        for path in paths(source).iter().filter(|path| path.of_crate) {
            if let ["features", there, name, rest @ ..] =
                &path.segments.iter().map(String::as_str).collect::<Vec<_>>()[..]
                && *there != here
                && (inner(there, name) || (!rest.is_empty() && name.starts_with(|c: char| c.is_ascii_lowercase())))
            {
                let place = source.place(path.at);
                findings.push(format!(
                    "{place}: crate::{} reaches behind features/{there}/mod.rs",
                    path.segments.join("::")
                ));
            }
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ups(path: &str, text: &str) -> usize {
        imports_go_down(&[Source::new(path, text)]).len()
    }

    #[test]
    fn up_is_found() {
        assert_eq!(ups("src/kernel/base/id.rs", "use crate::kernel::store::Db;"), 1);
        assert_eq!(ups("src/kernel/store/db.rs", "fn f(x: &crate::kernel::engine::Engine) {}"), 1);
        assert_eq!(ups("src/kernel/engine/mod.rs", "use super::live::Hub;"), 1);
        assert_eq!(ups("src/kernel/engine/mod.rs", "use crate::features::tasks::Task;"), 1);
        assert_eq!(ups("src/features/tasks/mod.rs", "use crate::interfaces::http::Route;"), 1);
        assert_eq!(ups("src/features/tasks/mod.rs", "use crate::features::FEATURES;"), 1);
        assert_eq!(ups("src/features/channels/mod.rs", "use super::tasks::Task;"), 1);
        assert_eq!(ups("src/interfaces/http/mod.rs", "use crate::server::Server;"), 1);
        assert_eq!(ups("src/features/tasks/mod.rs", "use crate::testing::House;"), 1);
    }

    #[test]
    fn sideways_is_found() {
        assert_eq!(ups("src/kernel/log/mod.rs", "use crate::kernel::{base::Micros, policy::Permit};"), 1);
        assert_eq!(ups("src/kernel/crypto/mod.rs", "use crate::kernel::store::Tx;"), 1);
        assert_eq!(ups("src/features/notes/mod.rs", "use crate::features::handoffs::Handoff;"), 1);
    }

    #[test]
    fn a_folder_without_a_floor_is_found() {
        assert_eq!(ups("src/kernel/helpers/mod.rs", ""), 1);
        assert_eq!(ups("src/features/billing/mod.rs", ""), 1);
        assert_eq!(ups("src/kernel/live/mod.rs", "use crate::kernel::helpers::X;"), 1);
    }

    #[test]
    fn down_is_allowed() {
        assert_eq!(
            ups(
                "src/kernel/live/hub.rs",
                "use crate::kernel::{base::World, engine::Outlet, wire};\nuse super::session::Session;"
            ),
            0
        );
        assert_eq!(
            ups(
                "src/features/tasks/mod.rs",
                "use crate::features::channels::Message;\nuse crate::kernel::engine::Feature;\nmod sql;\nuse self::sql::Row;"
            ),
            0
        );
        assert_eq!(ups("src/features/mod.rs", "pub mod tasks;\nuse self::tasks::Tasks;"), 0);
        assert_eq!(ups("src/interfaces/cli/serve.rs", "use crate::server::Server;"), 0);
        assert_eq!(ups("src/server.rs", "use crate::{interfaces::http, kernel::live::Hub};"), 0);
        assert_eq!(ups("src/kernel/log/sql.rs", "crate::statements! {}\nuse crate::on_db;"), 0);
        assert_eq!(ups("src/features/tasks/mod.rs", "#[cfg(test)]\nmod tests { use crate::testing::House; }"), 0);
    }

    #[test]
    fn the_inside_of_a_feature_is_its_own() {
        let sources = |text: &str| {
            [Source::new("src/features/tasks/mod.rs", text), Source::new("src/features/channels/sql.rs", "")]
        };
        assert_eq!(features_through_faces(&sources("use crate::features::channels::sql::page;")).len(), 1);
        assert_eq!(features_through_faces(&sources("use crate::features::channels::sql;")).len(), 1);
        assert_eq!(features_through_faces(&sources("use super::channels::model::Kind;")).len(), 1);
        assert!(
            features_through_faces(&sources(
                "use crate::features::channels::{Kind::Staff, find};\nuse self::sql::row;"
            ))
            .is_empty()
        );
    }
}
