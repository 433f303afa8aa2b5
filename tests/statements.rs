//! SQL that is written once holds on both databases: every listed statement is prepared on each, the schemas are compared, and the
//! batched append does the same on both.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[path = "statements/both.rs"]
mod both;
#[path = "postgres/mod.rs"]
mod postgres;
#[path = "statements/schema.rs"]
mod schema;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use carethread::features::{
    care_plan, channels, chart, checkins, files, handoffs, identity, intake, notes, patients, tasks,
};
use carethread::kernel::store::{self, Db, Location, Schema, Statement};
use carethread::kernel::{engine, log, policy};

/// Every list of statements that both databases take: one line per module that has `statements!`.
const RECORD: &[&[Statement]] = &[
    store::append::STATEMENTS,
    store::setting::STATEMENTS,
    log::sql::STATEMENTS,
    log::open::sql::STATEMENTS,
    log::site::sql::STATEMENTS,
    policy::sql::STATEMENTS,
    engine::sql::STATEMENTS,
    channels::sql::STATEMENTS,
    channels::wrong_patient::sql::STATEMENTS,
    channels::attention::sql::STATEMENTS,
    channels::held::sql::STATEMENTS,
    checkins::sql::STATEMENTS,
    channels::receipts::sql::STATEMENTS,
    channels::waiting::sql::STATEMENTS,
    notes::sql::STATEMENTS,
    chart::sql::STATEMENTS,
    chart::disclosure::sql::STATEMENTS,
    chart::exports::sql::STATEMENTS,
    files::sql::STATEMENTS,
    identity::sql::STATEMENTS,
    intake::sql::STATEMENTS,
    patients::sql::STATEMENTS,
    care_plan::sql::STATEMENTS,
    care_plan::arrival::sql::STATEMENTS,
    tasks::sql::STATEMENTS,
    handoffs::sql::STATEMENTS,
];
/// Those of the key database.
const KEYS: &[&[Statement]] = &[store::keys::STATEMENTS];
/// Those of PostgreSQL alone.
const POSTGRES_ONLY: &[&[Statement]] = &[store::postgres::append::STATEMENTS];

/// Both databases, empty, with a schema.
async fn open(schema: Schema) -> (tempfile::TempDir, Db, Db) {
    let folder = tempfile::tempdir().unwrap();
    let file = Location::File(folder.path().join("database"));
    let server = Location::Postgres(carethread::kernel::base::Secret::new(postgres::Cluster::shared().database()));
    let sqlite = Db::open(&file, schema).await.unwrap();
    (folder, sqlite, Db::open(&server, schema).await.unwrap())
}

/// The numbers behind `$` in a text: 1 to n, without gaps.
fn placeholders(sql: &str) -> usize {
    let numbers: BTreeSet<usize> = sql
        .split('$')
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
        .collect();
    let highest = numbers.last().copied().unwrap_or(0);
    assert_eq!(numbers.len(), highest, "a placeholder is left out: {sql}");
    highest
}

#[tokio::test]
async fn every_statement_is_understood_by_both_databases() {
    for (schema, lists) in [(Schema::Record, RECORD), (Schema::Keys, KEYS)] {
        let (_folder, sqlite, server) = open(schema).await;
        for Statement { name, sql } in lists.iter().copied().flatten() {
            let here = sqlite.prepare(sql).await.unwrap_or_else(|error| panic!("SQLite, {name}: {error}"));
            let there = server.prepare(sql).await.unwrap_or_else(|error| panic!("PostgreSQL, {name}: {error}"));
            assert_eq!(here.binds, placeholders(sql), "{name}");
            assert_eq!(there.binds, placeholders(sql), "{name}");
            assert_eq!(here.columns, there.columns, "{name}");
            let numeric = there.types.iter().any(|class| class == "NUMERIC");
            assert!(!numeric, "{name}: PostgreSQL answers NUMERIC where SQLite has an integer, CAST(.. AS BIGINT)");
        }
    }
}

#[tokio::test]
async fn the_batched_appends_are_understood() {
    use store::sqlite::append::{AUDIT, ENTRIES, HEADS, KEYS_SEEN, SITE_LEAVES, SITE_NODES, THINGS};
    let (_folder, sqlite, server) = open(Schema::Record).await;
    for Statement { name, sql } in POSTGRES_ONLY.iter().copied().flatten() {
        let told = server.prepare(sql).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(told.binds, placeholders(sql), "{name}");
    }
    assert_eq!(sqlite.prepare(KEYS_SEEN).await.unwrap().binds, 1);
    for (text, columns) in
        [(&ENTRIES, 18), (&AUDIT, 5), (&THINGS, 11), (&HEADS, 4), (&SITE_LEAVES, 3), (&SITE_NODES, 2)]
    {
        for rows in [1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256] {
            let told = sqlite.prepare(String::leak(text.text(rows).as_ref().to_owned())).await.unwrap();
            assert_eq!(told.binds, rows * columns);
        }
    }
}

#[test]
fn every_module_with_statements_is_listed_here() {
    let listed: BTreeSet<&str> = [RECORD, KEYS, POSTGRES_ONLY]
        .into_iter()
        .flatten()
        .copied()
        .flatten()
        .filter_map(|statement| statement.name.rsplit_once("::").map(|(module, _)| module))
        .collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in sources(&root) {
        let text = std::fs::read_to_string(&path).unwrap();
        let has = text.lines().any(|line| line == "statements! {" || line == "crate::statements! {");
        let inside = path.strip_prefix(&root).unwrap().with_extension("");
        let steps: Vec<&str> = inside.iter().filter_map(|step| step.to_str()).filter(|step| *step != "mod").collect();
        let module = format!("carethread::{}", steps.join("::"));
        assert!(
            !has || listed.contains(module.as_str()),
            "{module} has statements that tests/statements.rs does not list"
        );
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

#[tokio::test]
async fn a_server_that_may_lose_what_it_committed_is_refused() {
    use carethread::kernel::base::Secret;
    let cluster = postgres::Cluster::shared();
    let url = cluster.database();
    let name = url.rsplit('/').next().unwrap();
    cluster.run(&format!("ALTER DATABASE {name} SET synchronous_commit = off"));
    let refused = Db::open(&Location::Postgres(Secret::new(url.clone())), Schema::Record).await.err().unwrap();
    assert!(refused.to_string().contains("synchronous_commit = off"), "{refused}");
    let nobody = url.replace("carethread@", "");
    let refused = Db::open(&Location::Postgres(Secret::new(nobody)), Schema::Record).await.err().unwrap();
    assert!(refused.to_string().contains("name a user"), "{refused}");
}
