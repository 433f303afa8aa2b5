//! On SQLite in temporary folders; what must hold on both databases is in `tests/statements.rs`.

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::append::{self, AuditRow, EntryRow, HeadRow, KeyAsked, KeyColumns, NewChannel, ThingRow};
use super::*;

async fn open(folder: &tempfile::TempDir) -> Db {
    Db::open(&Location::File(folder.path().join("record.db")), Schema::Record).await.unwrap()
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn entry(channel: i64, seq: i64, key: Option<u128>) -> EntryRow {
    EntryRow {
        channel,
        seq,
        id: id(1_000_000 + seq.unsigned_abs() as u128),
        kind: 1,
        flags: 0,
        event: "message.posted",
        author: id(7),
        at: 1_700_000_000_000_000 + seq,
        item: Some(id(9)),
        body: vec![5; 200],
        commitment: [1; 32],
        files: None,
        head: [2; 32],
        epoch: 0,
        key: key.map(|key| KeyColumns { key: id(key), scope: channel, mac: vec![3; 32], mac_version: 4 }),
    }
}

async fn new_channel(tx: &mut Tx, n: u128) -> i64 {
    let new = NewChannel { id: id(n), patient: id(2), head: [0; 32], epoch: 0, at: 1 };
    append::channel(tx, &new).await.unwrap()
}

async fn count(db: &Db, sql: &'static str) -> i64 {
    let mut tx = db.read().await.unwrap();
    on_db!(tx, |c| sqlx::query_scalar(sql).fetch_one(c).await).unwrap()
}

#[tokio::test]
async fn a_batch_of_every_size_arrives_whole_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let mut tx = db.write().await.unwrap();
    let n = new_channel(&mut tx, 1).await;
    let mut seq = 0;
    for size in [0, 1, 2, 3, 7, 33, 100, 255, 256, 257, 600] {
        let rows: Vec<EntryRow> =
            (1..=size).map(|step| entry(n, seq + step, Some((seq + step).unsigned_abs().into()))).collect();
        append::entries(&mut tx, &rows).await.unwrap();
        seq += size;
    }
    append::heads(&mut tx, &[HeadRow { n, seq, head: [8; 32], at: 77 }]).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = db.read().await.unwrap();
    let seqs: Vec<i64> =
        on_db!(tx, |c| sqlx::query_scalar("SELECT seq FROM entry ORDER BY n").fetch_all(c).await).unwrap();
    assert_eq!(seqs, (1..=seq).collect::<Vec<_>>());
    let head: (i64, Vec<u8>, i64, i16) =
        on_db!(tx, |c| sqlx::query_as("SELECT seq, head, at, epoch FROM channel").fetch_one(c).await).unwrap();
    assert_eq!(head, (seq, vec![8; 32], 77, 0));
    drop(tx);
    db.close().await;
}

#[tokio::test]
async fn audit_rows_and_things_arrive() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let mut tx = db.write().await.unwrap();
    let lines: Vec<AuditRow> =
        (1..=5).map(|n| AuditRow { stream: 1, n, at: n, line: format!("{{\"n\":{n}}}"), head: [6; 32] }).collect();
    append::audit(&mut tx, &lines).await.unwrap();
    let thing = ThingRow {
        id: id(40),
        kind: 3,
        patient: id(2),
        channel: id(1),
        item: None,
        author: id(7),
        seq: 4,
        open: true,
        shared: false,
        state: 2,
        entry: id(50),
    };
    append::things(&mut tx, std::slice::from_ref(&thing)).await.unwrap();
    let back: ThingRow =
        on_db!(tx, |c| sqlx::query_as("SELECT * FROM thing WHERE id = $1").bind(id(40)).fetch_one(c).await).unwrap();
    assert_eq!(back, thing);
    tx.commit().await.unwrap();
    assert_eq!(count(&db, "SELECT count(*) FROM audit").await, 5);
}

#[tokio::test]
async fn a_repeated_key_is_seen_and_a_second_row_for_it_refused() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let mut tx = db.write().await.unwrap();
    let n = new_channel(&mut tx, 1).await;
    append::entries(&mut tx, &[entry(n, 1, Some(11)), entry(n, 2, None), entry(n, 3, None)]).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = db.write().await.unwrap();
    let asked = |key: u128| KeyAsked { author: id(7), key: id(key) };
    let other = KeyAsked { author: id(8), key: id(11) };
    let seen = append::keys_seen(&mut tx, &[asked(10), asked(11), other]).await.unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].key, seen[0].scope, seen[0].seq, seen[0].mac_version), (id(11), n, 1, 4));
    assert!(append::keys_seen(&mut tx, &[]).await.unwrap().is_empty());

    let refused = append::entries(&mut tx, &[entry(n, 4, None), entry(n, 5, Some(11))]).await.unwrap_err();
    assert!(is_conflict(&refused) && !is_storage_failure(&refused));
    tx.rollback().await;
    let mut tx = db.write().await.unwrap();
    append::entries(&mut tx, &[entry(n, 4, None)]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(count(&db, "SELECT max(seq) FROM entry").await, 4);
}

