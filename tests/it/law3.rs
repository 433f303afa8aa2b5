//! Law 3: any flipped byte, missing, doubled or reordered entry is found by `verify --record`, which names the first bad one. The
//! attacker of these tests holds the database, knows its tables and drops the triggers that stand in the way.

use serde_json::{Value, json};
use uuid::Uuid;

use carethread::kernel::base::{ChannelId, EntryId, ItemId, PatientId, UserId};
use carethread::kernel::crypto::{Leaf, chain};
use carethread::on_db;

use super::database::{Snapshot, Tables};
use super::server::{House, Server};
use super::ward::Ward;

/// A record at rest, with a clean copy to come back to.
struct Record {
    house: House,
    clean: Snapshot,
    /// Number and id of the channel that is attacked, and how many entries it has.
    victim: (i64, String, i64),
    other: i64,
}

/// What an attack does.
enum Attack {
    /// Statements; `CH` and `OTHER` are the numbers of the channels.
    Sql(&'static [&'static str]),
    /// One byte of a column of the victim's entry `seq` is another one.
    Flip(&'static str, i64),
    /// The victim's entry `seq` is said to be by somebody else, and every head from there on is reckoned anew.
    Forge(i64),
}

use Attack::{Flip, Forge, Sql};

impl Record {
    async fn new() -> Self {
        let server = Server::new().await;
        let lead = server.person("lead").await;
        let mut ward = Ward::open(&server, lead).await;
        for (name, item) in [("m1", "goal"), ("m2", "whole"), ("m3", "goal"), ("m4", "goal"), ("m5", "goal")] {
            ward.says(&server, name, "staff", item).await;
            ward.says(&server, name, "shared", "shared_goal").await;
        }
        server.run(&ward.lead, "message.amend", json!({"message": ward.id("m4"), "text": "other words"})).await;
        // An export signs the heads.
        let proof = server.house.path("proof").display().to_string();
        server.cli(&["export", "--patient", ward.id("patient"), "--format", "proof", "--out", &proof]).await;
        ward.says(&server, "m6", "staff", "goal").await;
        ward.says(&server, "m7", "staff", "goal").await;
        server.signal("TERM").await;
        let (house, code) = server.ended().await;
        assert_eq!(code, Some(0));
        let mut tables = Tables::of(&house).await;
        let mut places = Vec::new();
        for name in ["staff", "shared"] {
            let id = Uuid::parse_str(ward.id(name)).unwrap();
            let place: (i64, i64) = on_db!(tables, |c| sqlx::query_as("SELECT n, seq FROM channel WHERE id = $1")
                .bind(id)
                .fetch_one(c)
                .await)
            .unwrap();
            places.push(place);
        }
        tables.close().await;
        let clean = Snapshot::of(&house);
        Self { house, clean, victim: (places[0].0, ward.id("staff").to_owned(), places[0].1), other: places[1].0 }
    }

    /// Attacks a clean copy; what `verify --record` says of it: the exit code and the object.
    async fn attacked(&self, attack: &Attack) -> (i32, Value) {
        self.clean.restore(&self.house);
        let mut tables = Tables::of(&self.house).await;
        tables.disarm().await;
        let (victim, _, size) = &self.victim;
        match attack {
            Sql(statements) => {
                for statement in *statements {
                    let statement = statement.replace("OTHER", &self.other.to_string());
                    tables.run(&statement.replace("CH", &victim.to_string()).replace("SIZE", &size.to_string())).await;
                }
            }
            Flip(column, seq) => flip(&mut tables, column, *victim, *seq).await,
            Forge(seq) => forge(&mut tables, *victim, *seq).await,
        }
        tables.close().await;
        let done = self.house.cli(&["verify", "--record"]).await;
        let told = serde_json::from_str(&done.stdout).unwrap_or_else(|_| json!({"sentence": done.stderr}));
        (done.code, told)
    }

    /// The attack is found, at that entry of the victim and nowhere before.
    async fn is_found_at(&self, name: &str, attack: Attack, seq: i64) {
        let (code, told) = self.attacked(&attack).await;
        assert_eq!((code, &told["ok"]), (1, &json!(false)), "{name}: {told}");
        let of_victim =
            told["faults"].as_array().unwrap().iter().find(|fault| fault["channel"] == self.victim.1.as_str());
        assert_eq!(of_victim.map(|fault| &fault["seq"]), Some(&json!(seq)), "{name}: {}", told["faults"]);
    }

