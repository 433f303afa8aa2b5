//! Alarms: rung once, at their time, over restarts and rebuilds; what is refused waits and holds up nothing.

use serde_json::json;
use uuid::Uuid;

use super::Ground;
use crate::kernel::base::ChannelId;
use crate::kernel::base::world::MINUTE;
use crate::kernel::engine::{alarm, rebuild};
use crate::kernel::policy::Subject;

async fn set(ground: &Ground, nurse: &Subject, channel: ChannelId, thing: Uuid, at: Option<i64>, stubborn: bool) {
    let data = json!({"channel": channel, "thing": thing, "at": at, "stubborn": stubborn});
    ground.run(nurse, "toy.set", data).await.expect("set");
}

async fn ring(ground: &Ground, by: &Subject) -> usize {
    alarm::ring_due(&ground.engine, by).await.expect("rings")
}

/// How many entries the channel has.
async fn entries(ground: &Ground, nurse: &Subject, channel: ChannelId) -> usize {
    let page = ground.run(nurse, "toy.page", json!({ "channel": channel })).await.expect("a page");
    page["seqs"].as_array().expect("a list").len()
}

#[tokio::test]
async fn an_alarm_rings_once_at_its_time() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let host = Subject { command_line: true, ..nurse.clone() };
    let channel = ground.channel(&nurse).await;
    let (thing, at) = (ground.world.id(), ground.world.now() + 10 * MINUTE);
    set(&ground, &nurse, channel, thing, Some(at), false).await;
    assert_eq!(ring(&ground, &host).await, 0);
    ground.world.advance(11 * MINUTE);
    assert_eq!((ring(&ground, &host).await, entries(&ground, &nurse, channel).await), (1, 3));
    assert_eq!(ring(&ground, &host).await, 0);
    let ground = ground.restarted().await;
    assert_eq!(ring(&ground, &host).await, 0, "a restart rings nothing again");
    rebuild(ground.engine.shared()).await.expect("rebuilt");
    assert_eq!(ring(&ground, &host).await, 0, "a rebuild rings nothing again");
    assert_eq!(entries(&ground, &nurse, channel).await, 3);

    // Set anew for another time it rings again; ended, it does not.
    set(&ground, &nurse, channel, thing, Some(at + MINUTE), false).await;
    assert_eq!(ring(&ground, &host).await, 1);
    set(&ground, &nurse, channel, thing, Some(at + 2 * MINUTE), false).await;
    set(&ground, &nurse, channel, thing, None, false).await;
    ground.world.advance(60 * MINUTE);
    assert_eq!(ring(&ground, &host).await, 0);
}

#[tokio::test]
async fn what_cannot_be_rung_waits_and_holds_up_no_other() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let host = Subject { command_line: true, ..nurse.clone() };
    let (stubborn, willing) = (ground.channel(&nurse).await, ground.channel(&nurse).await);
    let now = ground.world.now();
    let (first, second) = (ground.world.id(), ground.world.id());
    set(&ground, &nurse, stubborn, first, Some(now - MINUTE), true).await;
    set(&ground, &nurse, willing, second, Some(now), false).await;
    assert_eq!(ring(&ground, &host).await, 1);
    assert_eq!(entries(&ground, &nurse, willing).await, 3);
    // It gives in, and is rung then.
    set(&ground, &nurse, stubborn, first, Some(now - MINUTE), false).await;
    assert_eq!(ring(&ground, &host).await, 1);
    assert_eq!(entries(&ground, &nurse, stubborn).await, 4);
}

#[tokio::test]
async fn nobody_but_the_server_rings() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let channel = ground.channel(&nurse).await;
    let (thing, at) = (ground.world.id(), ground.world.now());
    set(&ground, &nurse, channel, thing, Some(at), false).await;
    let data = json!({"thing": thing, "at": at, "op": super::toy::RING}).as_object().cloned().expect("an object");
    let refused = ground.engine.run_internal(nurse.clone(), super::toy::RING, data).await.expect_err("refused");
    assert_eq!(refused.code, crate::kernel::base::Code::Forbidden);
    assert!(ground.run(&nurse, super::toy::RING, json!({})).await.is_err(), "peers do not reach it");
}
