//! Signed heads, the check of a start and the walk of the whole, over a whole engine.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::kernel::base::config::Config;
use crate::kernel::base::{ChannelId, Code, Fault, PatientId};
use crate::kernel::crypto::head::HeadNote;
use crate::kernel::crypto::merkle;
use crate::kernel::engine::{News, Outlet, attest, patrol};
use crate::kernel::log::site::{self, Note};
use crate::kernel::log::{recent, sql};
use crate::kernel::policy::{PersonKind, Subject};
use crate::kernel::store::setting;
use crate::on_db;
use crate::testing::{House, id_of};

/// Keeps what passed by.
#[derive(Default)]
struct Ears(Mutex<Vec<Value>>);

impl Outlet for Ears {
    fn publish(&self, news: News) {
        let mut heard = self.0.lock().unwrap();
        heard.extend(news.passing.iter().map(|passing| serde_json::from_str(&passing.frame).unwrap()));
    }
}

struct Ward {
    house: House,
    ears: Arc<Ears>,
    lead: Subject,
    patient: PatientId,
    talk: ChannelId,
    whole: Value,
}

impl Ward {
    async fn open() -> Self {
        let ears = Arc::new(Ears::default());
        let house = House::with(Config::default(), ears.clone()).await;
        let lead = house.person("lead", PersonKind::Practitioner).await;
        let made = house.run(&lead, "patient.register", json!({"name": "Ruth Okafor"})).await;
        let (patient, talk) = (id_of(&made, "id"), id_of(&made, "care_team"));
        Self { ears, lead, patient, talk, whole: made["items"]["whole"].clone(), house }
    }

    async fn say(&self, channel: ChannelId) -> i64 {
        let data = json!({"channel": channel, "item": self.whole, "text": "x"});
        self.house.run(&self.lead, "message.post", data).await["seq"].as_i64().unwrap()
    }

    async fn round(&self) -> attest::Signed {
        self.house.engine.attest().round(self.house.engine.shared()).await.expect("signs")
    }

    async fn check(&self) -> Result<recent::Recent, Fault> {
        let shared = self.house.engine.shared();
        recent::check(&mut shared.db.read().await.unwrap(), &shared.vault).await
    }

