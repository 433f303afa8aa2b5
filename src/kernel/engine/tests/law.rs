//! Law 6: `seq` of a channel is 1..n, everywhere, always; under any interleaving of commands that are good, refused or faulty.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use uuid::Uuid;

use super::toy::{expected, outcome};
use super::{Ground, keyed};
use crate::kernel::base::{ChannelId, Code, Secret};
use crate::kernel::store::Location;

#[path = "../../../../tests/postgres/mod.rs"]
mod postgres;

const OPS: &[&str] = &[
    "toy.note",
    "toy.note",
    "toy.note",
    "toy.many",
    "toy.refuse",
    "toy.refuse_late",
    "toy.fault",
    "toy.fault_at_commit",
    "toy.panic",
];
const CHANNELS: usize = 3;

/// One command: op, channel, whether it repeats the one before it.
type Step = (&'static str, usize, bool);

fn batches() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step = (prop::sample::select(OPS), 0..CHANNELS, prop::bool::weighted(0.2));
    prop::collection::vec(prop::collection::vec(step, 1..12), 1..4)
}

async fn holds(ground: Ground, batches: Vec<Vec<Step>>) {
    let nurse = ground.nurse().await;
    let mut channels = Vec::new();
    for _ in 0..CHANNELS {
        channels.push(ground.channel(&nurse).await);
    }
    // Entries by id as the answers told of them, and how many there must be.
    let mut answered: HashMap<String, Value> = HashMap::new();
    let mut wanted: HashMap<ChannelId, usize> = channels.iter().map(|channel| (*channel, 1)).collect();
    for batch in batches {
        let mut jobs: Vec<(&str, usize, Uuid)> = Vec::new();
        for (op, channel, again) in batch {
            let job = if again { jobs.last().copied() } else { None };
            jobs.push(job.unwrap_or((op, channel, ground.world.id())));
        }
        let others = |channel: usize| json!([channels[(channel + 1) % CHANNELS], channels[channel]]);
        let commands: Vec<_> = jobs
            .iter()
            .map(|(op, channel, key)| {
                let mut data = keyed(channels[*channel], "x", *key);
                data["others"] = others(*channel);
                (&nurse, *op, data)
            })
            .collect();
        for ((op, channel, _), answer) in jobs.iter().zip(ground.together(&commands).await) {
            assert_eq!(outcome(&answer), expected(op), "{op}");
            let Ok(answer) = answer else { continue };
            let id = answer["id"].as_str().expect("an id").to_owned();
            if answer.get("repeat").is_some() {
                let mut first = answered[&id].clone();
                first["repeat"] = true.into();
                assert_eq!(answer, first);
                continue;
            }
            assert!(answered.insert(id, answer).is_none(), "made twice");
            *wanted.get_mut(&channels[*channel]).expect("known") += if *op == "toy.many" { 2 } else { 1 };
            if *op == "toy.many" {
                *wanted.get_mut(&channels[(*channel + 1) % CHANNELS]).expect("known") += 1;
            }
        }
    }
    for channel in channels {
        // Walks every chain and the audit as well.
        let entries = ground.entries(channel).await;
        assert_eq!(entries.len(), wanted[&channel]);
        let seqs: Vec<i64> = entries.iter().map(|fact| fact.seq).collect();
        assert_eq!(seqs, (1..=entries.len() as i64).collect::<Vec<_>>());
        assert_eq!(ground.told(channel), seqs, "told in order, each once");
        for answer in answered.values().filter(|answer| answer["channel"] == json!(channel)) {
            let fact = &entries[answer["seq"].as_u64().expect("a seq") as usize - 1];
            assert_eq!(answer["id"], json!(fact.id));
            assert_eq!(answer["head"], crate::kernel::crypto::base64(&fact.head));
        }
    }
}

fn run(cases: u32, ground: impl AsyncFn() -> Ground) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let held = runner.run(&batches(), |batches| {
        runtime.block_on(async { holds(ground().await, batches).await });
        Ok(())
    });
    if let Err(error) = held {
        panic!("{error}");
    }
}

#[test]
fn seq_is_gapless_on_sqlite() {
    run(24, Ground::new);
}

/// What one node knows of heads, keys and standing is not believed once another one wrote.
#[tokio::test]
async fn two_nodes_on_one_postgres_write_one_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let ground = Ground::on(folder, Location::Postgres(Secret::new(postgres::Cluster::shared().database()))).await;
    let nurse = ground.nurse().await;
    let channel = ground.channel(&nurse).await;
    let other = ground.second_node().await;
    let data = |n: i64, key| keyed(channel, &n.to_string(), key).as_object().cloned().expect("an object");
    for n in 0..12 {
        let key = ground.world.id();
        let (node, beside) = if n % 2 == 0 { (&ground.engine, &other) } else { (&other, &ground.engine) };
        let first = node.run(nurse.clone(), "toy.note", data(n, key)).await.expect("done");
        assert_eq!(first["seq"], json!(n + 2));
        let again = beside.run(nurse.clone(), "toy.note", data(n, key)).await.expect("done");
        assert_eq!((&again["id"], &again["repeat"]), (&first["id"], &json!(true)));
    }
    ground.run(&nurse, "toy.leave", json!({ "channel": channel, "member": nurse.user })).await.expect("left");
    let after = other.run(nurse.clone(), "toy.note", data(0, ground.world.id())).await.expect_err("left");
    let read = other.run(nurse.clone(), "toy.page", data(0, ground.world.id())).await.expect_err("left");
    assert_eq!((after.code, read.code), (Code::NotFound, Code::NotFound));
    assert_eq!(ground.entries(channel).await.len(), 14);
    other.stop().await;
}

#[test]
fn seq_is_gapless_on_postgres() {
    run(6, async || {
        let folder = tempfile::tempdir().expect("a folder");
        Ground::on(folder, Location::Postgres(Secret::new(postgres::Cluster::shared().database()))).await
    });
}
