//! The append path, once on each database.

use std::time::Duration;

use carethread::kernel::store::append::{
    self, AuditRow, EntryRow, HeadRow, KeyAsked, KeyColumns, NewChannel, SeenRow, ThingRow,
};
use carethread::kernel::store::postgres::append::KEYS_SEEN;
use carethread::kernel::store::{
    Backend, Db, Keys, Location, Schema, Tx, WrappedKey, id_list, is_conflict, number_list, on_db,
};
use sqlx::Row as _;
use uuid::Uuid;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn entry(channel: i64, seq: i64) -> EntryRow {
    EntryRow {
        channel,
        seq,
        id: id(1_000 + seq.unsigned_abs() as u128),
        kind: 1,
        flags: 0,
        event: "message.posted",
        author: id(7),
        at: seq,
        item: (seq % 2 == 0).then(|| id(9)),
        body: vec![5; 200],
        commitment: [1; 32],
        files: (seq % 4 == 0).then(|| vec![4; 90]),
        head: [2; 32],
        epoch: 0,
        key: (seq % 2 == 1).then(|| KeyColumns {
            key: id(seq.unsigned_abs().into()),
            scope: channel,
            mac: vec![3; 32],
            mac_version: 4,
        }),
    }
}

#[derive(Debug, PartialEq, sqlx::FromRow)]
struct Back {
    seq: i64,
    id: Uuid,
    kind: i16,
    event: String,
    item: Option<Uuid>,
    body: Vec<u8>,
    files: Option<Vec<u8>>,
    key: Option<Uuid>,
    mac_version: Option<i32>,
}

async fn new_channel(tx: &mut Tx, n: u128) -> i64 {
    let new = NewChannel { id: id(n), patient: id(2), head: [0; 32], epoch: 0, at: 1 };
    append::channel(tx, &new).await.unwrap()
}

async fn appended(db: &Db) -> (Vec<Back>, Vec<SeenRow>, ThingRow, (i64, Vec<u8>, i16)) {
    let mut tx = db.write().await.unwrap();
    let n = new_channel(&mut tx, 1).await;
    let rows: Vec<EntryRow> = (1..=300).map(|seq| entry(n, seq)).collect();
    append::entries(&mut tx, &rows).await.unwrap();
    append::entries(&mut tx, &[]).await.unwrap();
    let lines: Vec<AuditRow> =
        (1..=3).map(|n| AuditRow { stream: 1, n, at: n, line: "{}".into(), head: [6; 32] }).collect();
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
    append::things(&mut tx, &[thing]).await.unwrap();
    append::heads(&mut tx, &[HeadRow { n, seq: 300, head: [8; 32], at: 77 }]).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = db.write().await.unwrap();
    let asked = |key: u128| KeyAsked { author: id(7), key: id(key) };
    let mut seen = append::keys_seen(&mut tx, &[asked(1), asked(2), asked(299)]).await.unwrap();
    seen.sort_by_key(|row| row.seq);
    let refused = append::entries(&mut tx, &[EntryRow { key: entry(n, 1).key, ..entry(n, 301) }]).await.unwrap_err();
    assert!(is_conflict(&refused), "{refused}");
    drop(tx);
    for sql in ["UPDATE entry SET at = 0", "DELETE FROM entry", "UPDATE audit SET at = 0", "DELETE FROM audit"] {
        let mut tx = db.write().await.unwrap();
        assert!(on_db!(tx, |c| sqlx::query(sql).execute(c).await.map(|_| ())).is_err(), "{sql}");
        tx.rollback().await;
    }
    let unknown = HeadRow { n: n + 1, seq: 1, head: [0; 32], at: 1 };
    let mut tx = db.write().await.unwrap();
    assert!(append::heads(&mut tx, &[unknown]).await.is_err(), "a head without a channel is a defect");
    drop(tx);

    let mut tx = db.read().await.unwrap();
    let sql = "SELECT seq, id, kind, event, item, body, files, key, mac_version FROM entry ORDER BY n";
    let back = on_db!(tx, |c| sqlx::query_as(sql).fetch_all(c).await).unwrap();
    let things = "SELECT * FROM thing WHERE open AND NOT shared";
    let thing = on_db!(tx, |c| sqlx::query_as(things).fetch_one(c).await).unwrap();
    let head = on_db!(tx, |c| sqlx::query_as("SELECT seq, head, epoch FROM channel").fetch_one(c).await).unwrap();
    (back, seen, thing, head)
}

#[tokio::test]
async fn the_batched_append_does_the_same_on_both() {
    let (_folder, sqlite, server) = super::open(Schema::Record).await;
    let here = appended(&sqlite).await;
    let there = appended(&server).await;
    assert_eq!(here.0.len(), 300);
    assert_eq!(here.1.len(), 2);
    assert_eq!(here.3, (300, vec![8; 32], 0));
    assert_eq!(here, there);
}

#[tokio::test]
async fn lists_mean_the_same_on_both() {
    let (_folder, sqlite, server) = super::open(Schema::Record).await;
    for db in [sqlite, server] {
        let mut tx = db.write().await.unwrap();
        for n in 1..=5 {
            new_channel(&mut tx, n).await;
        }
        let sql = "SELECT id FROM channel WHERE id IN (SELECT unhex(value) FROM json_each($1)) ORDER BY id";
        let list = id_list([id(4), id(2), id(99)]);
        let found: Vec<Uuid> = on_db!(tx, |c| sqlx::query_scalar(sql).bind(list).fetch_all(c).await).unwrap();
        assert_eq!(found, [id(2), id(4)]);
        let sql = "SELECT id FROM channel WHERE n IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY id";
        let list = number_list([1, 3]);
        let found: Vec<Uuid> = on_db!(tx, |c| sqlx::query_scalar(sql).bind(list).fetch_all(c).await).unwrap();
        assert_eq!(found, [id(1), id(3)]);
        // Pairs: a channel and the position after which to read on.
        let sql = "SELECT CAST(json_extract(value, '$[0]') AS BIGINT) + CAST(json_extract(value, '$[1]') AS BIGINT) FROM json_each($1)";
        let sums: Vec<i64> =
            on_db!(tx, |c| sqlx::query_scalar(sql).bind("[[1,20],[3,40]]").fetch_all(c).await).unwrap();
        assert_eq!(sums, [21, 43]);
    }
}

