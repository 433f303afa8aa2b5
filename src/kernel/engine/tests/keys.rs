//! Exactly once: what a key is, where it is one, and what its repeat is answered with.

use serde_json::{Value, json};

use super::{Ground, keyed, to};
use crate::kernel::base::{Code, Refusal};

fn repeat_of(first: &Value) -> Value {
    let mut again = first.clone();
    again["repeat"] = true.into();
    again
}

fn code(answer: Result<Value, Refusal>) -> Code {
    answer.expect_err("refused").code
}

#[tokio::test]
async fn the_same_key_and_command_get_the_first_answer() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let channel = ground.channel(&nurse).await;
    let key = ground.world.id();
    let job = (&nurse, "toy.note", keyed(channel, "x", key));
    let answers = ground.together(&[job.clone(), job.clone()]).await;
    let first = answers[0].clone().expect("done");
    assert_eq!(first.get("repeat"), None);
    assert_eq!(answers[1].clone().expect("done"), repeat_of(&first), "within one batch");
    let again = ground.run(&nurse, "toy.note", keyed(channel, "x", key)).await.expect("done");
    assert_eq!(again, repeat_of(&first), "in a later one");
    // Members in another order, the key in capitals: the same command.
    let text = format!(r#"{{"text":"x","key":"{}","channel":"{channel}"}}"#, key.to_string().to_uppercase());
    let again = ground.run(&nurse, "toy.note", serde_json::from_str(&text).unwrap()).await.expect("done");
    assert_eq!(again, repeat_of(&first));
    let ground = ground.restarted().await;
    let again = ground.run(&nurse, "toy.note", keyed(channel, "x", key)).await.expect("done");
    assert_eq!(again, repeat_of(&first), "after a restart");
    assert_eq!(ground.entries(channel).await.len(), 2);
    assert_eq!(ground.told(channel), [] as [i64; 0], "a repeat is no news");
}

#[tokio::test]
async fn the_same_key_with_another_command_is_a_conflict() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let channel = ground.channel(&nurse).await;
    let key = ground.world.id();
    ground.run(&nurse, "toy.note", keyed(channel, "x", key)).await.expect("done");
    for (op, data) in [
        ("toy.note", keyed(channel, "y", key)),
        ("toy.many", keyed(channel, "x", key)),
        ("toy.note", json!({ "channel": channel, "text": "x", "more": 1, "key": key })),
    ] {
        let refusal = ground.run(&nurse, op, data).await.unwrap_err();
        assert_eq!((refusal.code, refusal.field), (Code::Conflict, Some("key")));
    }
    assert_eq!(ground.entries(channel).await.len(), 2);
}

#[tokio::test]
async fn a_key_is_one_of_its_author_and_channel() {
    let ground = Ground::new().await;
    let (nurse, other) = (ground.nurse().await, ground.nurse().await);
    let (a, b, c) = (ground.channel(&nurse).await, ground.channel(&nurse).await, ground.channel(&other).await);
    let key = ground.world.id();
    for ground in [&ground] {
        let answers = ground
            .together(&[
                (&nurse, "toy.note", keyed(a, "x", key)),
                (&nurse, "toy.note", keyed(b, "x", key)),
                (&other, "toy.note", keyed(c, "x", key)),
                (&nurse, "toy.open", json!({ "key": key })),
            ])
            .await;
        assert!(answers.iter().all(|answer| answer.as_ref().unwrap().get("repeat").is_none()), "{answers:?}");
    }
    let ground = ground.restarted().await;
    let again = ground.run(&nurse, "toy.note", keyed(b, "x", key)).await.unwrap();
    assert_eq!((again["repeat"].as_bool(), again["channel"].as_str()), (Some(true), Some(&*b.to_string())));
    // Where the write makes the channel, the key is one of its author: no second patient.
    let again = ground.run(&nurse, "toy.open", json!({ "key": key })).await.unwrap();
    assert_eq!((again["repeat"].as_bool(), again["seq"].as_i64()), (Some(true), Some(1)));
    assert_eq!(code(ground.run(&nurse, "toy.open", json!({ "family": true, "key": key })).await), Code::Conflict);
}

