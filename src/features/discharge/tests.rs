//! Closing a record over a whole engine: refused with a list while work is open, read-only then, and open again for a reason.

use serde_json::{Value, json};

use crate::features::channels::{Ward, with};
use crate::kernel::base::Code;
use crate::kernel::engine::rebuild;
use crate::testing::{id_of, key};

async fn task(ward: &Ward) -> Value {
    let data = json!({"channel": ward.care_team, "item": ward.wound, "title": "Dress the wound"});
    ward.house.run(&ward.lead, "task.create", data).await
}

#[tokio::test]
async fn a_record_with_open_work_is_not_closed_and_says_what_is_open() {
    let ward = Ward::open().await;
    let made = task(&ward).await;
    let marker =
        json!({"channel": ward.care_team, "item": ward.wound, "medium": "phone", "with": [{"name": "Dr. Osei"}]});
    let marker = ward.house.run(&ward.nurse, "note.open", marker).await;
    let unsorted = ward.post(&ward.nurse, ward.care_team, "Where does this belong?").await;
    let close = json!({"patient": ward.patient, "reason": "Discharged home"});
    let refusal = ward.house.refused(&ward.lead, "patient.close", close.clone()).await;
    assert_eq!(refusal.code, Code::Conflict);
    let open = &refusal.to_json()["open"];
    let expected = json!({"tasks": [made["id"]], "notes": [marker["id"]], "handoffs": [], "unsorted": [unsorted]});
    assert_eq!(*open, expected);

    let done = json!({"task": made["id"], "rev": 1});
    ward.house.run(&ward.lead, "task.complete", done).await;
    ward.house.run(&ward.nurse, "note.dismiss", json!({"note": marker["id"], "reason": "No answer"})).await;
    ward.house.run(&ward.nurse, "message.relink", json!({"message": unsorted, "item": ward.wound})).await;
    let keyed = with(close, json!({"key": key(&ward.house.world)}));
    let reply = ward.house.run(&ward.lead, "patient.close", keyed.clone()).await;
    assert_eq!((&reply["patient"], &reply["closed"]), (&json!(ward.patient), &json!(true)));
    assert_eq!(ward.house.run(&ward.lead, "patient.close", keyed).await, with(reply, json!({"repeat": true})));
}

#[tokio::test]
async fn a_closed_record_is_read_and_takes_no_word_more() {
    let ward = Ward::open().await;
    let family = ward.channel("shared", &[]).await;
    ward.house.run(&ward.lead, "patient.close", json!({"patient": ward.patient, "reason": "Moved"})).await;
    let code = async |who, op: &str, data| ward.house.code(who, op, data).await;
    let post = json!({"channel": ward.care_team, "item": ward.wound, "text": "a"});
    assert_eq!(code(&ward.nurse, "message.post", post).await, Code::Archived);
    let post = json!({"channel": family, "item": ward.unsorted, "text": "a"});
    assert_eq!(code(&ward.daughter, "message.post", post).await, Code::Archived);
    let item = json!({"patient": ward.patient, "kind": "goal", "title": "Walks"});
    assert_eq!(code(&ward.lead, "plan_item.add", item).await, Code::Archived);
    let join = json!({"patient": ward.patient, "user": ward.outsider.user, "role": "Nurse"});
    assert_eq!(code(&ward.lead, "team.add", join).await, Code::Archived);
    // Reading goes on, and who is no longer concerned can still be taken off the team.
    assert_eq!(ward.newest(ward.care_team).await["event"], json!("patient.changed"));
    let told = ward.history(&ward.daughter, family, json!({"limit": 1})).await["events"][0]["data"].clone();
    assert_eq!((&told["closed"], told.get("reason")), (&json!(true), None), "family is not told why");
    ward.leave(&ward.nurse).await;

    rebuild(ward.house.engine.shared()).await.unwrap();
    let again = json!({"patient": ward.patient});
    assert_eq!(code(&ward.lead, "patient.close", again.clone()).await, Code::Conflict);
    assert_eq!(code(&ward.lead, "patient.reopen", again.clone()).await, Code::ReasonRequired);
    assert_eq!(
        code(&ward.daughter, "patient.reopen", with(again.clone(), json!({"reason": "b"}))).await,
        Code::Forbidden
    );
    assert_eq!(
        code(&ward.outsider, "patient.reopen", with(again.clone(), json!({"reason": "b"}))).await,
        Code::NotFound
    );
    ward.house.run(&ward.lead, "patient.reopen", with(again.clone(), json!({"reason": "Readmitted"}))).await;
    assert_eq!(code(&ward.lead, "patient.reopen", with(again, json!({"reason": "b"}))).await, Code::Conflict);
    let answer = ward
        .house
        .run(&ward.lead, "message.post", json!({"channel": ward.care_team, "item": ward.wound, "text": "Back"}))
        .await;
    let _: crate::kernel::base::ThingId = id_of(&answer, "id");
}

#[tokio::test]
async fn what_is_made_in_the_same_commit_is_open_work_too() {
    let ward = Ward::open().await;
    let data = |value: Value| value.as_object().unwrap().clone();
    let create = json!({"channel": ward.care_team, "item": ward.wound, "title": "Dress the wound"});
    let engine = &ward.house.engine;
    // Queued one after the other, before the committer runs: one batch.
    let made = engine.run_internal(ward.lead.clone(), "task.create", data(create));
    let closed = engine.run_internal(ward.lead.clone(), "patient.close", data(json!({"patient": ward.patient})));
    let (made, closed) = tokio::join!(made, closed);
    let task = made.unwrap()["id"].clone();
    assert_eq!(closed.unwrap_err().to_json()["open"]["tasks"], json!([task]));
}