    /// The attack is found; where is for the sentence to say.
    async fn is_found(&self, name: &str, attack: Attack) {
        let (code, told) = self.attacked(&attack).await;
        assert!(code == 1 && told["ok"] == false, "{name}: {told}");
        assert!(!told["faults"].as_array().unwrap().is_empty(), "{name}: {told}");
    }
}

async fn flip(tables: &mut Tables, column: &str, channel: i64, seq: i64) {
    let select = format!("SELECT {column} FROM entry WHERE channel = {channel} AND seq = {seq}");
    let update = format!("UPDATE entry SET {column} = $1 WHERE channel = {channel} AND seq = {seq}");
    let (select, update) = (sqlx::AssertSqlSafe(select), sqlx::AssertSqlSafe(update));
    let changed = if ["id", "author", "item"].contains(&column) {
        let id: Uuid = on_db!(tables, |c| sqlx::query_scalar(select).fetch_one(c).await).unwrap();
        let id = Uuid::from_u128(id.as_u128() ^ (1 << 60));
        on_db!(tables, |c| sqlx::query(update).bind(id).execute(c).await.map(|done| done.rows_affected()))
    } else {
        let mut bytes: Vec<u8> = on_db!(tables, |c| sqlx::query_scalar(select).fetch_one(c).await).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        on_db!(tables, |c| sqlx::query(update).bind(bytes).execute(c).await.map(|done| done.rows_affected()))
    };
    assert_eq!(changed.unwrap(), 1);
}

/// What a leaf is made of, as it stands in the row.
#[derive(sqlx::FromRow)]
struct Row {
    seq: i64,
    kind: i16,
    flags: i16,
    epoch: i16,
    id: Uuid,
    author: Uuid,
    at: i64,
    item: Option<Uuid>,
    commitment: Vec<u8>,
}

const ROWS: &str = "SELECT seq, kind, flags, epoch, id, author, at, item, commitment FROM entry \
                    WHERE channel = $1 AND seq >= $2 ORDER BY seq";

/// What anyone can do who knows how chains are made: no key goes into one.
async fn forge(tables: &mut Tables, channel: i64, seq: i64) {
    let owner = "SELECT patient, id FROM channel WHERE n = $1";
    let (patient, id): (Uuid, Uuid) =
        on_db!(tables, |c| sqlx::query_as(owner).bind(channel).fetch_one(c).await).unwrap();
    let before = "SELECT head FROM entry WHERE channel = $1 AND seq = $2";
    let before: Vec<u8> =
        on_db!(tables, |c| sqlx::query_scalar(before).bind(channel).bind(seq - 1).fetch_one(c).await).unwrap();
    let mut head = <[u8; 32]>::try_from(before).unwrap();
    let other = "UPDATE entry SET author = $3 WHERE channel = $1 AND seq = $2";
    on_db!(tables, |c| sqlx::query(other).bind(channel).bind(seq).bind(Uuid::max()).execute(c).await.map(|_| ()))
        .unwrap();
    let rows: Vec<Row> = on_db!(tables, |c| sqlx::query_as(ROWS).bind(channel).bind(seq).fetch_all(c).await).unwrap();
    for row in rows {
        let leaf = Leaf {
            kind: u8::try_from(row.kind).unwrap(),
            flags: u8::try_from(row.flags).unwrap(),
            epoch: u16::try_from(row.epoch).unwrap(),
            patient: PatientId(patient),
            channel: ChannelId(id),
            seq: row.seq.unsigned_abs(),
            entry: EntryId(row.id),
            author: UserId(row.author),
            at: row.at,
            item: ItemId(row.item.unwrap_or_default()),
            commit: row.commitment.try_into().unwrap(),
            files: [0; 32],
        };
        head = chain::next(&head, &leaf.to_bytes());
        let update = "UPDATE entry SET head = $3 WHERE channel = $1 AND seq = $2";
        on_db!(tables, |c| sqlx::query(update)
            .bind(channel)
            .bind(row.seq)
            .bind(&head[..])
            .execute(c)
            .await
            .map(|_| ()))
        .unwrap();
    }
    let update = "UPDATE channel SET head = $2 WHERE n = $1";
    on_db!(tables, |c| sqlx::query(update).bind(channel).bind(&head[..]).execute(c).await.map(|_| ())).unwrap();
}

