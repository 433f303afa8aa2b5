//! From the marker to the addendum: who may do what to a note, what reminds of it, and what a rebuild makes of all that.

use serde_json::{Value, json};

use super::call;
use crate::features::channels::{Ward, with};
use crate::features::notes;
use crate::kernel::base::world::MINUTE;
use crate::kernel::base::{ChannelId, Code, ThingId};
use crate::kernel::engine::rebuild;
use crate::kernel::policy::Subject;
use crate::testing::{id_of, key};

async fn opens(ward: &Ward, who: &Subject, channel: ChannelId) -> ThingId {
    let data = json!({"channel": channel, "item": ward.unsorted, "medium": "phone", "with": [{"name": "Dr. Osei"}]});
    id_of(&ward.house.run(who, "note.open", data).await, "id")
}

/// A call the nurse documents, in which the lead took part.
async fn logs(ward: &Ward) -> ThingId {
    id_of(&ward.house.run(&ward.nurse, "note.log", call(ward, ward.care_team, 5)).await, "id")
}

async fn shown(ward: &Ward, who: &Subject, note: ThingId) -> Value {
    ward.house.run(who, "note.get", json!({ "note": note })).await
}

async fn markers(ward: &Ward, who: &Subject) -> Vec<Value> {
    let mut reader = ward.house.engine.reader(who.clone()).await.unwrap();
    let access = reader.access(ward.patient).await.unwrap().unwrap();
    let found = notes::open_markers(&mut reader, &access).await.unwrap();
    found.iter().map(|marker| serde_json::to_value(marker).unwrap()).collect()
}

/// The facts of that name on somebody's channel `me`.
async fn told(ward: &Ward, who: &Subject, event: &str) -> Vec<Value> {
    let page = ward.house.run(who, "history", json!({"channel": "me", "limit": 200})).await;
    let events = page["events"].as_array().unwrap().iter().filter(|one| one["event"] == json!(event));
    events.map(|one| one["data"].clone()).collect()
}

#[tokio::test]
async fn a_marker_stands_until_it_is_documented_under_its_id() {
    let ward = Ward::open().await;
    let data = json!({"channel": ward.care_team, "item": ward.wound, "medium": "phone", "key": key(&ward.house.world)});
    let reply = ward.house.run(&ward.nurse, "note.open", data.clone()).await;
    assert_eq!(ward.house.run(&ward.nurse, "note.open", data).await, with(reply.clone(), json!({"repeat": true})));
    let note: ThingId = id_of(&reply, "id");
    let event = ward.newest(ward.care_team).await;
    let body = json!({"id": note, "item": ward.wound, "medium": "phone", "remind_minutes": 30});
    assert_eq!((&event["event"], &event["data"]), (&json!("note.opened"), &body));
    let waiting = markers(&ward, &ward.lead).await;
    assert_eq!((&waiting[0]["id"], &waiting[0]["by"]), (&json!(note), &json!(ward.nurse.user)));
    assert!(markers(&ward, &ward.daughter).await.is_empty());
    let next = ward.house.run(&ward.lead, "plan.items", json!({"patient": ward.patient})).await;
    let item = next["items"].as_array().unwrap().iter().find(|one| one["id"] == json!(ward.wound)).unwrap();
    assert_eq!((&item["next"]["why"], &item["next"]["user"]), (&json!("note"), &json!(ward.nurse.user)));

    // Anyone on staff documents it; the item is the marker's unless another is named.
    let log = with(call(&ward, ward.care_team, 5), json!({"note": note, "item": null}));
    let logged = ward.house.run(&ward.lead, "note.log", with(log.clone(), json!({"with": [{"name": "A"}]}))).await;
    assert_eq!(logged["id"], json!(note));
    let event = ward.newest(ward.care_team).await;
    assert_eq!((&event["data"]["id"], &event["data"]["item"]), (&json!(note), &json!(ward.wound)));
    assert!(markers(&ward, &ward.lead).await.is_empty());
    let seen = shown(&ward, &ward.nurse, note).await;
    assert_eq!((&seen["state"], &seen["documented"]["by"]), (&json!("documented"), &json!(ward.lead.user)));
    assert_eq!(seen["marker"]["by"], json!(ward.nurse.user));
    for (op, more) in [("note.log", log), ("note.dismiss", json!({"note": note, "reason": "No answer"}))] {
        assert_eq!(ward.house.code(&ward.nurse, op, more).await, Code::BadTransition, "{op}");
    }
    let next = ward.house.run(&ward.lead, "plan.items", json!({"patient": ward.patient})).await;
    let item = next["items"].as_array().unwrap().iter().find(|one| one["id"] == json!(ward.wound)).unwrap();
    assert_eq!(item["next"], Value::Null);
}

