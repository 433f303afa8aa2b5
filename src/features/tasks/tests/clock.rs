//! What the clock says of tasks, and what comes again when one is completed.

use serde_json::json;

use super::{done, get, make, told};
use crate::features::channels::Ward;
use crate::kernel::base::ThingId;
use crate::kernel::base::world::{MINUTE, rfc3339};
use crate::testing::id_of;

const DAY: i64 = 24 * 60 * MINUTE;

#[tokio::test]
async fn owners_are_reminded_before_a_task_is_due_and_when_it_is_over() {
    let ward = Ward::open().await;
    let due = rfc3339(ward.house.world.now() + 120 * MINUTE);
    let task = make(&ward, &ward.lead, json!({"owner": ward.nurse.user, "due": due})).await;
    let why = async || {
        let told = told(&ward.house, &ward.nurse).await;
        told.into_iter().filter_map(|(_, said)| said["why"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    ward.house.advance(59 * MINUTE);
    assert_eq!(ward.house.ring().await, 0);
    ward.house.advance(2 * MINUTE);
    assert_eq!(ward.house.ring().await, 1);
    assert_eq!(why().await, ["due"]);
    // A change after that reminds nobody again.
    done(&ward, &ward.nurse, "task.accept", task, json!({})).await;
    assert_eq!(ward.house.ring().await, 0);
    ward.house.advance(60 * MINUTE);
    assert_eq!(ward.house.ring().await, 1);
    assert_eq!(why().await, ["due", "overdue"]);
    let event = ward.newest(ward.care_team).await;
    assert_eq!((&event["data"]["change"], &event["data"]["after"]), (&json!("overdue"), &json!({"overdue": true})));
    assert_eq!(event["by"], json!(ward.house.command_line().await.user));
    let held = get(&ward, task).await;
    assert_eq!((&held["overdue"], &held["rev"]), (&json!(true), &json!(2)));
    ward.house.advance(DAY);
    assert_eq!(ward.house.ring().await, 0);
    // A later time takes the mark away.
    let later = rfc3339(ward.house.world.now() + 10 * MINUTE);
    done(&ward, &ward.nurse, "task.update", task, json!({ "due": later })).await;
    assert_eq!(get(&ward, task).await["overdue"], json!(false));
    done(&ward, &ward.nurse, "task.complete", task, json!({})).await;
    ward.house.advance(DAY);
    assert_eq!(ward.house.ring().await, 0);
}

#[tokio::test]
async fn a_closed_channel_hears_nothing_more_of_the_clock() {
    let ward = Ward::open().await;
    let due = rfc3339(ward.house.world.now() + 120 * MINUTE);
    let channel = ward.channel("staff", &[]).await;
    make(&ward, &ward.nurse, json!({"channel": channel, "due": due})).await;
    ward.house.run(&ward.lead, "channel.archive", json!({ "channel": channel })).await;
    ward.house.advance(3 * 60 * MINUTE);
    ward.house.ring().await;
    assert_eq!(ward.newest(channel).await["event"], json!("channel.archived"));
    assert!(told(&ward.house, &ward.nurse).await.is_empty());
    assert_eq!(ward.house.ring().await, 0);
}

#[tokio::test]
async fn what_repeats_comes_again_when_it_is_completed() {
    let ward = Ward::open().await;
    let due = rfc3339(ward.house.world.now() + DAY);
    let more = json!({"owner": ward.nurse.user, "due": due, "checklist": [{"text": "Gauze", "done": true}],
                      "repeat": {"rrule": "FREQ=DAILY;INTERVAL=3;COUNT=2", "zone": "UTC"}});
    let task = make(&ward, &ward.lead, more).await;
    done(&ward, &ward.nurse, "task.accept", task, json!({})).await;
    ward.house.advance(DAY);
    let reply = done(&ward, &ward.nurse, "task.complete", task, json!({})).await;
    assert_eq!((&reply["id"], &reply["state"]), (&json!(task), &json!("completed")));
    let event = ward.newest(ward.care_team).await;
    assert_eq!((&event["event"], &event["data"]["repeats"]), (&json!("task.created"), &json!(task)));
    let next: ThingId = id_of(&event["data"], "id");
    let held = get(&ward, next).await;
    assert_eq!(
        (&held["state"], &held["checklist"][0]["done"], &held["rev"]),
        (&json!("ready"), &json!(false), &json!(1))
    );
    let at = |text: &serde_json::Value| crate::kernel::base::world::parse_rfc3339(text.as_str().unwrap()).unwrap();
    // A rule counts seconds.
    assert!((at(&held["due"]) - at(&json!(due)) - 3 * DAY).abs() < 1_000_000);
    done(&ward, &ward.nurse, "task.complete", next, json!({})).await;
    assert_eq!(ward.newest(ward.care_team).await["event"], json!("task.changed"), "the rule is over");
}

#[tokio::test]
async fn what_was_for_a_closed_item_does_not_come_again() {
    let ward = Ward::open().await;
    let repeat = json!({"rrule": "FREQ=WEEKLY", "zone": "Europe/Berlin"});
    let task = make(&ward, &ward.nurse, json!({ "repeat": repeat })).await;
    assert!(get(&ward, task).await["due"].is_string());
    ward.close(ward.wound).await;
    done(&ward, &ward.nurse, "task.complete", task, json!({})).await;
    assert_eq!(ward.newest(ward.care_team).await["event"], json!("task.changed"));
}