#[tokio::test]
async fn a_dropped_transaction_leaves_nothing_and_the_next_one_begins() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    for _ in 0..20 {
        let mut tx = db.write().await.unwrap();
        let _ = new_channel(&mut tx, 1).await;
        drop(tx);
        let mut tx = db.write().await.unwrap();
        let n = new_channel(&mut tx, 2).await;
        let _ = append::entries(&mut tx, &[entry(n, 1, None), entry(n, 1, None)]).await.unwrap_err();
        drop(tx);
    }
    let tx = db.write().await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(count(&db, "SELECT count(*) FROM channel").await, 0);
}

#[tokio::test]
async fn entries_and_audit_rows_cannot_be_changed_deleted_or_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let mut tx = db.write().await.unwrap();
    let n = new_channel(&mut tx, 1).await;
    append::entries(&mut tx, &[entry(n, 1, None)]).await.unwrap();
    append::audit(&mut tx, &[AuditRow { stream: 1, n: 1, at: 1, line: "{}".into(), head: [6; 32] }]).await.unwrap();
    tx.commit().await.unwrap();
    for sql in [
        "UPDATE entry SET at = 0",
        "DELETE FROM entry",
        "UPDATE audit SET line = ''",
        "DELETE FROM audit",
        "REPLACE INTO audit SELECT stream, n, 0, line, head FROM audit",
    ] {
        let mut tx = db.write().await.unwrap();
        assert!(on_db!(tx, |c| sqlx::query(sql).execute(c).await.map(|_| ())).is_err(), "{sql}");
        tx.rollback().await;
    }
}

#[tokio::test]
async fn a_reader_keeps_its_snapshot_and_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let mut reader = db.read().await.unwrap();
    let channels = "SELECT count(*) FROM channel";
    let before: i64 = on_db!(reader, |c| sqlx::query_scalar(channels).fetch_one(c).await).unwrap();
    let mut tx = db.write().await.unwrap();
    new_channel(&mut tx, 1).await;
    tx.commit().await.unwrap();
    let after: i64 = on_db!(reader, |c| sqlx::query_scalar(channels).fetch_one(c).await).unwrap();
    assert_eq!((before, after, count(&db, channels).await), (0, 0, 1));
    assert!(on_db!(reader, |c| sqlx::query("DELETE FROM channel").execute(c).await.map(|_| ())).is_err());
}

#[tokio::test]
async fn lists_are_one_bind() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let mut tx = db.write().await.unwrap();
    for n in 1..=5 {
        new_channel(&mut tx, n).await;
    }
    let sql = "SELECT id FROM channel WHERE id IN (SELECT unhex(value) FROM json_each($1)) ORDER BY id";
    let found: Vec<Uuid> =
        on_db!(tx, |c| sqlx::query_scalar(sql).bind(id_list([id(4), id(2), id(99)])).fetch_all(c).await).unwrap();
    assert_eq!(found, [id(2), id(4)]);
    let sql = "SELECT id FROM channel WHERE n IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY id";
    let found: Vec<Uuid> =
        on_db!(tx, |c| sqlx::query_scalar(sql).bind(number_list([1, 3])).fetch_all(c).await).unwrap();
    assert_eq!(found, [id(1), id(3)]);
    assert_eq!(id_list([]), "[]");
}

#[tokio::test]
async fn opening_again_keeps_everything_and_a_newer_or_edited_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let mut tx = db.write().await.unwrap();
    new_channel(&mut tx, 1).await;
    tx.commit().await.unwrap();
    db.close().await;

    let db = open(&folder).await;
    assert_eq!(count(&db, "SELECT count(*) FROM channel").await, 1);
    db.reopen().await.unwrap();
    assert_eq!(count(&db, "SELECT count(*) FROM channel").await, 1);
    for (sql, newer) in [
        ("INSERT INTO migration (number, name, checksum) VALUES (9999, 'later', '')", true),
        ("UPDATE migration SET checksum = 'ff' WHERE number = 1", false),
    ] {
        let mut tx = db.write().await.unwrap();
        on_db!(tx, |c| sqlx::query(sql).execute(c).await.map(|_| ())).unwrap();
        tx.commit().await.unwrap();
        let refused = Db::open(&Location::File(folder.path().join("record.db")), Schema::Record).await.err();
        assert!(matches!(
            (refused, newer),
            (Some(OpenError::Unknown { .. }), true) | (Some(OpenError::Edited(1)), false)
        ));
        let mut tx = db.write().await.unwrap();
        on_db!(tx, |c| sqlx::query("DELETE FROM migration WHERE number > 9000").execute(c).await.map(|_| ())).unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_starts_over_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let cancel = CancellationToken::new();
    let checkpointer = db.spawn_checkpointer(cancel.clone());
    let mut tx = db.write().await.unwrap();
    let n = new_channel(&mut tx, 1).await;
    tx.commit().await.unwrap();
    // About 160 MB pass through the log, without a pause in which it could start over by itself.
    for batch in 0..150 {
        let rows: Vec<EntryRow> =
            (1..=256).map(|step| EntryRow { body: vec![5; 3000], ..entry(n, batch * 256 + step, None) }).collect();
        let mut tx = db.write().await.unwrap();
        append::entries(&mut tx, &rows).await.unwrap();
        tx.commit().await.unwrap();
    }
    let log = std::fs::metadata(folder.path().join("record.db-wal")).unwrap().len();
    cancel.cancel();
    checkpointer.await.unwrap();
    // How far it grows before it starts over depends on the machine; without that it would hold all that passed.
    assert!(log < 110 * 1024 * 1024, "the log holds {log} bytes");
    assert_eq!(count(&db, "SELECT max(seq) FROM entry").await, 150 * 256);
    db.close().await;
}