#[tokio::test]
async fn a_marker_is_dismissed_by_its_opener_or_the_lead_with_a_reason() {
    let ward = Ward::open().await;
    let colleague = ward.house.person("colleague", crate::kernel::policy::PersonKind::Practitioner).await;
    ward.join(&colleague).await;
    let note = opens(&ward, &ward.nurse, ward.care_team).await;
    let dismiss = |reason: Value| json!({"note": note, "reason": reason});
    assert_eq!(ward.house.code(&colleague, "note.dismiss", dismiss("No".into())).await, Code::Forbidden);
    assert_eq!(ward.house.code(&ward.nurse, "note.dismiss", dismiss(Value::Null)).await, Code::ReasonRequired);
    ward.house.run(&ward.lead, "note.dismiss", dismiss("Nobody answered".into())).await;
    let seen = shown(&ward, &ward.nurse, note).await;
    assert_eq!((&seen["state"], &seen["dismissed"]["reason"]), (&json!("dismissed"), &json!("Nobody answered")));
    let log = with(call(&ward, ward.care_team, 5), json!({ "note": note }));
    let refused = ward.house.refused(&ward.nurse, "note.log", log).await;
    assert_eq!((refused.code, &refused.to_json()["allowed"]), (Code::BadTransition, &json!([])));
    assert!(markers(&ward, &ward.lead).await.is_empty());
    ward.house.advance(100 * MINUTE);
    assert_eq!(ward.house.ring().await, 0);
}

#[tokio::test]
async fn a_marker_reminds_its_opener_ever_more_rarely_and_the_lead_once_they_left() {
    let ward = Ward::open().await;
    let note = opens(&ward, &ward.nurse, ward.care_team).await;
    ward.house.advance(29 * MINUTE);
    assert_eq!(ward.house.ring().await, 0);
    for (minutes, expected) in [(1, 1), (59, 1), (1, 2), (120, 3)] {
        ward.house.advance(minutes * MINUTE);
        ward.house.ring().await;
        assert_eq!(told(&ward, &ward.nurse, "reminder").await.len(), expected, "{minutes}");
    }
    let nudge = json!({"patient": ward.patient, "channel": ward.care_team, "note": note, "why": "note"});
    assert_eq!(told(&ward, &ward.nurse, "reminder").await[0], nudge);
    // What was rung is not rung again by a rebuild.
    rebuild(ward.house.engine.shared()).await.unwrap();
    assert_eq!(ward.house.ring().await, 0);

    ward.leave(&ward.nurse).await;
    ward.house.advance(240 * MINUTE);
    assert_eq!(ward.house.ring().await, 1);
    assert_eq!(told(&ward, &ward.nurse, "reminder").await.len(), 3);
    assert_eq!(told(&ward, &ward.lead, "reminder").await, [nudge]);
    let log = with(call(&ward, ward.care_team, 5), json!({"note": note, "with": [{"name": "A"}]}));
    ward.house.run(&ward.lead, "note.log", log).await;
    ward.house.advance(2000 * MINUTE);
    assert_eq!(ward.house.ring().await, 0);
}

#[tokio::test]
async fn in_an_archived_channel_nothing_waits_any_more() {
    let ward = Ward::open().await;
    let channel = ward.channel("staff", &[]).await;
    opens(&ward, &ward.nurse, channel).await;
    ward.house.run(&ward.lead, "channel.archive", json!({ "channel": channel })).await;
    assert!(markers(&ward, &ward.lead).await.is_empty());
    ward.house.advance(31 * MINUTE);
    ward.house.ring().await;
    assert!(told(&ward, &ward.nurse, "reminder").await.is_empty());
    ward.house.advance(2000 * MINUTE);
    assert_eq!(ward.house.ring().await, 0);
}

