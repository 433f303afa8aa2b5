//! Where a kind of knowledge may stand: cryptography, sockets, FHIR, SQL. Tests may know more than what they test.

use crate::paths::paths;
use crate::source::Source;

/// Every use of ring outside its place.
pub fn only_crypto_knows_ring(sources: &[Source]) -> Vec<String> {
    let allowed = |path: &str| {
        path.starts_with("src/kernel/crypto/") || path == "src/kernel/crypto.rs" || path == "src/kernel/base/world.rs"
    };
    uses_of_crates(sources, &["ring"], allowed)
}

/// Every use of tungstenite outside its place.
pub fn only_the_edge_knows_sockets(sources: &[Source]) -> Vec<String> {
    let allowed = |path: &str| {
        ["src/kernel/wire/", "src/kernel/wire.rs", "src/interfaces/"].iter().any(|place| path.starts_with(place))
    };
    uses_of_crates(sources, &["tungstenite", "tokio_tungstenite"], allowed)
}

fn uses_of_crates(sources: &[Source], crates: &[&str], allowed: impl Fn(&str) -> bool) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| !allowed(&source.path)) {
        let paths = paths(source);
        // `use rustls::crypto::ring;` makes `ring::..` another thing than the crate.
        let shadowed = |name: &str| {
            let last = |segments: &[String]| segments.len() > 1 && segments.last().is_some_and(|last| last == name);
            paths.iter().any(|path| {
                last(&path.segments) && path.segments[0] != name && source.code[path.at..].starts_with("use")
            })
        };
        for path in paths.iter().filter(|path| !path.of_crate && !source.is_test(path.at)) {
            let name = path.segments[0].as_str();
            if crates.contains(&name) && !shadowed(name) {
                findings.push(format!("{}: names {}", source.place(path.at), path.segments.join("::")));
            }
        }
    }
    findings.dedup();
    findings
}

/// Every mention of a FHIR resource outside its place.
pub fn only_the_chart_knows_fhir(sources: &[Source]) -> Vec<String> {
    let allowed = |path: &str| {
        path.starts_with("src/features/chart/")
            || path.starts_with("src/features/care_plan/import")
            || (path.starts_with("src/features/") && path.ends_with("/chart.rs"))
    };
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| !allowed(&source.path)) {
        for literal in source
            .literals
            .iter()
            .filter(|literal| literal.text.contains("resourceType") && !source.is_test(literal.at))
        {
            findings.push(format!("{}: knows \"resourceType\"", source.place(literal.at)));
        }
    }
    findings
}

/// Whether a file may hold SQL.
pub fn may_hold_sql(path: &str) -> bool {
    path.starts_with("src/kernel/store/")
        || path == "src/kernel/store.rs"
        || path.ends_with("/sql.rs")
        || path.contains("/sql/")
}

/// Every statement, and every call that runs one, outside its place.
pub fn sql_stands_in_its_place(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| !may_hold_sql(&source.path)) {
        for literal in source.literals.iter().filter(|literal| is_sql(&literal.text) && !source.is_test(literal.at)) {
            findings.push(format!("{}: holds a statement", source.place(literal.at)));
        }
        for path in paths(source).iter().filter(|path| !path.of_crate && !source.is_test(path.at)) {
            if let ["sqlx", call, ..] = path.segments.iter().map(String::as_str).collect::<Vec<_>>()[..]
                && (call.starts_with("query") || call == "raw_sql" || call == "QueryBuilder")
            {
                findings.push(format!("{}: runs a statement with sqlx::{call}", source.place(path.at)));
            }
        }
    }
    findings
}

