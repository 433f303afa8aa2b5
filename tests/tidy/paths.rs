//! The paths a Rust file names: `use` trees spread out, and paths written in place, each resolved to the crate's root or to
//! the crate it comes from.

use crate::source::{Source, behind_closing, is_word};

/// One path a file names.
#[derive(Debug, PartialEq, Eq)]
pub struct Path {
    /// Byte offset where it stands.
    pub at: usize,
    /// Segments: from the crate's root when `of_crate`, else as written.
    pub segments: Vec<String>,
    /// Whether it names something of this crate.
    pub of_crate: bool,
}

/// Every path of the file.
pub fn paths(source: &Source) -> Vec<Path> {
    let (mut found, code) = use_paths(source);
    found.extend(inline_paths(&code));
    let modules = inline_modules(&source.code);
    for path in &mut found {
        resolve(path, &source.module(), &modules);
    }
    found
}

/// Paths of `use` items, and the code with those items blanked.
fn use_paths(source: &Source) -> (Vec<Path>, String) {
    let mut code = source.code.clone();
    let mut found = Vec::new();
    for at in source.words("use") {
        let end = source.code[at..].find(';').map_or(source.code.len(), |length| at + length);
        let tree = &source.code[at + 3..end];
        // `use<'a>` of precise capturing is no import.
        if tree.trim_start().starts_with('<') {
            continue;
        }
        let mut leaves = Vec::new();
        spread(tree, &[], &mut leaves);
        found.extend(leaves.into_iter().map(|segments| Path { at, segments, of_crate: false }));
        let blanks: String = source.code[at..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        if blanks.len() == end - at {
            code.replace_range(at..end, &blanks);
        }
    }
    (found, code)
}

/// Spreads `a::{b, c::{d, e as f}}` into `a::b`, `a::c::d`, `a::c::e`.
fn spread(tree: &str, before: &[String], leaves: &mut Vec<Vec<String>>) {
    for part in top_level_parts(tree) {
        let (head, group) = match part.find('{') {
            Some(open) => (&part[..open], Some(&part[open + 1..behind_closing(part, open) - 1])),
            None => (part, None),
        };
        let head = head.split(" as ").next().unwrap_or_default();
        let mut segments = before.to_vec();
        segments.extend(head.split("::").map(str::trim).filter(|segment| !segment.is_empty()).map(str::to_owned));
        match group {
            Some(group) => spread(group, &segments, leaves),
            None if segments.len() > before.len() => leaves.push(segments),
            None => {}
        }
    }
}

/// Splits at commas outside braces.
fn top_level_parts(tree: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0_usize, 0);
    for (at, byte) in tree.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(&tree[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&tree[from..]);
    parts
}

/// Paths of two segments and more written outside `use`.
fn inline_paths(code: &str) -> Vec<Path> {
    let bytes = code.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if !is_word(bytes[at]) {
            at += 1;
            continue;
        }
        let start = at;
        let mut segments = Vec::new();
        loop {
            let from = at;
            while at < bytes.len() && is_word(bytes[at]) {
                at += 1;
            }
            segments.push(code[from..at].to_owned());
            let more = code[at..].starts_with("::") && bytes.get(at + 2).copied().is_some_and(is_word);
            if !more {
                break;
            }
            at += 2;
        }
        if segments.len() > 1 && is_root(code, start) {
            found.push(Path { at: start, segments, of_crate: false });
        }
    }
    found
}

/// Whether the word at `start` begins its path: nothing before it, or a leading `::` of its own.
fn is_root(code: &str, start: usize) -> bool {
    let before = code[..start].trim_end();
    match before.strip_suffix("::") {
        Some(outer) => !outer.bytes().next_back().is_some_and(|byte| is_word(byte) || byte == b'>'),
        None => true,
    }
}

/// Inline `mod name { .. }`: name and byte range.
fn inline_modules(code: &str) -> Vec<(String, usize, usize)> {
    crate::source::words(code, "mod")
        .filter_map(|at| {
            let open = at + code[at..].find('{')?;
            let name = code[at + 3..open].trim();
            (!name.is_empty() && name.bytes().all(is_word)).then(|| (name.to_owned(), open, behind_closing(code, open)))
        })
        .collect()
}

/// Turns `crate::`, `self::` and `super::` into segments from the crate's root.
fn resolve(path: &mut Path, file: &[String], modules: &[(String, usize, usize)]) {
    let mut here = file.to_vec();
    here.extend(modules.iter().filter(|(_, from, to)| (*from..*to).contains(&path.at)).map(|(name, ..)| name.clone()));
    match path.segments[0].as_str() {
        "crate" => {
            path.segments.remove(0);
        }
        "self" => {
            here.extend(path.segments.drain(..).skip(1));
            path.segments = here;
        }
        "super" => {
            let ups = path.segments.iter().take_while(|segment| *segment == "super").count();
            here.truncate(here.len().saturating_sub(ups));
            here.extend(path.segments.drain(..).skip(ups));
            path.segments = here;
        }
        _ => return,
    }
    path.of_crate = true;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, text: &str) -> Vec<String> {
        paths(&Source::new(path, text))
            .into_iter()
            .map(|path| format!("{}{}", if path.of_crate { "/" } else { "" }, path.segments.join("::")))
            .collect()
    }

    #[test]
    fn use_trees_are_spread_out() {
        let found =
            of("src/kernel/log/page.rs", "pub use crate::kernel::{base::{Micros, World as W}, store};\nuse std::fmt;");
        assert_eq!(found, ["/kernel::base::Micros", "/kernel::base::World", "/kernel::store", "std::fmt"]);
    }

    #[test]
    fn relative_paths_are_resolved() {
        assert_eq!(of("src/kernel/log/page.rs", "use super::super::policy::Right;"), ["/kernel::policy::Right"]);
        assert_eq!(of("src/kernel/log/mod.rs", "use self::page::Page;"), ["/kernel::log::page::Page"]);
        assert_eq!(of("src/kernel/log/page.rs", "mod tests { use super::super::verify; }"), ["/kernel::log::verify"]);
    }

    #[test]
    fn paths_in_place_are_found() {
        let found = of(
            "src/a.rs",
            "fn f() -> crate::features::tasks::Task { ::ring::digest::digest(x.y::<u8>()); <A as B>::c() }",
        );
        assert_eq!(found, ["/features::tasks::Task", "ring::digest::digest"]);
    }

    #[test]
    fn comments_and_texts_name_nothing() {
        assert!(of("src/a.rs", "// crate::kernel::live::Hub\nconst A: &str = \"crate::kernel::live\";").is_empty());
    }
}
