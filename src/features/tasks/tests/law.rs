//! Laws of tasks over a whole engine: the number of a task counts its changes, entries give its projection, a rebuild changes nothing.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::{get, make};
use crate::features::channels::{Ward, with};
use crate::features::tasks::entries::{CHANGED, Changed, State};
use crate::features::tasks::sql;
use crate::kernel::base::ThingId;
use crate::kernel::base::world::{MINUTE, rfc3339};
use crate::kernel::engine::rebuild;

const OPS: &[&str] = &[
    "task.accept",
    "task.decline",
    "task.start",
    "task.hold",
    "task.complete",
    "task.fail",
    "task.cancel",
    "task.assign",
    "task.update",
    "task.move",
];

/// Op, task, who, column, whether the number is an old one, minutes that pass.
type Step = (&'static str, usize, bool, State, bool, i64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let state = prop::sample::select(State::ALL.to_vec());
    let step = (prop::sample::select(OPS), 0..3_usize, any::<bool>(), state, prop::bool::weighted(0.1), 0..40_i64);
    prop::collection::vec(step, 1..30)
}

async fn rows(ward: &Ward) -> Vec<Value> {
    let mut tx = ward.house.engine.shared().db.read().await.unwrap();
    let mut rows = sql::open(&mut tx, ward.patient).await.unwrap();
    rows.extend(sql::ended(&mut tx, ward.patient, 0).await.unwrap());
    rows.sort_by_key(|row| row.id);
    rows.iter()
        .map(|row| json!([row.id, row.state, row.owner_user, row.place, row.ended, row.item_version, row.revision]))
        .collect()
}

async fn holds(steps: Vec<Step>) {
    let ward = Ward::open().await;
    let mut tasks = Vec::new();
    for n in 0..3 {
        let due = rfc3339(ward.house.world.now() + n * 100 * MINUTE);
        let more = json!({"owner": ward.nurse.user, "due": due, "repeat": {"rrule": "FREQ=DAILY", "zone": "UTC"}});
        tasks.push(make(&ward, &ward.lead, more).await);
    }
    for (n, (op, task, nurse, column, stale, minutes)) in steps.into_iter().enumerate() {
        ward.house.advance(minutes * MINUTE);
        ward.house.ring().await;
        let (task, who) = (tasks[task], if nurse { &ward.nurse } else { &ward.lead });
        let held = get(&ward, task).await;
        let rev = held["rev"].as_i64().unwrap() - i64::from(stale);
        let mut data = json!({"task": task, "rev": rev, "reason": "a"});
        match op {
            "task.assign" => data["owner"] = json!(if n % 2 == 0 { ward.nurse.user } else { ward.lead.user }),
            "task.update" => data["title"] = json!(format!("Dressing {n}")),
            "task.move" => data = with(data, json!({"column": column, "after": null})),
            _ => (),
        }
        let done = ward.house.try_run(who, op, data).await;
        let after = get(&ward, task).await;
        match done {
            Ok(reply) => {
                assert!(!stale);
                assert_eq!((&reply["rev"], reply["rev"].as_i64()), (&after["rev"], Some(rev + 1)));
                assert_eq!(reply["state"], after["state"]);
            }
            Err(_) => assert_eq!(after, held, "a refusal changes nothing"),
        }
    }
    // What the last step made due (the next of a task that repeats) is rung first.
    ward.house.ring().await;
    adds_up(&ward, &tasks).await;
    let before = (rows(&ward).await, get(&ward, tasks[0]).await);
    rebuild(ward.house.engine.shared()).await.unwrap();
    assert_eq!((rows(&ward).await, get(&ward, tasks[0]).await), before, "a rebuild changes nothing");
    assert_eq!(ward.house.ring().await, 0, "a rebuild rings nothing again");
}

/// The number of a task is one more than the entries that changed it, marks of the clock left out.
async fn adds_up(ward: &Ward, tasks: &[ThingId]) {
    let mut counts: HashMap<ThingId, i64> = HashMap::new();
    let page = ward.history(&ward.lead, ward.care_team, json!({"limit": 200})).await;
    for event in page["events"].as_array().unwrap().iter().filter(|event| event["event"] == CHANGED) {
        let body: Changed = serde_json::from_value(event["data"].clone()).unwrap();
        if body.after.overdue != Some(true) {
            *counts.entry(body.task).or_default() += 1;
        }
        assert_eq!(body.rev, 1 + counts.get(&body.task).copied().unwrap_or(0));
    }
    for task in tasks {
        assert_eq!(get(ward, *task).await["rev"], json!(1 + counts.get(task).copied().unwrap_or(0)));
    }
}

#[test]
fn tasks_are_what_their_entries_add_up_to() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut runner = TestRunner::new(Config { cases: 12, failure_persistence: None, ..Config::default() });
    let held = runner.run(&steps(), |steps| {
        runtime.block_on(holds(steps));
        Ok(())
    });
    if let Err(error) = held {
        panic!("{error}");
    }
}
