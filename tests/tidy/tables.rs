//! Each table of `migrations/` belongs to one folder: nobody else's SQL names it.

use std::collections::{BTreeMap, BTreeSet};

use crate::places::may_hold_sql;
use crate::source::Source;

/// Tables that the batched append and the patient lock of kernel/store write for the folder that owns them: dialect code may
/// stand nowhere else, so store is not counted as their second owner.
const WRITTEN_BY_STORE: &[&str] = &["entry", "audit", "channel", "thing", "patient", "site_leaf", "site_node"];

/// Every table that the SQL of two folders names.
pub fn each_table_has_one_owner(sources: &[Source], migrations: &[(String, String)]) -> Vec<String> {
    let tables: BTreeSet<String> = migrations.iter().flat_map(|(_, text)| created_tables(text)).collect();
    let mut users: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for source in sources.iter().filter(|source| may_hold_sql(&source.path)) {
        let folder = source.folder();
        for literal in source.literals.iter().filter(|literal| !source.is_test(literal.at)) {
            for name in named_tables(&literal.text) {
                let Some(table) = tables.get(&name) else { continue };
                if !(folder == "kernel/store" && WRITTEN_BY_STORE.contains(&name.as_str())) {
                    users.entry(table).or_default().insert(folder.clone());
                }
            }
        }
    }
    let shared = users.into_iter().filter(|(_, folders)| folders.len() > 1);
    shared.map(|(table, folders)| format!("{table}: {}", folders.into_iter().collect::<Vec<_>>().join(", "))).collect()
}

/// Lower-case words of a statement as it stands in a literal, escapes and all; every other sign is a word of its own.
fn words(text: &str) -> Vec<String> {
    let text = ["\\n", "\\t", "\\"].iter().fold(text.to_owned(), |text, escape| text.replace(escape, " "));
    let mut words = vec![String::new()];
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            words.last_mut().expect("the list starts with one word").push(c.to_ascii_lowercase());
        } else {
            // A quoted name is the name.
            if !c.is_whitespace() && c != '"' {
                words.push(c.to_string());
            }
            words.push(String::new());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Names behind CREATE TABLE.
fn created_tables(text: &str) -> Vec<String> {
    let without_comments: Vec<&str> = text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let words = words(&without_comments.join("\n"));
    let behind = |at: usize| words[at..].iter().find(|word| !["if", "not", "exists"].contains(&word.as_str())).cloned();
    words
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[0] == "create" && pair[1] == "table")
        .filter_map(|(at, _)| behind(at + 2))
        .collect()
}

/// Names behind FROM, INTO, UPDATE and JOIN, lists and aliases included.
fn named_tables(text: &str) -> Vec<String> {
    let words = words(text);
    let mut names = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if !["from", "into", "update", "join"].contains(&word.as_str()) {
            continue;
        }
        let mut rest = words[at + 1..].iter().map(String::as_str).peekable();
        if word == "update" && rest.peek() == Some(&"or") {
            rest.next();
            rest.next();
        }
        if rest.peek() == Some(&"only") {
            rest.next();
        }
        // FROM a, b AS c, d: each first word of the list.
        while let Some(name) = rest.next() {
            names.push(name.to_owned());
            let mut alias = rest.next();
            if alias == Some("as") {
                rest.next();
                alias = rest.next();
            } else if alias.is_some_and(|word| word != ",") {
                alias = rest.next();
            }
            if word != "from" || alias != Some(",") {
                break;
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(files: &[(&str, &str)]) -> Vec<String> {
        let schema = "-- CREATE TABLE old (id INT);\nCREATE TABLE session (id UUID);\nCREATE TABLE IF NOT EXISTS entry (id UUID);\nCREATE TABLE task(id UUID);";
        let sources: Vec<Source> =
            files.iter().map(|(path, sql)| Source::new(path, &format!("const A: &str = \"{sql}\";"))).collect();
        each_table_has_one_owner(&sources, &[("migrations/0001.sql".into(), schema.into())])
    }

    #[test]
    fn a_table_of_two_folders_is_found() {
        for sql in [
            "SELECT 1 FROM task",
            "SELECT 1 FROM session s, task AS t",
            "SELECT 1 FROM x JOIN task ON true",
            "INSERT INTO task VALUES (1)",
            "INSERT OR ROLLBACK INTO task VALUES (1)",
            "UPDATE task SET id = 1",
            "UPDATE OR ROLLBACK task SET id = 1",
            "DELETE FROM \\\"task\\\" WHERE id = 1",
        ] {
            let found =
                owners(&[("src/features/tasks/sql.rs", "SELECT 1 FROM task"), ("src/features/notes/sql.rs", sql)]);
            assert_eq!(found, ["task: features/notes, features/tasks"], "{sql}");
        }
    }

    #[test]
    fn a_table_of_one_folder_is_not() {
        assert!(
            owners(&[
                ("src/features/tasks/sql.rs", "SELECT 1 FROM task"),
                ("src/features/tasks/sql/old.rs", "UPDATE task SET id = 1")
            ])
            .is_empty()
        );
        assert!(
            owners(&[
                ("src/features/tasks/sql.rs", "SELECT task FROM x"),
                ("src/features/notes/sql.rs", "SELECT task FROM y")
            ])
            .is_empty()
        );
    }

    #[test]
    fn the_batched_append_is_no_second_owner_but_a_third_is() {
        let append = ("src/kernel/store/sqlite.rs", "INSERT OR ROLLBACK INTO entry VALUES (1)");
        let page = ("src/kernel/log/sql.rs", "SELECT 1 FROM entry");
        assert!(owners(&[append, page]).is_empty());
        assert_eq!(
            owners(&[append, page, ("src/features/tasks/sql.rs", "SELECT 1 FROM entry")]),
            ["entry: features/tasks, kernel/log"]
        );
    }

    #[test]
    fn tables_are_read_from_migrations() {
        assert_eq!(
            created_tables("create table if not exists a (b int); CREATE TABLE \"c\" (d int); -- CREATE TABLE e\n"),
            ["a", "c"]
        );
    }
}