/// Whether a text is a statement rather than a word such as the HTTP method DELETE or the FHIR activity UPDATE.
fn is_sql(text: &str) -> bool {
    let words: Vec<&str> =
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
    let follows =
        |first: &str, seconds: &[&str]| words.windows(2).any(|pair| pair[0] == first && seconds.contains(&pair[1]));
    let select = words.windows(2).any(|pair| pair[0] == "SELECT" && pair[1] != "SELECT");
    let update = words.windows(3).any(|three| three[0] == "UPDATE" && (three[2] == "SET" || three[1] == "OR"));
    select || update || follows("INSERT", &["INTO", "OR"]) || follows("DELETE", &["FROM"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> [Source; 1] {
        [Source::new(path, text)]
    }

    #[test]
    fn ring_outside_crypto_is_found() {
        for text in ["use ring::digest;", "use ::ring::{digest, hmac};", "fn f() { ring::digest::digest(a); }"] {
            assert!(!only_crypto_knows_ring(&source("src/kernel/log/mod.rs", text)).is_empty(), "{text}");
        }
        assert!(only_crypto_knows_ring(&source("src/kernel/crypto/seal.rs", "use ring::aead;")).is_empty());
        let provider = "fn f() { rustls::crypto::ring::default_provider(); }";
        assert!(only_crypto_knows_ring(&source("src/main.rs", provider)).is_empty());
        let shadow = "use rustls::crypto::ring;\nfn f() { ring::default_provider(); }";
        assert!(only_crypto_knows_ring(&source("src/interfaces/tls.rs", shadow)).is_empty());
    }

    #[test]
    fn sockets_inside_are_found() {
        let text = "use tokio_tungstenite::tungstenite::Message;";
        assert_eq!(only_the_edge_knows_sockets(&source("src/kernel/live/hub.rs", text)).len(), 1);
        assert_eq!(
            only_the_edge_knows_sockets(&source("src/features/tasks/mod.rs", "fn f(a: tungstenite::Error) {}")).len(),
            1
        );
        assert!(only_the_edge_knows_sockets(&source("src/interfaces/socket/mod.rs", text)).is_empty());
        assert!(only_the_edge_knows_sockets(&source("src/kernel/wire/close.rs", text)).is_empty());
    }

    #[test]
    fn fhir_outside_the_chart_is_found() {
        let text = "fn f() { value[\"resourceType\"]; }";
        assert_eq!(only_the_chart_knows_fhir(&source("src/interfaces/http/imports.rs", text)).len(), 1);
        assert_eq!(only_the_chart_knows_fhir(&source("src/features/care_plan/model.rs", text)).len(), 1);
        assert!(only_the_chart_knows_fhir(&source("src/features/care_plan/import/read.rs", text)).is_empty());
        assert!(only_the_chart_knows_fhir(&source("src/features/notes/chart.rs", text)).is_empty());
    }

    #[test]
    fn statements_in_the_wrong_place_are_found() {
        for text in [
            "SELECT id FROM message",
            "WITH a AS (SELECT 1) TABLE a",
            "INSERT INTO entry VALUES ($1)",
            "INSERT OR ROLLBACK INTO entry",
            "UPDATE channel SET seq = 1",
            "DELETE FROM session",
        ] {
            let code = format!("const A: &str = \"{text}\";");
            assert_eq!(sql_stands_in_its_place(&source("src/features/tasks/mod.rs", &code)).len(), 1, "{text}");
            assert!(sql_stands_in_its_place(&source("src/features/tasks/sql.rs", &code)).is_empty());
            assert!(sql_stands_in_its_place(&source("src/kernel/store/sqlite.rs", &code)).is_empty());
        }
        assert_eq!(sql_stands_in_its_place(&source("src/server.rs", "fn f() { sqlx::query(a); }")).len(), 1);
    }

    #[test]
    fn words_that_only_look_like_statements_are_not() {
        for text in ["DELETE", "UPDATE", "Select a channel from the list", "GET, POST, DELETE"] {
            assert!(!is_sql(text), "{text}");
        }
        let test = "#[cfg(test)]\nmod tests { const A: &str = \"DELETE FROM entry\"; }";
        assert!(sql_stands_in_its_place(&source("src/kernel/log/verify.rs", test)).is_empty());
    }
}