#[tokio::test]
async fn those_who_took_part_confirm_or_dispute_and_may_change_their_mind() {
    let ward = Ward::open().await;
    let note = logs(&ward).await;
    let confirm = json!({ "note": note });
    let dispute = json!({"note": note, "reason": "Until Thursday"});
    assert_eq!(ward.house.code(&ward.nurse, "note.confirm", confirm.clone()).await, Code::Forbidden);
    let colleague = ward.house.person("colleague", crate::kernel::policy::PersonKind::Practitioner).await;
    ward.join(&colleague).await;
    assert_eq!(ward.house.code(&colleague, "note.dispute", dispute.clone()).await, Code::Forbidden);
    assert_eq!(ward.house.code(&ward.lead, "note.dispute", confirm.clone()).await, Code::ReasonRequired);

    ward.house.run(&ward.lead, "note.confirm", confirm.clone()).await;
    let event = ward.newest(ward.care_team).await;
    assert_eq!((&event["event"], &event["data"]["state"]), (&json!("note.confirmed"), &json!("confirmed")));
    let refused = ward.house.refused(&ward.lead, "note.confirm", confirm.clone()).await;
    assert_eq!((refused.code, &refused.to_json()["allowed"]), (Code::BadTransition, &json!(["disputed"])));
    ward.house.run(&ward.lead, "note.dispute", dispute).await;
    let seen = shown(&ward, &ward.nurse, note).await;
    assert_eq!((&seen["state"], &seen["said"][1]["reason"]), (&json!("disputed"), &json!("Until Thursday")));
    ward.house.run(&ward.lead, "note.confirm", confirm).await;
    assert_eq!(shown(&ward, &ward.nurse, note).await["state"], json!("confirmed"));
}

#[tokio::test]
async fn one_who_disputes_outweighs_those_who_confirm() {
    let ward = Ward::open().await;
    let colleague = ward.house.person("colleague", crate::kernel::policy::PersonKind::Practitioner).await;
    ward.join(&colleague).await;
    let people = json!([{"name": "Lead", "user": ward.lead.user}, {"name": "Colleague", "user": colleague.user}]);
    let data = with(call(&ward, ward.care_team, 5), json!({ "with": people }));
    let note: ThingId = id_of(&ward.house.run(&ward.nurse, "note.log", data).await, "id");
    ward.house.run(&colleague, "note.dispute", json!({"note": note, "reason": "No"})).await;
    ward.house.run(&ward.lead, "note.confirm", json!({ "note": note })).await;
    assert_eq!(ward.newest(ward.care_team).await["data"]["state"], json!("disputed"));
    ward.house.run(&colleague, "note.confirm", json!({ "note": note })).await;
    assert_eq!(shown(&ward, &ward.nurse, note).await["state"], json!("confirmed"));
}

#[tokio::test]
async fn addenda_come_after_the_documentation_and_leave_it_as_it_is() {
    let ward = Ward::open().await;
    let marker = opens(&ward, &ward.nurse, ward.care_team).await;
    let addend = |note: ThingId| json!({"note": note, "text": "Recheck moved to zirconium"});
    let refused = ward.house.refused(&ward.lead, "note.addend", addend(marker)).await;
    assert_eq!(refused.to_json()["allowed"], json!(["documented", "dismissed"]));
    assert_eq!(ward.house.code(&ward.lead, "note.confirm", json!({ "note": marker })).await, Code::BadTransition);
    let note = logs(&ward).await;
    let before = shown(&ward, &ward.lead, note).await;
    ward.house.run(&ward.lead, "note.addend", addend(note)).await;
    let after = shown(&ward, &ward.lead, note).await;
    assert_eq!((&after["documented"], &after["state"]), (&before["documented"], &before["state"]));
    assert_eq!(after["addenda"][0]["text"], json!("Recheck moved to zirconium"));
    for text in ["zirconium", "Dose unchanged"] {
        let hits = ward.house.run(&ward.lead, "search", json!({ "text": text })).await;
        assert_eq!(hits["hits"][0]["id"], json!(note), "{text}");
    }
    let hits = ward.house.run(&ward.lead, "search", json!({"text": "Osei", "patient": ward.patient})).await;
    assert!(hits["hits"].as_array().unwrap().iter().any(|hit| hit["id"] == json!(marker)), "{hits}");
}