both!(a_chain_reckoned_anew_is_found_at_the_head_that_was_signed);
async fn a_chain_reckoned_anew_is_found_at_the_head_that_was_signed() {
    let record = Record::new().await;
    let done = record.attacked(&Sql(&["UPDATE channel SET seq = seq WHERE n = CH"])).await;
    assert_eq!(done.0, 0, "the attack's first step alone changes nothing");
    let (code, told) = record.attacked(&Forge(4)).await;
    let fault = &told["faults"][0];
    assert_eq!((code, &fault["channel"]), (1, &json!(record.victim.1)), "{told}");
    assert_eq!(fault["reason"], "a head was signed over another entry", "it is the signature that stands against it");
    assert!(fault["seq"].as_i64().unwrap() >= 4);
}

both!(a_record_as_it_was_written_verifies);
async fn a_record_as_it_was_written_verifies() {
    let record = Record::new().await;
    let (code, told) = record.attacked(&Sql(&[])).await;
    assert_eq!((code, &told["ok"], &told["faults"]), (0, &json!(true), &json!([])), "{told}");
    let line = record.house.cli_with(&["verify", "--record"], "").await;
    assert!(line.stdout.contains(" entries: complete and unaltered up to "), "{}", line.stdout);
    assert!(line.stdout.trim_end().ends_with("not pinned"), "{}", line.stdout);
    let key = told["signer"].as_str().unwrap();
    let pinned = record.house.cli_with(&["verify", "--record", "--key", key], "").await;
    assert!(pinned.code == 0 && pinned.stdout.trim_end().ends_with(", pinned"), "{}", pinned.stdout);
}

both!(a_flipped_byte_of_an_entry_is_found_where_it_is);
async fn a_flipped_byte_of_an_entry_is_found_where_it_is() {
    let record = Record::new().await;
    let last = record.victim.2;
    for column in ["body", "commitment", "head", "id", "author", "item"] {
        for seq in [1, 4, last] {
            // The first entry of a channel is about the channel and has no item.
            if column == "item" && seq == 1 {
                continue;
            }
            record.is_found_at(&format!("{column} of {seq}"), Flip(column, seq), seq).await;
        }
    }
}

both!(a_changed_number_of_an_entry_is_found_where_it_is);
async fn a_changed_number_of_an_entry_is_found_where_it_is() {
    let record = Record::new().await;
    for statement in [
        &["UPDATE entry SET at = at + 1 WHERE channel = CH AND seq = 4"][..],
        &["UPDATE entry SET at = at - 86400000000 WHERE channel = CH AND seq = 4"],
        &["UPDATE entry SET kind = 6 WHERE channel = CH AND seq = 4"],
        &["UPDATE entry SET flags = flags + 1 WHERE channel = CH AND seq = 4"],
        &["UPDATE entry SET epoch = epoch + 1 WHERE channel = CH AND seq = 4"],
        &["UPDATE entry SET item = NULL WHERE channel = CH AND seq = 4"],
        &["UPDATE entry SET files = commitment WHERE channel = CH AND seq = 4"],
        &["UPDATE entry SET event = 'note.logged' WHERE channel = CH AND seq = 4"],
        &["UPDATE entry SET author = item WHERE channel = CH AND seq = 4"],
        &["UPDATE entry SET body = zeroblob(0) WHERE channel = CH AND seq = 4"],
        &[
            "UPDATE entry SET body = (SELECT body FROM entry WHERE channel = CH AND seq = 5) WHERE channel = CH AND seq = 4",
        ],
        &["UPDATE entry SET (body, commitment) = (SELECT body, commitment FROM entry WHERE channel = CH AND seq = 5) \
           WHERE channel = CH AND seq = 4"],
    ] {
        record.is_found_at(statement[0], Sql(statement), 4).await;
    }
}

both!(a_missing_entry_is_found_where_it_stood);
async fn a_missing_entry_is_found_where_it_stood() {
    let record = Record::new().await;
    let last = record.victim.2;
    let middle: &[&str] = &["DELETE FROM entry WHERE channel = CH AND seq = 4"];
    record.is_found_at("deleted", Sql(middle), 4).await;
    let first: &[&str] = &["DELETE FROM entry WHERE channel = CH AND seq = 1"];
    record.is_found_at("the first deleted", Sql(first), 1).await;
    let closed: &[&str] = &[
        "DELETE FROM entry WHERE channel = CH AND seq = 4",
        "UPDATE entry SET seq = -seq WHERE channel = CH AND seq > 4",
        "UPDATE entry SET seq = -seq - 1 WHERE channel = CH AND seq < 0",
        "UPDATE channel SET seq = seq - 1 WHERE n = CH",
    ];
    record.is_found_at("deleted, and the rest moved up", Sql(closed), 4).await;
    let tail: &[&str] = &["DELETE FROM entry WHERE channel = CH AND seq > SIZE - 2"];
    record.is_found_at("the tail cut off", Sql(tail), last - 1).await;
    let all: &[&str] = &["DELETE FROM entry WHERE channel = CH"];
    record.is_found_at("all deleted", Sql(all), 1).await;
}