    /// Another process changes the database; what stands in its way is taken away.
    async fn attack(&self, statements: &[&'static str]) {
        let mut tx = self.house.engine.shared().db.write().await.unwrap();
        for trigger in ["entry_keep_update", "entry_keep_delete", "audit_keep_update", "audit_keep_delete"] {
            let text = sqlx::AssertSqlSafe(format!("DROP TRIGGER IF EXISTS {trigger}"));
            on_db!(tx, |c| sqlx::raw_sql(text).execute(c).await.map(drop)).unwrap();
        }
        for statement in statements {
            on_db!(tx, |c| sqlx::query(*statement).bind(self.talk).execute(c).await.map(drop)).unwrap();
        }
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn what_changed_is_signed_once_told_and_in_the_site_log() {
    let ward = Ward::open().await;
    ward.say(ward.talk).await;
    let first = ward.round().await;
    assert_eq!(first.channels, 2, "the plan channel and the care team");
    assert_eq!(ward.round().await.channels, 0, "nothing changed since");
    ward.ears.0.lock().unwrap().clear();
    let seq = ward.say(ward.talk).await;
    assert_eq!(ward.round().await.channels, 1);
    let heard = std::mem::take(&mut *ward.ears.0.lock().unwrap());
    let [event] = &heard[..] else { panic!("{heard:?}") };
    let shared = ward.house.engine.shared();
    let head = sql::head(&mut shared.db.read().await.unwrap(), ward.talk).await.unwrap().unwrap();
    let signer = shared.vault.keyring().signer().unwrap();
    let note = HeadNote::verify(event["data"]["note"].as_str().unwrap(), signer.verifier()).expect("signed");
    assert_eq!((note.channel, note.size, note.head), (ward.talk, seq.unsigned_abs(), head.head));
    assert_eq!((&event["event"], &event["channel"], &event["seq"]), (&json!("head"), &json!(ward.talk), &Value::Null));
    assert_eq!(event["data"]["size"], seq);
    let mut tx = shared.db.read().await.unwrap();
    assert_eq!(site::signed_head(&mut tx, &shared.vault, ward.talk).await.unwrap(), Some((seq, head.head)));
    let mut last = None;
    assert!(attest::checkpoint(shared, &mut last).await.unwrap());
    assert!(!attest::checkpoint(shared, &mut last).await.unwrap(), "it has not grown");
    ward.house.advance(61 * 60_000_000);
    assert!(attest::checkpoint(shared, &mut last).await.unwrap(), "an hour has passed");
    assert!(!attest::checkpoint(shared, &mut None).await.unwrap(), "it was kept");
}

#[tokio::test]
async fn each_note_is_in_the_tree_of_every_checkpoint_after_it() {
    let ward = Ward::open().await;
    for _ in 0..7 {
        ward.say(ward.talk).await;
        ward.round().await;
    }
    let shared = ward.house.engine.shared();
    let mut tx = shared.db.read().await.unwrap();
    let leaves = site::sql::page(&mut tx, 0, 1000).await.unwrap();
    let hashes: Vec<[u8; 32]> = leaves.iter().map(|(_, hash, _)| site::sql::hash(hash).unwrap()).collect();
    let signer = shared.vault.keyring().signer().unwrap();
    let audits =
        leaves.iter().filter(|(_, _, note)| matches!(Note::verify(note, signer.verifier()), Ok(Note::Audit(_))));
    assert_eq!(audits.count(), 7, "the audit grew before each round");
    for size in 1..=hashes.len() {
        let root = merkle::root(&hashes[..size]);
        for (index, leaf) in hashes[..size].iter().enumerate() {
            let proof = site::inclusion(&mut tx, index as u64, size as u64).await.unwrap().expect("there");
            assert!(merkle::verify_inclusion(leaf, index as u64, size as u64, &proof, &root));
        }
    }
    assert_eq!(site::inclusion(&mut tx, 5, 5).await.unwrap(), None);
}

#[tokio::test]
async fn a_tree_that_was_never_kept_is_made_from_the_leaves() {
    let ward = Ward::open().await;
    for _ in 0..4 {
        ward.say(ward.talk).await;
        ward.round().await;
    }
    let shared = ward.house.engine.shared();
    let before = site::checkpoint(&mut shared.db.read().await.unwrap(), &shared.vault).await.unwrap();
    ward.attack(&["DELETE FROM site_node WHERE $1 IS NOT NULL"]).await;
    assert!(ward.check().await.is_err());
    site::prepare(&shared.db).await.unwrap();
    let after = site::checkpoint(&mut shared.db.read().await.unwrap(), &shared.vault).await.unwrap();
    assert_eq!((before.size, before.note), (after.size, after.note));
    ward.check().await.expect("holds");
}

#[tokio::test]
async fn a_start_looks_at_what_is_not_signed_and_hands_it_to_the_next_round() {
    let ward = Ward::open().await;
    let recent = ward.check().await.expect("holds");
    assert_eq!(recent.unsigned.len(), 2);
    ward.round().await;
    let recent = ward.check().await.expect("holds");
    assert!(recent.unsigned.is_empty() && recent.entries > 0, "the newest are looked at all the same");
    let house = {
        ward.say(ward.talk).await;
        ward.house.restarted().await
    };
    let shared = house.engine.shared();
    let recent = recent::check(&mut shared.db.read().await.unwrap(), &shared.vault).await.unwrap();
    assert_eq!(recent.unsigned.iter().map(|head| head.channel).collect::<Vec<_>>(), [ward.talk]);
    house.engine.attest().ask(&recent.unsigned);
    assert_eq!(house.engine.attest().round(shared).await.unwrap().channels, 1);
}

#[tokio::test]
async fn a_start_finds_what_was_done_to_the_end() {
    for (name, statements) in [
        (
            "a body",
            &[
                "UPDATE entry SET body = zeroblob(128) WHERE seq = 5 AND channel = (SELECT n FROM channel WHERE id = $1)",
            ][..],
        ),
        ("an entry", &["DELETE FROM entry WHERE seq = 3 AND channel = (SELECT n FROM channel WHERE id = $1)"]),
        ("a counter", &["UPDATE channel SET seq = seq + 1 WHERE id = $1"]),
        ("a head", &["UPDATE channel SET head = zeroblob(32) WHERE id = $1"]),
        (
            "the newest rolled back",
            &[
                "DELETE FROM entry WHERE seq = 5 AND channel = (SELECT n FROM channel WHERE id = $1)",
                "UPDATE channel SET seq = 4, head = (SELECT entry.head FROM entry WHERE entry.channel = channel.n AND entry.seq = 4) WHERE id = $1",
            ],
        ),
        ("an audit row", &["UPDATE audit SET line = '{}' WHERE $1 IS NOT NULL AND n = (SELECT MAX(n) - 1 FROM audit)"]),
        ("audit rows", &["DELETE FROM audit WHERE $1 IS NOT NULL AND n > 4"]),
        ("a note", &["UPDATE site_leaf SET note = replace(note, '0', '1') WHERE $1 IS NOT NULL AND n = 0"]),
        ("a leaf", &["DELETE FROM site_leaf WHERE $1 IS NOT NULL AND n = (SELECT MAX(n) FROM site_leaf)"]),
        ("the channel", &["DELETE FROM channel WHERE id = $1"]),
    ] {
        let ward = Ward::open().await;
        ward.say(ward.talk).await;
        ward.say(ward.talk).await;
        ward.round().await;
        attest::checkpoint(ward.house.engine.shared(), &mut None).await.unwrap();
        assert_eq!(ward.say(ward.talk).await, 5);
        ward.check().await.unwrap_or_else(|fault| panic!("{name}, before: {fault}"));
        ward.attack(statements).await;
        assert!(matches!(ward.check().await, Err(Fault::Integrity(_))), "{name}");
    }
}

#[tokio::test]
async fn the_walk_holds_a_broken_channel_and_lets_go_of_one_put_right() {
    let ward = Ward::open().await;
    ward.say(ward.talk).await;
    ward.say(ward.talk).await;
    let found = patrol::once(&ward.house.engine).await.expect("walks");
    assert!(found.channels.is_empty() && found.others.is_empty() && found.entries > 4, "{found:?}");
    assert_eq!(ward.round().await.channels, 2, "what no head was signed over is signed");
    ward.attack(&[
        "UPDATE entry SET author = zeroblob(16) WHERE seq = 2 AND channel = (SELECT n FROM channel WHERE id = $1)",
    ])
    .await;
    let found = patrol::once(&ward.house.engine).await.expect("walks");
    assert_eq!(found.channels.iter().map(|flaw| (flaw.channel, flaw.seq)).collect::<Vec<_>>(), [(ward.talk, 2)]);
    let post = json!({"channel": ward.talk, "item": ward.whole, "text": "x"});
    assert_eq!(ward.house.code(&ward.lead, "message.post", post.clone()).await, Code::Busy);
    ward.house
        .run(&ward.lead, "channel.open", json!({"patient": ward.patient, "name": "n", "audience": "staff"}))
        .await;
    // It is still held after a restart, and let go of once it is whole.
    let Ward { house, lead, talk, patient, whole, ears } = ward;
    let ward = Ward { house: house.restarted().await, lead, talk, patient, whole, ears };
    assert_eq!(ward.house.code(&ward.lead, "message.post", post).await, Code::Busy);
    ward.attack(&["UPDATE entry SET author = (SELECT author FROM entry AS other WHERE other.channel = entry.channel AND other.seq = 3) \
        WHERE seq = 2 AND channel = (SELECT n FROM channel WHERE id = $1)"])
        .await;
    assert!(patrol::once(&ward.house.engine).await.expect("walks").channels.is_empty());
    ward.say(ward.talk).await;
}

#[tokio::test]
async fn the_walk_finds_what_is_wrong_beside_channels() {
    for (name, statement) in [
        ("an audit row", "UPDATE audit SET line = '{}' WHERE $1 IS NOT NULL AND n = 2"),
        ("a site leaf", "UPDATE site_leaf SET hash = zeroblob(32) WHERE $1 IS NOT NULL AND n = 0"),
        ("a channel", "DELETE FROM channel WHERE id = $1"),
        ("a channel's entries", "UPDATE entry SET channel = 999 WHERE channel = (SELECT n FROM channel WHERE id = $1)"),
    ] {
        let ward = Ward::open().await;
        ward.say(ward.talk).await;
        ward.round().await;
        ward.attack(&[statement]).await;
        let found = patrol::once(&ward.house.engine).await.expect("walks");
        assert!(!found.others.is_empty(), "{name}: {found:?}");
        assert!(ward.house.engine.book().is_suspect());
    }
}

#[tokio::test]
async fn a_shredded_patient_is_not_broken_but_one_whose_key_is_missing_is() {
    let ward = Ward::open().await;
    ward.say(ward.talk).await;
    let shared = ward.house.engine.shared();
    shared.vault.keys().erase(ward.patient.0).await.unwrap();
    shared.vault.keyring().forget(ward.patient);
    assert_eq!(patrol::once(&ward.house.engine).await.expect("walks").channels.len(), 2);
    // What a shredding leaves as the last entry of each channel.
    let mut tx = shared.db.write().await.unwrap();
    on_db!(tx, |c| sqlx::raw_sql("DROP TRIGGER entry_keep_update").execute(c).await.map(drop)).unwrap();
    let heads = sql::heads_of(&mut tx, ward.patient).await.unwrap();
    for head in &heads {
        let row = sql::forward(&mut tx, head.n, head.seq - 1, head.seq, 1).await.unwrap().remove(0);
        let before = sql::link(&mut tx, head.n, head.seq - 1).await.unwrap().map(|(_, hash)| hash).unwrap();
        let leaf = crate::kernel::crypto::Leaf {
            kind: crate::kernel::crypto::chain::kind::SHRED,
            flags: u8::try_from(row.flags).unwrap(),
            epoch: 0,
            patient: head.patient,
            channel: head.channel,
            seq: row.seq.unsigned_abs(),
            entry: row.id,
            author: row.author,
            at: row.at,
            item: row.item.unwrap_or(crate::kernel::base::ItemId::ZERO),
            commit: row.commitment.try_into().unwrap(),
            files: [0; 32],
        };
        let hash = crate::kernel::crypto::chain::next(&before.try_into().unwrap(), &leaf.to_bytes());
        let set = "UPDATE entry SET kind = 9, head = $3 WHERE channel = $1 AND seq = $2";
        on_db!(tx, |c| sqlx::query(set).bind(head.n).bind(head.seq).bind(&hash[..]).execute(c).await.map(drop))
            .unwrap();
        let set = "UPDATE channel SET head = $2 WHERE n = $1";
        on_db!(tx, |c| sqlx::query(set).bind(head.n).bind(&hash[..]).execute(c).await.map(drop)).unwrap();
    }
    tx.commit().await.unwrap();
    let found = patrol::once(&ward.house.engine).await.expect("walks");
    assert!(found.channels.is_empty(), "{found:?}");
    ward.check().await.expect("a start takes it, too");
}

#[tokio::test]
async fn a_walk_is_due_once_a_day_and_goes_on_where_it_was() {
    let ward = Ward::open().await;
    let shared = ward.house.engine.shared();
    let place = async || {
        let kept = setting::get(&mut shared.db.read().await.unwrap(), setting::PATROL).await.unwrap();
        serde_json::from_slice::<Value>(&kept.unwrap()).unwrap()
    };
    patrol::once(&ward.house.engine).await.unwrap();
    assert_eq!(place().await["done"], true);
    assert!(!patrol::is_due(&ward.house.engine).await.unwrap());
    ward.house.advance(25 * 3_600_000_000);
    assert!(patrol::is_due(&ward.house.engine).await.unwrap());
    patrol::demand(&ward.house.engine).await.unwrap();
    assert!(patrol::is_due(&ward.house.engine).await.unwrap());
}