#[tokio::test]
async fn a_locked_patient_waits_on_postgresql() {
    use carethread::kernel::base::Secret;
    let (_folder, sqlite, _) = super::open(Schema::Record).await;
    let url = Location::Postgres(Secret::new(super::postgres::Cluster::shared().database()));
    let [one, two, three] = [
        Db::open(&url, Schema::Record).await.unwrap(),
        Db::open(&url, Schema::Record).await.unwrap(),
        Db::open(&url, Schema::Record).await.unwrap(),
    ];
    for db in [&sqlite, &one] {
        let mut tx = db.write().await.unwrap();
        let sql = "INSERT INTO patient (id, version, key_version) VALUES ($1, 0, 1)";
        for n in 1..=2 {
            on_db!(tx, |c| sqlx::query(sql).bind(id(n)).execute(c).await.map(|_| ())).unwrap();
        }
        tx.lock_patients(&[id(2), id(1), id(99)]).await.unwrap();
        tx.commit().await.unwrap();
    }
    let mut first = one.write().await.unwrap();
    first.lock_patients(&[id(1)]).await.unwrap();
    let mut second = two.write().await.unwrap();
    second.lock_patients(&[id(2)]).await.unwrap();
    let mut third = three.write().await.unwrap();
    let waits = tokio::time::timeout(Duration::from_millis(300), third.lock_patients(&[id(1)])).await;
    assert!(waits.is_err(), "another writer holds the patient");
}

#[tokio::test]
async fn nodes_that_start_together_make_one_schema() {
    use carethread::kernel::base::Secret;
    let url = Location::Postgres(Secret::new(super::postgres::Cluster::shared().database()));
    let (one, two, three) =
        tokio::join!(Db::open(&url, Schema::Record), Db::open(&url, Schema::Record), Db::open(&url, Schema::Record),);
    let (one, _, _) = (one.unwrap(), two.unwrap(), three.unwrap());
    one.reopen().await.unwrap();
    assert!(one.version().await.unwrap().starts_with("PostgreSQL "));
    let keys = Keys::open(&url).await.unwrap();
    let key = WrappedKey { owner: id(1), version: 1, kek_version: 1, state: 0, created_at: 5, blob: vec![7; 80] };
    keys.insert(&key).await.unwrap();
    assert!(keys.load_all([id(1)]).await.unwrap() == [key]);
    assert_eq!(keys.erase(id(1)).await.unwrap(), 1);
    assert!(keys.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn one_process_claims_a_database() {
    use carethread::kernel::base::Secret;
    use carethread::kernel::store::OpenError;
    let url = Location::Postgres(Secret::new(super::postgres::Cluster::shared().database()));
    let (one, two) = (Db::open(&url, Schema::Record).await.unwrap(), Db::open(&url, Schema::Record).await.unwrap());
    assert!(!one.write().await.unwrap().is_only_writer());
    one.claim(id(1)).await.unwrap();
    assert!(one.write().await.unwrap().is_only_writer());
    assert!(matches!(two.claim(id(2)).await, Err(OpenError::InUse)));
    // Its own connection is no stranger, not even one that the server has not missed yet.
    one.reopen().await.unwrap();
    one.write().await.unwrap().rollback().await;
    one.close().await;
    two.claim(id(2)).await.unwrap();
    assert!(!two.is_lost());
    let three = Db::open(&url, Schema::Record).await.unwrap();
    two.close().await;
    three.claim(id(3)).await.unwrap();
    three.close().await;
}

#[tokio::test]
async fn whoever_was_away_while_another_had_the_database_gives_up() {
    use carethread::kernel::base::Secret;
    let cluster = super::postgres::Cluster::shared();
    let database = cluster.database();
    let url = Location::Postgres(Secret::new(database.clone()));
    let one = Db::open(&url, Schema::Record).await.unwrap();
    one.claim(id(1)).await.unwrap();
    // The connection is cut; before it is missed, another process comes and goes.
    let name = database.rsplit('/').next().unwrap();
    cluster.run(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"));
    let two = Db::open(&url, Schema::Record).await.unwrap();
    two.claim(id(2)).await.unwrap();
    two.close().await;
    assert!(one.write().await.is_err());
    assert!(one.is_lost() && one.reopen().await.is_err());
}

/// A statement keeps its plan. One that is made while the table is empty must be right when it no longer is.
#[tokio::test]
async fn keys_are_looked_up_by_their_index_from_the_first_row_on() {
    let (_folder, _, postgres) = crate::open(Schema::Record).await;
    let mut tx = postgres.write().await.unwrap();
    let Backend::Postgres(connection) = tx.backend() else { panic!("a transaction on PostgreSQL") };
    let prepare =
        format!("SET LOCAL plan_cache_mode = force_generic_plan; PREPARE keys (uuid[], uuid[]) AS {KEYS_SEEN}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(prepare)).execute(&mut *connection).await.unwrap();
    let rows = sqlx::raw_sql("EXPLAIN EXECUTE keys (NULL, NULL)").fetch_all(&mut *connection).await.unwrap();
    let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let plan = plan.join("\n");
    assert!(plan.contains("entry_key") && !plan.contains("Seq Scan"), "{plan}");
}