#[tokio::test]
async fn family_reads_notes_of_shared_channels_and_writes_none() {
    let ward = Ward::open().await;
    let family = ward.channel("shared", &[]).await;
    let marker = opens(&ward, &ward.nurse, family).await;
    let note: ThingId = id_of(&ward.house.run(&ward.nurse, "note.log", call(&ward, family, 5)).await, "id");
    let open = json!({"channel": family, "item": ward.unsorted});
    assert_eq!(ward.house.code(&ward.daughter, "note.open", open).await, Code::Forbidden);
    let hidden = logs(&ward).await;
    let missing = ward.house.world.id();
    for (op, more) in [
        ("note.dismiss", json!({"reason": "A"})),
        ("note.confirm", json!({})),
        ("note.dispute", json!({"reason": "A"})),
        ("note.addend", json!({"text": "A"})),
    ] {
        for seen in [marker, note] {
            let data = with(more.clone(), json!({ "note": seen }));
            assert_eq!(ward.house.code(&ward.daughter, op, data).await, Code::Forbidden, "{op}");
        }
        let of = |id: Value| with(more.clone(), json!({ "note": id }));
        for who in [&ward.daughter, &ward.outsider] {
            ward.same_as_missing(who, op, of(json!(hidden)), of(json!(missing))).await;
        }
        // A message is no note.
        let message = ward.post(&ward.nurse, ward.care_team, "a").await;
        ward.same_as_missing(&ward.nurse, op, of(json!(message)), of(json!(missing))).await;
    }
    assert_eq!(shown(&ward, &ward.daughter, note).await["state"], json!("documented"));
    ward.same_as_missing(&ward.daughter, "note.get", json!({ "note": hidden }), json!({ "note": missing })).await;
}

#[tokio::test]
async fn a_marker_of_another_channel_or_with_strangers_is_refused() {
    let ward = Ward::open().await;
    let other = ward.channel("staff", &[]).await;
    let note = opens(&ward, &ward.nurse, other).await;
    let log = with(call(&ward, ward.care_team, 5), json!({ "note": note }));
    let refused = ward.house.refused(&ward.nurse, "note.log", log).await;
    assert_eq!((refused.code, refused.field), (Code::NotFound, Some("note")));
    let base = json!({"channel": ward.care_team, "item": ward.unsorted});
    for (field, value) in [
        ("with", json!([])),
        ("with", json!([{"name": "A", "user": ward.outsider.user}])),
        ("medium", json!("pigeon")),
        ("text", json!("Too early")),
    ] {
        let refused = ward.house.refused(&ward.nurse, "note.open", with(base.clone(), json!({ field: value }))).await;
        assert_eq!((refused.code, refused.field), (Code::Invalid, Some(field)));
    }
    let code = ward.house.code(&ward.nurse, "note.open", json!({"channel": ward.care_team})).await;
    assert_eq!(code, Code::PlanItemRequired);
}

#[tokio::test]
async fn a_rebuild_gives_the_same_notes() {
    let ward = Ward::open().await;
    let (waiting, dismissed) =
        (opens(&ward, &ward.nurse, ward.care_team).await, opens(&ward, &ward.lead, ward.care_team).await);
    let documented = opens(&ward, &ward.nurse, ward.care_team).await;
    let direct = logs(&ward).await;
    ward.house.run(&ward.lead, "note.dismiss", json!({"note": dismissed, "reason": "No answer"})).await;
    let log = with(call(&ward, ward.care_team, 5), json!({ "note": documented }));
    ward.house.run(&ward.nurse, "note.log", log).await;
    ward.house.run(&ward.lead, "note.confirm", json!({ "note": documented })).await;
    ward.house.run(&ward.lead, "note.dispute", json!({"note": direct, "reason": "No"})).await;
    ward.house.run(&ward.nurse, "note.addend", json!({"note": direct, "text": "More"})).await;
    ward.house.advance(31 * MINUTE);
    assert_eq!(ward.house.ring().await, 1);
    let all = async || {
        let mut found = vec![json!(markers(&ward, &ward.lead).await)];
        for note in [waiting, dismissed, documented, direct] {
            found.push(shown(&ward, &ward.lead, note).await);
        }
        found
    };
    let before = all().await;
    let states: Vec<&Value> = before[1..].iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["open", "dismissed", "confirmed", "disputed"]);
    rebuild(ward.house.engine.shared()).await.unwrap();
    assert_eq!(all().await, before);
    assert_eq!(ward.house.ring().await, 0);
    ward.house.advance(60 * MINUTE);
    assert_eq!(ward.house.ring().await, 1);
}
