//! The tree as text: files, and a Rust file split into code, string literals and the parts that are tests.
//!
//! A reader of Rust by hand, only as deep as the rules need: comments and literals are blanked, so that brackets can be counted
//! and words found without meeting prose.

use std::fs;
use std::path::{Path, PathBuf};

/// All that the rules look at, read once.
pub struct Tree {
    /// Rust files of `src`.
    pub sources: Vec<Source>,
    /// Rust files of `tests`.
    pub tests: Vec<Source>,
    /// Path and text of each file of `migrations`.
    pub migrations: Vec<(String, String)>,
    /// Path and text of every file that is text.
    pub texts: Vec<(String, String)>,
}

impl Tree {
    /// The tree this test was built from.
    pub fn of_this_project() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut texts = Vec::new();
        read_texts(root, root, &mut texts);
        texts.sort();
        let rust = |folder: &str| -> Vec<Source> {
            let files = texts.iter().filter(|(path, _)| path.starts_with(folder) && path.ends_with(".rs"));
            files.map(|(path, text)| Source::new(path, text)).collect()
        };
        let (mut sources, tests) = (rust("src/"), rust("tests/"));
        mark_test_files(&mut sources);
        let migrations = texts.iter().filter(|(path, _)| path.starts_with("migrations/")).cloned().collect();
        Self { sources, tests, migrations, texts }
    }

    /// The text of one file, empty when it is missing.
    pub fn page(&self, path: &str) -> String {
        self.texts.iter().find(|(name, _)| name == path).map(|(_, text)| text.clone()).unwrap_or_default()
    }
}

/// Folders that are built, fetched or kept by a running server, never written by us.
const NOT_OURS: &[&str] = &["target", ".git", "node_modules", "carethread-data", "dist"];

fn read_texts(root: &Path, folder: &Path, texts: &mut Vec<(String, String)>) {
    let entries = fs::read_dir(folder).expect("a folder of the tree can be listed");
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("an entry of the tree can be read").path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            read_texts(root, &path, texts);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let relative = path.strip_prefix(root).expect("the walk stays below its root");
            texts.push((relative.to_string_lossy().replace('\\', "/"), text));
        }
    }
}

/// A string literal: where it starts, and what it holds.
pub struct Literal {
    /// Byte offset of the opening quote.
    pub at: usize,
    /// The text between the quotes, escapes untouched.
    pub text: String,
}

/// One Rust file.
pub struct Source {
    /// Path from the root of the project, with `/`.
    pub path: String,
    /// As read.
    pub text: String,
    /// Same length as `text`; comments and the insides of literals are spaces.
    pub code: String,
    /// Every string literal.
    pub literals: Vec<Literal>,
    /// Byte ranges that are compiled for tests only.
    tests: Vec<(usize, usize)>,
}

impl Source {
    /// Reads `text` as Rust.
    pub fn new(path: &str, text: &str) -> Self {
        let (code, literals) = blank(text);
        let tests = test_ranges(&code);
        Self { path: path.to_owned(), text: text.to_owned(), code, literals, tests }
    }

    /// The line of a byte offset, from 1.
    pub fn line(&self, at: usize) -> usize {
        self.text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// Whether the byte at `at` is compiled for tests only.
    pub fn is_test(&self, at: usize) -> bool {
        self.tests.iter().any(|(from, to)| (*from..*to).contains(&at))
    }

    /// `path:line`, as an editor opens it.
    pub fn place(&self, at: usize) -> String {
        format!("{}:{}", self.path, self.line(at))
    }

    /// The folder whose rules the file follows: `kernel/store`, `features/tasks`, `interfaces/http`, or the file's own stem at the top.
    pub fn folder(&self) -> String {
        self.module().into_iter().take(2).collect::<Vec<_>>().join("/")
    }

    /// The module path below the crate: `src/kernel/base/id.rs` is `[kernel, base, id]`.
    pub fn module(&self) -> Vec<String> {
        let inner = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let mut parts: Vec<String> = inner.split('/').map(str::to_owned).collect();
        if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            parts.pop();
        }
        parts
    }