#[tokio::test]
async fn a_refused_or_failed_command_leaves_its_key_free() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let channel = ground.channel(&nurse).await;
    for op in ["toy.refuse", "toy.fault", "toy.fault_at_commit", "toy.panic", "toy.refuse_late"] {
        let key = ground.world.id();
        let answers = ground
            .together(&[
                (&nurse, op, keyed(channel, "x", key)),
                (&nurse, "toy.note", keyed(channel, "x", key)),
                (&nurse, "toy.note", keyed(channel, "x", key)),
            ])
            .await;
        assert!(answers[0].is_err(), "{op}");
        assert_eq!(answers[1].as_ref().expect("done").get("repeat"), None, "{op}");
        assert_eq!(answers[2].as_ref().expect("done")["repeat"], true, "{op}");
    }
    assert_eq!(ground.entries(channel).await.len(), 6);
}

#[tokio::test]
async fn a_key_outlives_the_rotation_of_the_system_key() {
    let mut ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let channel = ground.channel(&nurse).await;
    let (before, after) = (ground.world.id(), ground.world.id());
    let first = ground.run(&nurse, "toy.note", keyed(channel, "x", before)).await.unwrap();
    ground.rotate_system_key();
    let second = ground.run(&nurse, "toy.note", keyed(channel, "y", after)).await.unwrap();
    let ground = ground.restarted().await;
    assert_eq!(ground.run(&nurse, "toy.note", keyed(channel, "x", before)).await.unwrap(), repeat_of(&first));
    assert_eq!(ground.run(&nurse, "toy.note", keyed(channel, "y", after)).await.unwrap(), repeat_of(&second));
    assert_eq!(code(ground.run(&nurse, "toy.note", keyed(channel, "y", before)).await), Code::Conflict);
    assert_eq!(ground.entries(channel).await.len(), 3);
}

#[tokio::test]
async fn what_was_done_before_its_channel_was_archived_is_still_known() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let channel = ground.channel(&nurse).await;
    let (key, archive) = (ground.world.id(), ground.world.id());
    let first = ground.run(&nurse, "toy.note", keyed(channel, "x", key)).await.unwrap();
    let archived = ground.run(&nurse, "toy.archive", keyed(channel, "", archive)).await.unwrap();
    assert_eq!(ground.run(&nurse, "toy.note", keyed(channel, "x", key)).await.unwrap(), repeat_of(&first));
    assert_eq!(ground.run(&nurse, "toy.archive", keyed(channel, "", archive)).await.unwrap(), repeat_of(&archived));
    assert_eq!(code(ground.run(&nurse, "toy.note", keyed(channel, "y", key)).await), Code::Conflict);
    assert_eq!(code(ground.run(&nurse, "toy.note", keyed(channel, "x", ground.world.id())).await), Code::Archived);
    assert_eq!(code(ground.run(&nurse, "toy.note", to(channel, "x")).await), Code::Archived);
    // A feature that does not ask for the key cannot write by this door.
    assert_eq!(code(ground.run(&nurse, "toy.unasked", keyed(channel, "x", key)).await), Code::Internal);
    assert_eq!(ground.entries(channel).await.len(), 3);
}

#[tokio::test]
async fn a_feature_that_would_lose_a_key_is_stopped() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let (a, b) = (ground.channel(&nurse).await, ground.channel(&nurse).await);
    let stray = |key| json!({ "channel": a, "other": b, "text": "x", "key": key });
    assert_eq!(code(ground.run(&nurse, "toy.stray", stray(Some(ground.world.id()))).await), Code::Internal);
    assert_eq!(code(ground.run(&nurse, "toy.stray", stray(None)).await), Code::Internal);
    assert_eq!(code(ground.run(&nurse, "toy.unasked", keyed(a, "x", ground.world.id())).await), Code::Internal);
    assert_eq!(code(ground.run(&nurse, "toy.claim_repeat", to(a, "x")).await), Code::Internal);
    assert_eq!((ground.entries(a).await.len(), ground.entries(b).await.len()), (1, 1));
}

#[tokio::test]
async fn what_is_no_key_is_refused() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let channel = ground.channel(&nurse).await;
    let id = ground.world.id();
    let braced = format!("{{{id}}}");
    for key in [json!(1), json!(true), json!(""), json!(id.simple().to_string()), json!(braced), json!([id])] {
        let refusal =
            ground.run(&nurse, "toy.note", json!({ "channel": channel, "key": key })).await.expect_err("refused");
        assert_eq!((refusal.code, refusal.field), (Code::Invalid, Some("key")), "{key}");
    }
    ground.run(&nurse, "toy.note", json!({ "channel": channel, "key": null })).await.expect("none");
}
