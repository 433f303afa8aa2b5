//! Tasks of somebody who left, and of a responsibility that goes from one to another.

use serde_json::json;

use super::{done, get, make, refused, told};
use crate::features::channels::Ward;
use crate::features::tasks;
use crate::kernel::base::Code;
use crate::kernel::engine::rebuild;

#[tokio::test]
async fn a_leavers_tasks_return_to_the_lead() {
    let ward = Ward::open().await;
    let open = make(&ward, &ward.lead, json!({"owner": ward.nurse.user})).await;
    done(&ward, &ward.nurse, "task.accept", open, json!({})).await;
    let over = make(&ward, &ward.nurse, json!({})).await;
    done(&ward, &ward.nurse, "task.complete", over, json!({})).await;
    let declined = make(&ward, &ward.lead, json!({"owner": ward.nurse.user})).await;
    done(&ward, &ward.nurse, "task.decline", declined, json!({"reason": "On leave"})).await;
    ward.leave(&ward.nurse).await;
    for task in [open, declined] {
        let held = get(&ward, task).await;
        assert_eq!((&held["state"], &held["owner"]), (&json!("requested"), &json!({"responsibility": "lead"})));
        assert_eq!(held["returned_from"], json!(ward.nurse.user));
    }
    assert_eq!(get(&ward, over).await["owner"], json!(ward.nurse.user));
    assert_eq!(told(&ward.house, &ward.lead).await.len(), 2);
    let events = ward.history(&ward.lead, ward.care_team, json!({"limit": 3})).await;
    let names: Vec<_> = events["events"].as_array().unwrap().iter().map(|event| event["event"].clone()).collect();
    assert_eq!(names, ["task.changed", "task.changed", "team.left"]);
    assert_eq!(events["events"][0]["data"]["change"], json!("return"));
    done(&ward, &ward.lead, "task.accept", open, json!({})).await;
}

#[tokio::test]
async fn a_responsibility_is_answered_for_by_whoever_holds_it() {
    let ward = Ward::open().await;
    let task = make(&ward, &ward.lead, json!({"owner": {"responsibility": "plan"}})).await;
    assert_eq!(refused(&ward, &ward.nurse, "task.accept", task, json!({})).await.code, Code::Forbidden);
    let data = json!({"patient": ward.patient, "user": ward.nurse.user, "responsibilities": ["plan"]});
    ward.house.run(&ward.lead, "team.change", data).await;
    let reply = done(&ward, &ward.nurse, "task.accept", task, json!({})).await;
    assert_eq!(reply["state"], json!("accepted"));
}

#[tokio::test]
async fn what_a_handoff_can_take_along() {
    let ward = Ward::open().await;
    let own = make(&ward, &ward.nurse, json!({})).await;
    let over = make(&ward, &ward.nurse, json!({})).await;
    done(&ward, &ward.nurse, "task.complete", over, json!({})).await;
    let narrow = ward.channel("named", &[&ward.nurse]).await;
    let hidden = make(&ward, &ward.nurse, json!({ "channel": narrow })).await;
    let mut reader = ward.house.engine.reader(ward.lead.clone()).await.unwrap();
    let access = reader.access(ward.patient).await.unwrap().unwrap();
    drop(reader);
    assert!(!access.channels[&narrow].readers.is_empty());
    let listed = async |who: &crate::kernel::policy::Subject, filter: tasks::Filter| {
        let mut reader = ward.house.engine.reader(who.clone()).await.unwrap();
        let access = reader.access(ward.patient).await.unwrap().unwrap();
        let found = tasks::listed(&mut reader, &access, &filter).await.unwrap();
        found.into_iter().map(|one| one.task["id"].clone()).collect::<Vec<_>>()
    };
    let mine = tasks::Filter { owner: Some(tasks::Owner::Mine), ..tasks::Filter::default() };
    assert_eq!(listed(&ward.nurse, mine).await, [json!(own), json!(over), json!(hidden)]);
    let open = tasks::Filter { ended_since: i64::MAX, ..mine };
    assert_eq!(listed(&ward.nurse, open).await, [json!(own), json!(hidden)]);
    assert!(listed(&ward.lead, mine).await.is_empty());
    assert!(listed(&ward.daughter, tasks::Filter::default()).await.is_empty());
    let before = listed(&ward.lead, tasks::Filter::default()).await;
    rebuild(ward.house.engine.shared()).await.unwrap();
    assert_eq!(listed(&ward.lead, tasks::Filter::default()).await, before);
}