    /// Byte offsets where `word` stands as a whole word in code.
    pub fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        words(&self.code, word)
    }
}

/// Whether a byte can stand in an identifier.
pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Byte offsets where `word` stands as a whole word in `code`.
pub fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let (before, after) = (at.checked_sub(1).map(|i| bytes[i]), bytes.get(at + word.len()));
        !before.is_some_and(is_word) && !after.copied().is_some_and(is_word)
    })
}

/// The offset just behind the bracket that closes the one at `open`; the end of the text when none does.
pub fn behind_closing(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// Splits Rust into code with blanked comments and literals, and the string literals.
fn blank(text: &str) -> (String, Vec<Literal>) {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut literals = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => wipe(&mut code, at, line_end(bytes, at)),
            b'/' if bytes.get(at + 1) == Some(&b'*') => wipe(&mut code, at, comment_end(bytes, at)),
            b'"' => {
                let end = string_end(bytes, at);
                literals.push(Literal { at, text: inside(text, at + 1, end - 1) });
                wipe(&mut code, at + 1, end - 1) + 1
            }
            b'r' if !at.checked_sub(1).is_some_and(|i| is_word(bytes[i]) && !is_literal_prefix(bytes, i)) => {
                let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
                let quote = at + 1 + hashes;
                if bytes.get(quote) == Some(&b'"') {
                    let close = format!("\"{}", "#".repeat(hashes));
                    let end = text[quote + 1..].find(&close).map_or(bytes.len(), |found| quote + 1 + found);
                    literals.push(Literal { at, text: inside(text, quote + 1, end) });
                    wipe(&mut code, quote + 1, end) + close.len()
                } else {
                    at + 1
                }
            }
            b'\'' => match char_end(text, at) {
                Some(end) => wipe(&mut code, at + 1, end - 1) + 1,
                None => at + 1,
            },
            _ => at + 1,
        };
        at = end;
    }
    (String::from_utf8(code).expect("only whole characters are blanked"), literals)
}

/// `b` of `br".."` and `c` of `cr".."` stand before the `r` without making it part of a longer word.
fn is_literal_prefix(bytes: &[u8], at: usize) -> bool {
    matches!(bytes[at], b'b' | b'c') && !at.checked_sub(1).is_some_and(|i| is_word(bytes[i]))
}

fn inside(text: &str, from: usize, to: usize) -> String {
    text.get(from..to.max(from)).unwrap_or_default().to_owned()
}

/// Blanks `from..to`, keeping line ends, and answers `to`.
fn wipe(code: &mut [u8], from: usize, to: usize) -> usize {
    let to = to.min(code.len());
    if from < to {
        for byte in &mut code[from..to] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    to.max(from)
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |found| at + found)
}

fn comment_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'/', Some(b'*')) => (depth, at) = (depth + 1, at + 2),
            (b'*', Some(b'/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

/// The offset behind the closing quote of the string that opens at `at`.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while end < bytes.len() {
        match bytes[end] {
            b'\\' => end += 2,
            b'"' => return end + 1,
            _ => end += 1,
        }
    }
    bytes.len()
}

/// The offset behind the closing quote of a character literal; none for a lifetime.
fn char_end(text: &str, at: usize) -> Option<usize> {
    let rest = &text[at + 1..];
    let first = rest.chars().next()?;
    if first == '\\' {
        let body = rest.char_indices().skip(2).find(|(_, c)| *c == '\'')?;
        return Some(at + 1 + body.0 + 1);
    }
    rest[first.len_utf8()..].starts_with('\'').then(|| at + 1 + first.len_utf8() + 1)
}

/// Ranges under `#[cfg(test)]`, `#[cfg(all(test, ..))]`, `#[test]` and `#[tokio::test]`.
fn test_ranges(code: &str) -> Vec<(usize, usize)> {
    const MARKS: &[&str] = &["#[cfg(test)]", "#[cfg(all(test", "#[test]", "#[tokio::test"];
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for mark in MARKS {
        for (at, _) in code.match_indices(mark) {
            ranges.push((at, item_end(code, behind_closing(code, at + 1))));
        }
    }
    if let Some((at, _)) = code.match_indices("#![cfg(test)]").next() {
        ranges.push((at, code.len()));
    }
    ranges
}