#[tokio::test]
async fn a_full_disk_is_told_apart_and_writing_goes_on_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let mut tx = db.write().await.unwrap();
    let n = new_channel(&mut tx, 1).await;
    // What SQLite says when it may not grow is what it says of a full disk.
    on_db!(tx, |c| sqlx::query("PRAGMA max_page_count = 60").execute(c).await.map(|_| ())).unwrap();
    tx.commit().await.unwrap();
    let rows: Vec<EntryRow> = (1..=256).map(|seq| EntryRow { body: vec![5; 3000], ..entry(n, seq, None) }).collect();
    let mut tx = db.write().await.unwrap();
    let failed = append::entries(&mut tx, &rows).await.unwrap_err();
    drop(tx);
    assert!(is_storage_failure(&failed) && is_disk_full(&failed) && !is_conflict(&failed), "{failed}");
    db.reopen().await.unwrap();
    let mut tx = db.write().await.unwrap();
    append::entries(&mut tx, &rows).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(count(&db, "SELECT count(*) FROM entry").await, 256);
}

#[tokio::test]
async fn the_key_check_uses_its_index() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let mut tx = db.read().await.unwrap();
    let Tx::Sqlite(tx) = &mut tx else { panic!("a file is SQLite") };
    let sql = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", sqlite::append::KEYS_SEEN));
    let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(sql).bind("[]").fetch_all(tx.connection()).await.unwrap();
    let text: Vec<String> = plan.into_iter().map(|(.., step)| step).collect();
    assert!(text.iter().any(|step| step.contains("USING INDEX entry_key (author=? AND key=?)")), "{text:?}");
    let heads = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", sqlite::append::HEADS.text(64)));
    let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(heads).fetch_all(tx.connection()).await.unwrap();
    let text: Vec<String> = plan.into_iter().map(|(.., step)| step).collect();
    assert!(text.iter().any(|step| step.contains("channel USING INTEGER PRIMARY KEY")), "{text:?}");
}

#[tokio::test]
async fn keys_are_kept_found_rewrapped_and_erased() {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::open(&Location::File(folder.path().join("keys.db"))).await.unwrap();
    let key = |owner: u128, version: i64| WrappedKey {
        owner: id(owner),
        version,
        kek_version: 1,
        state: 0,
        created_at: 5,
        blob: [0xA5, owner as u8, version as u8].repeat(27),
    };
    for (owner, version) in [(1, 1), (1, 2), (2, 1), (3, 1)] {
        keys.insert(&key(owner, version)).await.unwrap();
    }
    assert!(is_conflict(&keys.insert(&key(1, 2)).await.unwrap_err()));
    assert!(keys.load(id(1)).await.unwrap() == [key(1, 1), key(1, 2)]);
    assert!(keys.load_all([id(3), id(1), id(9)]).await.unwrap() == [key(1, 1), key(1, 2), key(3, 1)]);
    assert!(keys.rewrap(id(2), 1, 2, &[1, 2, 3]).await.unwrap());
    assert!(!keys.rewrap(id(2), 7, 2, &[]).await.unwrap());
    assert_eq!(keys.erase(id(1)).await.unwrap(), 2);
    assert_eq!(keys.list().await.unwrap().len(), 2);
    for name in ["keys.db", "keys.db-wal"] {
        let file = std::fs::read(folder.path().join(name)).unwrap();
        assert!(!file.windows(81).any(|window| window == key(1, 1).blob), "{name} still holds an erased key");
    }
}

#[test]
fn every_migration_file_is_named_by_a_line() {
    let mut files = Vec::new();
    for folder in ["migrations", "migrations/keys"] {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "sql") {
                files.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    for schema in [Schema::Record, Schema::Keys] {
        let numbers: Vec<i64> = schema.migrations().iter().map(|migration| migration.number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    }
    let known = || {
        [Schema::Record, Schema::Keys].into_iter().flat_map(|schema| schema.migrations().iter().flat_map(|m| m.parts))
    };
    for text in &files {
        assert!(
            known().any(|part| part.text() == text),
            "no line in migrate.rs names the file that begins {:?}",
            &text[..60.min(text.len())]
        );
    }
}
