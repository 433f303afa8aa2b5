//! Small files, small functions, a head on each file, nothing silenced and nothing left for later.

use crate::source::{Source, behind_closing};

/// Past this a file holds a second thing.
const FILE_LINES_MAX: usize = 500;
/// Past this a function does a second thing.
const FUNCTION_LINES_MAX: usize = 70;

/// Every file that is too long.
pub fn files_are_small(sources: &[Source]) -> Vec<String> {
    let long = sources.iter().filter(|source| source.text.lines().count() > FILE_LINES_MAX);
    long.map(|source| {
        format!("{}: {} lines; what is the second thing in it?", source.path, source.text.lines().count())
    })
    .collect()
}

/// Every function that is too long, from its `fn` to its closing brace.
pub fn functions_are_small(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        for at in source.words("fn") {
            let Some((name, end)) = function(&source.code, at) else {
                continue;
            };
            let lines = source.line(end - 1) - source.line(at) + 1;
            if lines > FUNCTION_LINES_MAX {
                findings.push(format!("{}: {name} has {lines} lines", source.place(at)));
            }
        }
    }
    findings
}

/// Name and end of the function whose `fn` stands at `at`; none for a type `fn(..)` or a declaration without a body.
fn function(code: &str, at: usize) -> Option<(&str, usize)> {
    let rest = code[at + 2..].trim_start();
    let name = rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().filter(|name| !name.is_empty())?;
    let mut from = at;
    for (offset, byte) in code.bytes().enumerate().skip(at) {
        if offset < from {
            continue;
        }
        match byte {
            b'(' | b'[' => from = behind_closing(code, offset),
            b';' => return None,
            b'{' => return Some((name, behind_closing(code, offset))),
            _ => {}
        }
    }
    None
}

/// Every file without a head.
pub fn every_file_says_what_it_is(sources: &[Source]) -> Vec<String> {
    let headless = sources.iter().filter(|source| {
        let first = source.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        first.strip_prefix("//!").is_none_or(|words| words.trim().len() <= 10)
    });
    headless.map(|source| format!("{}: does not begin with `//!`", source.path)).collect()
}

/// Every lint that is allowed rather than expected.
pub fn no_allow<'a>(sources: impl Iterator<Item = &'a Source>) -> Vec<String> {
    sources.flat_map(|source| places_of(source, &["#[allow(", "#![allow(", "[warn("])).collect()
}

/// Every stub and every test that is not run.
pub fn nothing_unfinished<'a>(sources: impl Iterator<Item = &'a Source>) -> Vec<String> {
    sources.flat_map(|source| places_of(source, &["todo!", "unimplemented!", "dbg!", "#[ignore"])).collect()
}

/// Every `unwrap` that ships: the method without arguments (unwrapping a key takes some), or the function of `Option` and `Result`.
pub fn no_unwrap(sources: &[Source]) -> Vec<String> {
    let panics = |code: &str, at: usize| {
        let (before, behind) = (code[..at].trim_end(), code[at + "unwrap".len()..].trim_start());
        let called =
            before.ends_with('.') && behind.strip_prefix('(').is_some_and(|rest| rest.trim_start().starts_with(')'));
        called || before.ends_with("Option::") || before.ends_with("Result::")
    };
    let shipped = |source: &Source| -> Vec<String> {
        let calls = source.words("unwrap").filter(|at| !source.is_test(*at) && panics(&source.code, *at));
        calls.map(|at| format!("{}: unwrap", source.place(at))).collect()
    };
    sources.iter().flat_map(shipped).collect()
}

fn places_of(source: &Source, marks: &[&str]) -> Vec<String> {
    let places = |mark: &str| -> Vec<String> {
        let hits = source
            .code
            .match_indices(mark)
            .filter(|(at, _)| !source.code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
        hits.map(|(at, _)| format!("{}: {mark}", source.place(at))).collect()
    };
    marks.iter().flat_map(|mark| places(mark)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_found() {
        let lines = |count: usize| [Source::new("src/a.rs", &"// a\n".repeat(count))];
        assert!(files_are_small(&lines(500)).is_empty());
        assert_eq!(files_are_small(&lines(501)).len(), 1);
    }

    #[test]
    fn a_long_function_is_found() {
        let body = |count: usize| {
            format!("fn short() {{}}\nfn long(a: [u8; 2]) -> u8 {{\n{}}}\nfn next() {{}}\n", "    a();\n".repeat(count))
        };
        assert!(functions_are_small(&[Source::new("src/a.rs", &body(68))]).is_empty());
        let found = functions_are_small(&[Source::new("src/a.rs", &body(69))]);
        assert_eq!(found, ["src/a.rs:2: long has 71 lines"]);
    }

    #[test]
    fn types_and_declarations_are_no_functions() {
        let text = format!("struct A(fn(u8) -> u8);\ntrait B {{ fn c(&self);\n{}}}", "\n".repeat(80));
        assert!(functions_are_small(&[Source::new("src/a.rs", &text)]).is_empty());
    }

    #[test]
    fn a_file_without_a_head_is_found() {
        let heads = |text: &str| every_file_says_what_it_is(&[Source::new("src/a.rs", text)]).len();
        assert_eq!(heads("use std::fmt;\n"), 1);
        assert_eq!(heads("//!\nuse std::fmt;\n"), 1);
        assert_eq!(heads(""), 1);
        assert_eq!(heads("//! What this file is.\n"), 0);
    }

    #[test]
    fn an_allowed_lint_is_found() {
        let allow = |text: &str| no_allow([Source::new("src/a.rs", text)].iter()).len();
        assert_eq!(allow("#[allow(dead_code)]\nfn a() {}"), 1);
        assert_eq!(allow("#![allow(dead_code)]"), 1);
        assert_eq!(allow("#[expect(dead_code, reason = \"#[allow(\")]\n// #[allow(\nfn a() {}"), 0);
    }

    #[test]
    fn stubs_and_ignored_tests_are_found() {
        let stubs = |text: &str| nothing_unfinished([Source::new("src/a.rs", text)].iter()).len();
        assert_eq!(stubs("fn a() { todo!() }"), 1);
        assert_eq!(stubs("fn a() { unimplemented!(\"b\") }"), 1);
        assert_eq!(stubs("#[test]\n#[ignore]\nfn a() {}"), 1);
        assert_eq!(stubs("fn a() { my_todo!() } // todo!"), 0);
    }

    #[test]
    fn an_unwrap_that_ships_is_found() {
        let unwraps = |text: &str| no_unwrap(&[Source::new("src/a.rs", text)]).len();
        assert_eq!(unwraps("fn a() { b().unwrap() }"), 1);
        assert_eq!(unwraps("fn a() { b()\n    .unwrap() }"), 1);
        assert_eq!(unwraps("fn a() { b.map(Option::unwrap) }"), 1);
        assert_eq!(
            unwraps("fn a() { b().unwrap_or(c); keys.unwrap_or_default(); unwrap(blob); provider.unwrap(&aad, blob) }"),
            0
        );
        assert_eq!(unwraps("#[cfg(test)]\nmod tests { fn a() { b().unwrap() } }"), 0);
    }
}