both!(a_doubled_entry_is_found);
async fn a_doubled_entry_is_found() {
    let record = Record::new().await;
    let last = record.victim.2;
    const COPY: &str = "INSERT INTO entry (channel, seq, id, kind, flags, event, author, at, item, body, commitment, files, head, epoch) \
                        SELECT channel, SEAT, id, kind, flags, event, author, at, item, body, commitment, files, head, epoch \
                        FROM entry WHERE channel = CH AND seq = 5";
    let at_end: &'static str = String::leak(COPY.replace("SEAT", "SIZE + 1"));
    record.is_found_at("doubled at the end", Sql(Vec::leak(vec![at_end])), last + 1).await;
    let counted = vec![at_end, "UPDATE channel SET seq = seq + 1 WHERE n = CH"];
    record.is_found_at("doubled at the end, and counted", Sql(Vec::leak(counted)), last + 1).await;
    let inside = vec![
        "UPDATE entry SET seq = -seq WHERE channel = CH AND seq > 5",
        "UPDATE entry SET seq = -seq + 1 WHERE channel = CH AND seq < 0",
        String::leak(COPY.replace("SEAT", "6")),
        "UPDATE channel SET seq = seq + 1 WHERE n = CH",
    ];
    record.is_found_at("doubled inside", Sql(Vec::leak(inside)), 6).await;
    let elsewhere: &'static str = String::leak(
        COPY.replace("SELECT channel, SEAT", "SELECT OTHER, (SELECT seq + 1 FROM channel WHERE n = OTHER)"),
    );
    let counted = "UPDATE channel SET seq = seq + 1 WHERE n = OTHER";
    record.is_found("copied into another channel", Sql(Vec::leak(vec![elsewhere, counted]))).await;
}

both!(reordered_entries_are_found_where_the_order_breaks);
async fn reordered_entries_are_found_where_the_order_breaks() {
    let record = Record::new().await;
    let swap: &[&str] = &[
        "UPDATE entry SET seq = -1 WHERE channel = CH AND seq = 4",
        "UPDATE entry SET seq = 4 WHERE channel = CH AND seq = 6",
        "UPDATE entry SET seq = 6 WHERE channel = CH AND seq = -1",
    ];
    record.is_found_at("swapped", Sql(swap), 4).await;
    let moved: &[&str] = &[
        "UPDATE entry SET channel = -1 WHERE channel = CH AND seq = 4",
        "UPDATE entry SET channel = CH WHERE channel = OTHER AND seq = 4",
        "UPDATE entry SET channel = OTHER WHERE channel = -1",
    ];
    record.is_found_at("swapped between channels", Sql(moved), 4).await;
}

both!(a_channels_counter_and_head_are_held_against_its_chain);
async fn a_channels_counter_and_head_are_held_against_its_chain() {
    let record = Record::new().await;
    let last = record.victim.2;
    let up: &[&str] = &["UPDATE channel SET seq = seq + 1 WHERE n = CH"];
    record.is_found_at("counter up", Sql(up), last + 1).await;
    let down: &[&str] = &["UPDATE channel SET seq = seq - 1 WHERE n = CH"];
    record.is_found_at("counter down", Sql(down), last).await;
    let head: &[&str] = &["UPDATE channel SET head = zeroblob(32) WHERE n = CH"];
    record.is_found_at("another head", Sql(head), last).await;
    let patient: &[&str] = &["UPDATE channel SET patient = id WHERE n = CH"];
    record.is_found_at("another patient", Sql(patient), 1).await;
    let swapped: &[&str] = &[
        "UPDATE entry SET channel = -1 WHERE channel = CH",
        "UPDATE entry SET channel = CH WHERE channel = OTHER",
        "UPDATE entry SET channel = OTHER WHERE channel = -1",
    ];
    record.is_found_at("two channels' entries swapped whole", Sql(swapped), 1).await;
}

