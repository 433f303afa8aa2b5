//! Messages in the chart: what is said of them, and what is told of their corrections.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{charted, with};
use crate::features::channels::chart::{RETRACTED_TEXT, resources};

fn posted(more: Value) -> Value {
    with(json!({"id": Uuid::from_u128(7), "item": Uuid::from_u128(2), "text": "BP <162/95> & rising\nat home"}), more)
}

fn change(event: &str, had: bool, data: Value) -> Value {
    let id = Uuid::from_u128(8);
    let data = with(data, json!({"id": id, "message": Uuid::from_u128(7)}));
    json!({"event": event, "id": id, "recorded": "2026-03-02T17:00:00.000Z", "author": {"reference": "Practitioner/b"}, "had": had, "data": data})
}

fn of(body: &Value, more: Value) -> Vec<Value> {
    let (fact, context) = charted("message.posted", body, more);
    resources(&fact, &context)
}

#[test]
fn a_message_is_one_communication_about_its_item() {
    let body = posted(json!({"priority": "urgent", "reply_to": Uuid::from_u128(5)}));
    let (fact, context) = charted("message.posted", &body, json!({}));
    let resources = resources(&fact, &context);
    let [message] = &resources[..] else { panic!("{resources:?}") };
    assert_eq!(message["identifier"], json!([{"system": "urn:uuid:x", "value": Uuid::from_u128(7)}]));
    assert_eq!(message["about"], json!([context["item"]]));
    assert_eq!(message["basedOn"], context["based_on"]);
    assert_eq!(message["partOf"], json!([context["header"]]));
    assert_eq!(message["inResponseTo"], json!([{"reference": "Communication/5"}]));
    assert_eq!(message["extension"][0]["valueReference"], context["goals"][0]);
    assert_eq!(message["recipient"], json!([{"reference": "Practitioner/b"}]), "without the sender");
    assert_eq!((&message["sender"], &message["sent"]), (&context["author"], &context["recorded"]));
    assert_eq!((&message["priority"], &message["status"]), (&json!("urgent"), &json!("completed")));
    assert_eq!(message["payload"], json!([{"contentString": "BP <162/95> & rising\nat home"}]));
    assert_eq!(message["meta"]["security"][0]["code"], json!("N"));
    let div = message["text"]["div"].as_str().unwrap();
    assert!(div.contains("BP &lt;162/95&gt; &amp; rising<br/>at home"), "{div}");
    assert!(message.get("statusReason").is_none());
}

#[test]
fn labels_say_who_wrote_it_and_who_may_read_it() {
    let labels = &of(&posted(json!({})), json!({"restricted": true, "family": true}))[0]["meta"]["security"];
    assert_eq!((&labels[0]["code"], &labels[1]["code"]), (&json!("R"), &json!("PATAST")));
}

#[test]
fn sbar_is_one_text_and_a_reply_to_a_note_has_no_counterpart() {
    let sbar = json!({"text": null, "sbar": {"situation": "Fever\u{7}", "recommendation": "Cultures"}, "reply_to": Uuid::from_u128(6)});
    let message = &of(&posted(sbar), json!({}))[0];
    assert_eq!(message["payload"][0]["contentString"], json!("Situation:\nFever\u{fffd}\n\nRecommendation:\nCultures"));
    assert!(message.get("inResponseTo").is_none() && message.get("priority").is_none());
}

#[test]
fn an_edit_before_the_export_is_just_the_text() {
    let amended = change("message.amended", false, json!({"text": "BP 152/95"}));
    let resources = of(&posted(json!({})), json!({"changes": [amended]}));
    assert_eq!(resources.len(), 1);
    assert_eq!(resources[0]["payload"][0]["contentString"], json!("BP 152/95"));
}

#[test]
fn an_edit_after_the_export_is_told() {
    let amended = change("message.amended", false, json!({"text": "BP 152/95"}));
    let resources = of(&posted(json!({})), json!({"changes": [amended], "update": true}));
    let provenance = &resources[1];
    assert_eq!(provenance["id"], json!(Uuid::from_u128(8)));
    assert_eq!(provenance["activity"]["coding"][0]["code"], json!("UPDATE"));
    assert_eq!(provenance["target"][0]["reference"], json!(format!("Communication/{}", Uuid::from_u128(7))));
    assert_eq!(provenance["entity"][0]["role"], json!("revision"));
    let had = change("message.amended", true, json!({"text": "BP 152/95"}));
    assert_eq!(of(&posted(json!({})), json!({"changes": [had], "update": true})).len(), 1, "told once");
}

#[test]
fn a_retraction_takes_the_words_out() {
    let retracted = change("message.retracted", false, json!({"reason": "Wrong patient"}));
    let resources = of(&posted(json!({})), json!({"changes": [retracted]}));
    let [message, provenance] = &resources[..] else { panic!("{resources:?}") };
    assert_eq!(
        (&message["status"], &message["statusReason"]["text"]),
        (&json!("entered-in-error"), &json!("Wrong patient"))
    );
    assert_eq!(message["payload"], json!([{"contentString": RETRACTED_TEXT}]));
    assert!(!message.to_string().contains("162/95"));
    assert_eq!(provenance["activity"]["coding"][0]["code"], json!("NULLIFY"));
    assert_eq!(provenance["reason"][0]["text"], json!("Wrong patient"));
}

#[test]
fn corrections_have_no_resource_of_their_own() {
    let (fact, context) = charted("message.amended", &posted(json!({})), json!({}));
    assert!(resources(&fact, &context).is_empty());
}
