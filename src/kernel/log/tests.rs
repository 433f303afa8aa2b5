//! Pages over what somebody may read, and holes that must not pass for an end.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::value::to_raw_value;

use super::{Cursor, Head, NewFact, append, newest, page, since, sql};
use crate::kernel::base::{ChannelId, EntryId, Fault, ItemId, PatientId, UserId};
use crate::kernel::crypto::chain::{genesis, kind};
use crate::kernel::store::append::{self as rows, HeadRow, NewChannel};
use crate::on_db;
use crate::testing::House;

/// A channel with `entries` entries beside another one.
async fn written(house: &House, entries: i64) -> Head {
    let shared = house.engine.shared();
    let (vault, world) = (&shared.vault, &house.world);
    let patient = PatientId(world.id());
    vault.create_patient(patient).await.expect("a key");
    let key = vault.patient(patient).await.expect("a key");
    let mut tx = shared.db.write().await.expect("a transaction");
    let mut of_test = None;
    for count in [3, entries] {
        let channel = ChannelId(world.id());
        let h0 = genesis(vault.deployment(), patient, channel);
        let new = NewChannel { id: channel.0, patient: patient.0, head: h0, epoch: 0, at: 0 };
        rows::channel(&mut tx, &new).await.expect("a row");
        let mut head = sql::head(&mut tx, channel).await.expect("reads").expect("a channel");
        let entries: Vec<_> = (0..count)
            .map(|_| {
                let new = NewFact {
                    id: EntryId(world.id()),
                    event: "message.posted",
                    kind: kind::MESSAGE,
                    item: Some(ItemId(patient.0)),
                    body: to_raw_value(&serde_json::json!({"text": "x"})).expect("JSON"),
                    files: [0; 32],
                    by: UserId(patient.0),
                    now: world.now(),
                };
                append(vault, &key, &mut head, new).expect("an entry").row
            })
            .collect();
        rows::entries(&mut tx, &entries).await.expect("rows");
        let moved = HeadRow { n: head.n, seq: head.seq, head: head.head, at: head.at };
        rows::heads(&mut tx, &[moved]).await.expect("a row");
        of_test = Some(head);
    }
    tx.commit().await.expect("committed");
    of_test.expect("two channels")
}

const LONG: i64 = 40;

/// Ascending spans without overlap, none beyond the channel's end.
fn spans() -> impl Strategy<Value = Vec<[i64; 2]>> {
    prop::collection::vec((0_i64..8, 1_i64..12), 0..6).prop_map(|lengths| {
        let mut next = 1;
        let mut spans = Vec::new();
        for (pause, run) in lengths {
            let (first, last) = (next + pause, (next + pause + run - 1).min(LONG));
            if first > LONG {
                break;
            }
            spans.push([first, last]);
            next = last + 1;
        }
        spans
    })
}

fn cursor() -> impl Strategy<Value = Cursor> {
    let far = prop::sample::select(vec![i64::MIN, -1, 0, LONG, LONG + 1, i64::MAX]);
    let place = prop_oneof![3 => -2..LONG + 3, 1 => far];
    prop_oneof![Just(Cursor::Newest), place.clone().prop_map(Cursor::Before), place.prop_map(Cursor::After),]
}

fn run<S: Strategy>(cases: u32, strategy: &S, test: impl AsyncFn(&House, &Head, S::Value)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (house, head) = runtime.block_on(async {
        let house = House::new().await;
        let head = written(&house, LONG).await;
        (house, head)
    });
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let held = runner.run(strategy, |value| {
        runtime.block_on(test(&house, &head, value));
        Ok(())
    });
    if let Err(error) = held {
        panic!("{error}");
    }
}

async fn seqs(house: &House, head: &Head, readable: &[[i64; 2]], cursor: Cursor, limit: i64) -> (Vec<i64>, bool) {
    let shared = house.engine.shared();
    let mut tx = shared.db.read().await.expect("a snapshot");
    let (facts, more) = page(&mut tx, &shared.vault, head, readable, cursor, limit).await.expect("a page");
    assert!(facts.iter().all(|fact| fact.channel == head.channel));
    (facts.iter().map(|fact| fact.seq).collect(), more)
}

