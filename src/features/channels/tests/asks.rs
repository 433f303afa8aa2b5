//! Acknowledgements, check-backs and confirmations: who answers what, once, and what is kept of it.

use serde_json::{Value, json};

use super::{Ward, charted, with};
use crate::features::channels::{Answer, Step, answers, chart};
use crate::kernel::base::{ChannelId, Code, ThingId};
use crate::kernel::engine;
use crate::kernel::policy::Subject;
use crate::testing::{id_of, key};

impl Ward {
    async fn asks(&self, who: &Subject, channel: ChannelId, ask: &str) -> ThingId {
        let data = json!({"channel": channel, "item": self.unsorted, "text": "Give 5 mg", "ask": ask});
        id_of(&self.house.run(who, "message.post", data).await, "id")
    }

    async fn answers(&self, message: ThingId) -> Vec<Answer> {
        let mut reader = self.house.engine.reader(self.lead.clone()).await.unwrap();
        answers(reader.tx(), message).await.unwrap()
    }

    async fn steps(&self, message: ThingId) -> Vec<(Value, Step)> {
        self.answers(message).await.into_iter().map(|answer| (json!(answer.user), answer.step)).collect()
    }

    /// The states that a refused step names as possible.
    async fn allowed(&self, who: &Subject, op: &str, data: Value) -> Value {
        let refusal = self.house.refused(who, op, data).await;
        assert_eq!(refusal.code, Code::BadTransition, "{op}");
        refusal.to_json()["allowed"].clone()
    }
}

#[tokio::test]
async fn an_acknowledgement_is_an_entry_and_comes_once() {
    let ward = Ward::open().await;
    let message = ward.asks(&ward.lead, ward.care_team, "acknowledge").await;
    assert_eq!(ward.newest(ward.care_team).await["data"]["ask"], json!("acknowledge"));
    let answer = json!({"message": message, "key": key(&ward.house.world)});
    let reply = ward.house.run(&ward.nurse, "message.acknowledge", answer.clone()).await;
    let event = ward.newest(ward.care_team).await;
    assert_eq!((&event["event"], &event["by"]), (&json!("message.acknowledged"), &json!(ward.nurse.user)));
    assert_eq!(event["data"], json!({"id": reply["id"], "message": message}));

    let again = ward.house.run(&ward.nurse, "message.acknowledge", answer).await;
    assert_eq!(again, with(reply, json!({"repeat": true})));
    let anew = json!({ "message": message });
    assert_eq!(ward.allowed(&ward.nurse, "message.acknowledge", anew.clone()).await, json!([]));
    assert_eq!(ward.house.code(&ward.lead, "message.acknowledge", anew).await, Code::Forbidden);
    assert_eq!(ward.steps(message).await, [(json!(ward.nurse.user), Step::Acknowledged)]);
}

#[tokio::test]
async fn each_ask_takes_its_own_answer() {
    let ward = Ward::open().await;
    let silent = ward.post(&ward.lead, ward.care_team, "a").await;
    let seen = ward.asks(&ward.lead, ward.care_team, "acknowledge").await;
    let read_back = ward.asks(&ward.lead, ward.care_team, "check_back").await;
    let allowed = async |op: &str, message: ThingId| {
        ward.allowed(&ward.nurse, op, json!({"message": message, "text": "5 mg"})).await
    };
    assert_eq!(allowed("message.acknowledge", silent).await, json!([]));
    assert_eq!(allowed("message.check_back", silent).await, json!([]));
    assert_eq!(allowed("message.check_back", seen).await, json!(["acknowledged"]));
    assert_eq!(allowed("message.acknowledge", read_back).await, json!(["checked_back"]));
    let without = json!({ "message": read_back });
    let refused = ward.house.refused(&ward.nurse, "message.check_back", without).await;
    assert_eq!((refused.code, refused.field), (Code::Invalid, Some("text")));
    let data = json!({"channel": ward.care_team, "item": ward.unsorted, "text": "a", "ask": "shout"});
    let refused = ward.house.refused(&ward.nurse, "message.post", data).await;
    assert_eq!((refused.code, refused.field), (Code::Invalid, Some("ask")));
}

#[tokio::test]
async fn the_loop_is_closed_by_the_author() {
    let ward = Ward::open().await;
    let message = ward.asks(&ward.lead, ward.care_team, "check_back").await;
    let confirm = json!({ "message": message });
    assert_eq!(ward.allowed(&ward.lead, "message.confirm", confirm.clone()).await, json!(["checked_back"]));
    let says = |text: &str| json!({"message": message, "text": text});
    let wrong = ward.house.run(&ward.nurse, "message.check_back", says("50 mg")).await;
    // Understood wrong: the author says so in words, and it is read back again.
    let right = ward.house.run(&ward.nurse, "message.check_back", says("5 mg")).await;
    let event = ward.newest(ward.care_team).await;
    assert_eq!(event["data"], json!({"id": right["id"], "message": message, "text": "5 mg"}));

    let named = |id: &Value| json!({"message": message, "check_back": id});
    assert_eq!(ward.house.code(&ward.nurse, "message.confirm", confirm.clone()).await, Code::Forbidden);
    let stale = ward.house.refused(&ward.lead, "message.confirm", named(&wrong["id"])).await;
    assert_eq!((stale.code, stale.field), (Code::NotFound, Some("check_back")));
    let done = ward.house.run(&ward.lead, "message.confirm", named(&right["id"])).await;
    let event = ward.newest(ward.care_team).await;
    assert_eq!(event["event"], json!("message.confirmed"));
    assert_eq!(event["data"], json!({"id": done["id"], "message": message, "check_backs": [right["id"]]}));
    assert_eq!(ward.steps(message).await, [(json!(ward.nurse.user), Step::Confirmed)]);
    assert_eq!(ward.allowed(&ward.nurse, "message.check_back", says("5 mg")).await, json!([]));
    assert_eq!(ward.allowed(&ward.lead, "message.confirm", named(&right["id"])).await, json!([]));
    assert_eq!(ward.allowed(&ward.lead, "message.confirm", confirm).await, json!(["checked_back"]));
}