both!(a_removed_channel_is_found);
async fn a_removed_channel_is_found() {
    let record = Record::new().await;
    let row: &[&str] = &["DELETE FROM channel WHERE n = CH"];
    record.is_found("the channel's row removed", Sql(row)).await;
    let whole: &[&str] = &["DELETE FROM channel WHERE n = CH", "DELETE FROM entry WHERE channel = CH"];
    record.is_found("the channel removed with its entries", Sql(whole)).await;
}

both!(a_rollback_behind_a_signed_head_is_found_although_all_counters_agree);
async fn a_rollback_behind_a_signed_head_is_found_although_all_counters_agree() {
    let record = Record::new().await;
    let rollback: &[&str] = &[
        "DELETE FROM entry WHERE channel = CH AND seq > 5",
        "UPDATE channel SET seq = 5, head = (SELECT head FROM entry WHERE channel = CH AND seq = 5), \
         at = (SELECT at FROM entry WHERE channel = CH AND seq = 5) WHERE n = CH",
        "DELETE FROM thing WHERE channel = (SELECT id FROM channel WHERE n = CH) AND seq > 5",
    ];
    record.is_found_at("rolled back", Sql(rollback), 6).await;
}

both!(a_rollback_of_entries_that_no_head_was_signed_over_is_found_in_the_audit);
async fn a_rollback_of_entries_that_no_head_was_signed_over_is_found_in_the_audit() {
    let record = Record::new().await;
    let rollback: &[&str] = &[
        "DELETE FROM entry WHERE channel = CH AND seq = SIZE",
        "UPDATE channel SET seq = SIZE - 1, head = (SELECT head FROM entry WHERE channel = CH AND seq = SIZE - 1), \
         at = (SELECT at FROM entry WHERE channel = CH AND seq = SIZE - 1) WHERE n = CH",
        "DELETE FROM thing WHERE channel = (SELECT id FROM channel WHERE n = CH) AND seq = SIZE",
    ];
    record.is_found_at("the newest entry rolled back", Sql(rollback), record.victim.2).await;
}

both!(the_audit_streams_are_held_against_their_chains);
async fn the_audit_streams_are_held_against_their_chains() {
    let record = Record::new().await;
    for (name, statements) in [
        ("a line changed", &["UPDATE audit SET line = replace(line, '1', '2') WHERE n = 9"][..]),
        ("a line emptied", &["UPDATE audit SET line = '' WHERE n = 9"]),
        ("a row deleted", &["DELETE FROM audit WHERE n = 9"]),
        ("the first row deleted", &["DELETE FROM audit WHERE n = 1"]),
        ("a head changed", &["UPDATE audit SET head = zeroblob(32) WHERE n = 9"]),
        (
            "two rows swapped",
            &[
                "UPDATE audit SET n = -1 WHERE n = 9",
                "UPDATE audit SET n = 9 WHERE n = 10",
                "UPDATE audit SET n = 10 WHERE n = -1",
            ],
        ),
        (
            "a row doubled",
            &["INSERT INTO audit SELECT stream, n + 1, at, line, head FROM audit AS last \
               WHERE n = (SELECT max(n) FROM audit WHERE stream = last.stream)"],
        ),
    ] {
        let (code, told) = record.attacked(&Sql(statements)).await;
        let audit =
            told["faults"].as_array().is_some_and(|faults| faults.iter().any(|fault| !fault["audit"].is_null()));
        assert!(code == 1 && audit, "{name}: {told}");
    }
}

both!(the_site_log_is_held_against_its_signatures);
async fn the_site_log_is_held_against_its_signatures() {
    let record = Record::new().await;
    for (name, statements) in [
        ("a note changed", &["UPDATE site_leaf SET note = replace(note, '1', '2') WHERE n = 0"][..]),
        ("a hash changed", &["UPDATE site_leaf SET hash = zeroblob(32) WHERE n = 0"]),
        ("a leaf deleted", &["DELETE FROM site_leaf WHERE n = 1"]),
    ] {
        record.is_found(name, Sql(statements)).await;
    }
}

both!(a_server_does_not_start_on_a_record_whose_newest_entry_does_not_hold);
async fn a_server_does_not_start_on_a_record_whose_newest_entry_does_not_hold() {
    let record = Record::new().await;
    record.attacked(&Flip("body", record.victim.2)).await;
    let mut command = record.house.command(&[]);
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("verify --record"), "{told}");
}