#[test]
fn a_page_is_what_may_be_read_and_says_whether_there_is_more() {
    run(600, &(spans(), cursor(), 1_i64..30), async |house, head, (readable, cursor, limit)| {
        let all: Vec<i64> = readable.iter().flat_map(|[first, last]| *first..=*last).collect();
        let within: Vec<i64> = all
            .into_iter()
            .filter(|seq| match cursor {
                Cursor::Newest => true,
                Cursor::Before(before) => *seq < before,
                Cursor::After(after) => *seq > after,
            })
            .collect();
        let length = within.len().min(limit as usize);
        let wanted = match cursor {
            Cursor::After(_) => &within[..length],
            Cursor::Newest | Cursor::Before(_) => &within[within.len() - length..],
        };
        let (found, more) = seqs(house, head, &readable, cursor, limit).await;
        assert_eq!((found.as_slice(), more), (wanted, within.len() > length));
    });
}

#[test]
fn turning_pages_either_way_gives_every_entry_once() {
    run(100, &(spans(), 1_i64..12), async |house, head, (readable, limit)| {
        let all: Vec<i64> = readable.iter().flat_map(|[first, last]| *first..=*last).collect();
        let (mut forth, mut after, mut more) = (Vec::new(), 0, true);
        while more {
            let found;
            (found, more) = seqs(house, head, &readable, Cursor::After(after), limit).await;
            after = found.last().copied().unwrap_or(after);
            forth.extend(found);
        }
        assert_eq!(forth, all);
        let (mut back, mut cursor, mut more) = (Vec::new(), Cursor::Newest, true);
        while more {
            let found;
            (found, more) = seqs(house, head, &readable, cursor, limit).await;
            cursor = found.first().map_or(cursor, |first| Cursor::Before(*first));
            back.extend(found.into_iter().rev());
        }
        back.reverse();
        assert_eq!(back, all);
    });
}

#[tokio::test]
async fn a_hole_is_a_fault_and_never_a_shorter_page() {
    let house = House::new().await;
    let head = written(&house, 9).await;
    let shared = house.engine.shared();
    let mut tx = shared.db.write().await.expect("a transaction");
    on_db!(tx, |c| sqlx::query("DROP TRIGGER entry_keep_delete").execute(c).await.map(drop)).expect("dropped");
    for seq in [5_i64, 9] {
        const DELETE: &str = "DELETE FROM entry WHERE channel = $1 AND seq = $2";
        on_db!(tx, |c| sqlx::query(DELETE).bind(head.n).bind(seq).execute(c).await.map(drop)).expect("deleted");
    }
    tx.commit().await.expect("committed");
    let mut tx = shared.db.read().await.expect("a snapshot");
    let vault = &shared.vault;
    let broken = |facts: Result<usize, Fault>| matches!(facts, Err(Fault::Integrity(_)));
    for (after, to, limit) in [(0, 9, 20), (4, 6, 1), (5, 9, 20), (8, 9, 1), (3, 5, 2)] {
        assert!(broken(since(&mut tx, vault, &head, after, to, limit).await.map(|facts| facts.len())), "{after}");
    }
    for (from, before, limit) in [(1, 10, 20), (1, 6, 1), (1, 6, 20), (4, 7, 3), (9, 10, 1)] {
        assert!(broken(newest(&mut tx, vault, &head, from, before, limit).await.map(|facts| facts.len())), "{from}");
    }
    let whole = [[1, 9]];
    for cursor in [Cursor::Newest, Cursor::Before(7), Cursor::After(2)] {
        let found = page(&mut tx, vault, &head, &whole, cursor, 50).await;
        assert!(broken(found.map(|(facts, _)| facts.len())), "{cursor:?}");
    }
    // Beside the holes all is there.
    assert_eq!(since(&mut tx, vault, &head, 5, 8, 50).await.expect("unbroken").len(), 3);
    assert_eq!(newest(&mut tx, vault, &head, 1, 5, 2).await.expect("unbroken").len(), 2);
}