#[tokio::test]
async fn what_is_retracted_archived_or_out_of_sight_is_not_answered() {
    let ward = Ward::open().await;
    let retracted = ward.asks(&ward.lead, ward.care_team, "acknowledge").await;
    ward.house.run(&ward.lead, "message.retract", json!({"message": retracted, "reason": "a"})).await;
    assert_eq!(
        ward.house.code(&ward.nurse, "message.acknowledge", json!({"message": retracted})).await,
        Code::Conflict
    );

    let channel = ward.channel("staff", &[]).await;
    let archived = ward.asks(&ward.lead, channel, "acknowledge").await;
    ward.house.run(&ward.lead, "channel.archive", json!({"channel": channel})).await;
    assert_eq!(ward.house.code(&ward.nurse, "message.acknowledge", json!({"message": archived})).await, Code::Archived);

    ward.leave(&ward.nurse).await;
    let missed = ward.asks(&ward.lead, ward.care_team, "check_back").await;
    ward.join(&ward.nurse).await;
    let never = ThingId(ward.house.world.id());
    for (op, data) in [
        ("message.acknowledge", json!({})),
        ("message.check_back", json!({"text": "b"})),
        ("message.confirm", json!({"check_back": never})),
    ] {
        let naming = |id: ThingId| with(data.clone(), json!({ "message": id }));
        for who in [&ward.nurse, &ward.daughter, &ward.outsider] {
            ward.same_as_missing(who, op, naming(missed), naming(never)).await;
        }
    }
}

#[tokio::test]
async fn family_answers_and_asks_but_does_not_confirm() {
    let ward = Ward::open().await;
    let family = ward.channel("shared", &[]).await;
    let seen = ward.asks(&ward.nurse, family, "acknowledge").await;
    let read_back = ward.asks(&ward.nurse, family, "check_back").await;
    ward.house.run(&ward.daughter, "message.acknowledge", json!({"message": seen})).await;
    ward.house.run(&ward.daughter, "message.check_back", json!({"message": read_back, "text": "at eight"})).await;
    let own = ward.asks(&ward.daughter, family, "check_back").await;
    ward.house.run(&ward.nurse, "message.check_back", json!({"message": own, "text": "at nine"})).await;
    assert_eq!(ward.house.code(&ward.daughter, "message.confirm", json!({"message": own})).await, Code::Forbidden);
    ward.house.run(&ward.nurse, "message.confirm", json!({"message": read_back})).await;
    assert_eq!(ward.steps(read_back).await, [(json!(ward.daughter.user), Step::Confirmed)]);
}

#[tokio::test]
async fn answers_are_made_again_from_the_log() {
    let ward = Ward::open().await;
    let seen = ward.asks(&ward.lead, ward.care_team, "acknowledge").await;
    let read_back = ward.asks(&ward.lead, ward.care_team, "check_back").await;
    ward.house.run(&ward.nurse, "message.acknowledge", json!({"message": seen})).await;
    for text in ["50 mg", "5 mg"] {
        ward.house.run(&ward.nurse, "message.check_back", json!({"message": read_back, "text": text})).await;
    }
    ward.house.run(&ward.lead, "message.confirm", json!({"message": read_back})).await;
    let before = (ward.answers(seen).await, ward.answers(read_back).await);
    assert!(before.1[0].confirmed_at.is_some());
    engine::rebuild(ward.house.engine.shared()).await.unwrap();
    assert_eq!((ward.answers(seen).await, ward.answers(read_back).await), before);
    // What a message asks is known again, too.
    assert_eq!(ward.allowed(&ward.nurse, "message.acknowledge", json!({"message": seen})).await, json!([]));
}

#[test]
fn a_check_back_is_a_communication_in_response_to_the_message() {
    let id = |n: u128| uuid::Uuid::from_u128(n);
    let body = json!({"id": id(7), "message": id(5), "text": "5 mg at eight"});
    let (fact, context) = charted("message.checked_back", &body, json!({}));
    let resources = chart::resources(&fact, &context);
    let [said] = &resources[..] else { panic!("{resources:?}") };
    assert_eq!(said["inResponseTo"], json!([{"reference": "Communication/5"}]));
    assert_eq!(said["about"], json!([context["item"]]));
    assert_eq!(said["payload"], json!([{"contentString": "5 mg at eight"}]));

    let who = json!({"reference": "Practitioner/b"});
    let change = |event: &str| {
        json!({"event": event, "id": id(8), "recorded": "2026-03-02T17:00:00.000Z", "author": who, "had": false,
                                      "data": {"id": id(8), "message": id(7)}})
    };
    let changes = json!({"changes": [change("message.acknowledged"), change("message.confirmed")]});
    let posted = json!({"id": id(7), "item": id(2), "text": "a", "ask": "acknowledge"});
    let (fact, context) = charted("message.posted", &posted, changes);
    let resources = chart::resources(&fact, &context);
    let [message] = &resources[..] else { panic!("{resources:?}") };
    let note = |text: &str| json!({"authorReference": who, "time": "2026-03-02T17:00:00.000Z", "text": text});
    assert_eq!(message["note"], json!([note("Acknowledged"), note("Check-back confirmed")]));
}
