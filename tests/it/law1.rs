//! Law 1: rebuilding the projections from the log gives the projections.

use serde_json::{Value, json};

use super::server::{Person, Server};
use super::ward::Ward;

/// What people see of the projections: plan, team, channels, identity, and pages that rest on who may read which part.
async fn seen(server: &Server, ward: &Ward, people: &[&Person]) -> Vec<Value> {
    let patient = ward.id("patient");
    let mut answers = Vec::new();
    for person in people {
        for op in ["plan.items", "team.list", "patient.get"] {
            answers.push(server.ask(person, op, json!({"patient": patient})).await.json());
        }
        answers.push(server.ask(person, "channel.list", json!({})).await.json());
        for channel in ["staff", "shared"] {
            answers.push(server.ask(person, "history", json!({"channel": ward.id(channel)})).await.json());
        }
    }
    answers
}

both!(what_is_rebuilt_from_the_log_answers_as_what_was_there);
async fn what_is_rebuilt_from_the_log_answers_as_what_was_there() {
    let server = Server::new().await;
    let lead = server.person("lead").await;
    let nurse = server.person("nurse").await;
    let gone = server.person("gone").await;
    let mut ward = Ward::open(&server, lead).await;
    ward.add(&server, &nurse, json!({"responsibilities": ["plan"]})).await;
    ward.add(&server, &gone, json!({})).await;
    ward.says(&server, "m1", "staff", "goal").await;
    ward.remove(&server, &nurse).await;
    ward.says(&server, "m2", "staff", "goal").await;
    ward.add(&server, &nurse, json!({})).await;
    ward.remove(&server, &gone).await;
    server.run(&ward.lead, "message.amend", json!({"message": ward.id("m1"), "text": "other words"})).await;
    server.run(&ward.lead, "message.relink", json!({"message": ward.id("m1"), "item": ward.id("whole")})).await;
    server.run(&ward.lead, "message.retract", json!({"message": ward.id("m2"), "reason": "wrong patient"})).await;
    let change = json!({"item": ward.id("goal"), "rev": 1, "title": "Below 130", "shared": true});
    server.run(&ward.lead, "plan_item.change", change).await;
    let before = seen(&server, &ward, &[&ward.lead, &nurse, &gone]).await;
    server.signal("TERM").await;
    let (house, code) = server.ended().await;
    assert_eq!(code, Some(0));
    let done = house.cli(&["doctor", "--rebuild"]).await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.contains("made again from"), "{}", done.stdout);
    let server = house.serve().await;
    let after = seen(&server, &ward, &[&ward.lead, &nurse, &gone]).await;
    assert_eq!(before, after);
}