/// The end of the item that starts at `at`: behind its block or its semicolon.
fn item_end(code: &str, at: usize) -> usize {
    let mut at = at;
    for (offset, byte) in code.bytes().enumerate().skip(at) {
        if offset < at {
            continue;
        }
        match byte {
            b';' => return offset + 1,
            b'{' => return behind_closing(code, offset),
            b'(' | b'[' => at = behind_closing(code, offset),
            _ => {}
        }
    }
    code.len()
}

/// Marks whole files that a `#[cfg(test)] mod name;` declares.
fn mark_test_files(sources: &mut [Source]) {
    let mut folders = Vec::new();
    for source in sources.iter() {
        for (at, _) in source.code.match_indices("#[cfg(test)]") {
            let item: Vec<&str> = source.code[at + "#[cfg(test)]".len()..].split_whitespace().take(4).collect();
            let name = item.iter().skip_while(|word| **word != "mod").nth(1);
            if let Some(name) = name.and_then(|word| word.strip_suffix(';')) {
                let mut module = source.module();
                module.push(name.to_owned());
                folders.push(format!("src/{}", module.join("/")));
            }
        }
    }
    for source in sources {
        let stem = source.path.trim_end_matches(".rs");
        if folders.iter().any(|folder| stem == folder || source.path.starts_with(&format!("{folder}/"))) {
            source.tests = vec![(0, source.text.len())];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_code_stays() {
        let source = Source::new(
            "src/a.rs",
            "let a = \"un{wrap\"; // {\n/* { /* { */ */ let b = '{'; let c: &'static str = r#\"\"{\"#;",
        );
        assert!(!source.code.contains("wrap"));
        assert!(!source.code.contains('{'));
        assert!(source.code.contains("let b ="));
        assert!(source.code.contains("&'static str"));
        let texts: Vec<&str> = source.literals.iter().map(|literal| literal.text.as_str()).collect();
        assert_eq!(texts, ["un{wrap", "\"{"]);
        assert_eq!(source.code.len(), source.text.len());
    }

    #[test]
    fn escapes_do_not_end_a_literal() {
        let source = Source::new(
            "src/a.rs",
            r#"let a = "a\"b"; let b = '\''; let c = b"x"; let r = r#type; for x in bar"y" {}"#,
        );
        assert_eq!(source.literals.len(), 3);
        assert_eq!(source.literals[0].text, "a\\\"b");
        assert!(source.code.ends_with("{}"));
    }

    #[test]
    fn test_code_is_told_from_the_rest() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { c() }\n}\n#[test]\nfn d() {}\nfn e() {}\n";
        let source = Source::new("src/a.rs", text);
        let test = |name: &str| source.is_test(text.find(name).expect("the example holds it"));
        assert!(!test("fn a"));
        assert!(test("fn b"));
        assert!(test("fn d"));
        assert!(!test("fn e"));
    }

    #[test]
    fn a_file_declared_for_tests_is_test_code() {
        let mut sources = vec![
            Source::new("src/kernel/log/mod.rs", "#[cfg(test)]\nmod tests;\npub mod page;\n"),
            Source::new("src/kernel/log/tests.rs", "fn a() {}"),
            Source::new("src/kernel/log/page.rs", "fn a() {}"),
        ];
        mark_test_files(&mut sources);
        assert!(sources[1].is_test(3));
        assert!(!sources[2].is_test(3));
    }

    #[test]
    fn a_file_knows_its_module_and_folder() {
        let module = |path: &str| Source::new(path, "").module().join("::");
        assert_eq!(module("src/lib.rs"), "");
        assert_eq!(module("src/kernel/base/mod.rs"), "kernel::base");
        assert_eq!(module("src/features/tasks/sql.rs"), "features::tasks::sql");
        assert_eq!(Source::new("src/features/tasks/sql.rs", "").folder(), "features/tasks");
    }

    #[test]
    fn lines_count_from_one() {
        let source = Source::new("src/a.rs", "a\nb\nc");
        assert_eq!(source.place(4), "src/a.rs:3");
    }
}
