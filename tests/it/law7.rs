//! Law 7: every exported message points at a plan item, whatever was done to it and wherever it stands.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::server::{Server, list, text};
use super::ward::Ward;

/// What the record says: of each message and note, the item it is about now.
async fn linked(server: &Server, ward: &Ward) -> BTreeMap<String, String> {
    let mut links = BTreeMap::new();
    for entries in super::law5::whole_record(server, &ward.lead).await.into_values() {
        for event in entries {
            let data = &event["data"];
            match event["event"].as_str().unwrap() {
                "message.posted" | "note.logged" => drop(links.insert(text(data, "id"), text(data, "item"))),
                "message.relinked" => drop(links.insert(text(data, "message"), text(data, "item"))),
                _ => {}
            }
        }
    }
    links
}

/// A ward where messages were amended, retracted and linked anew, on items of every kind.
async fn a_busy_ward(server: &Server) -> Ward {
    let mut ward = Ward::open(server, server.person("lead").await).await;
    let patient = ward.id("patient").to_owned();
    for kind in ["problem", "activity", "barrier"] {
        let item = json!({"patient": patient, "kind": kind, "title": kind, "shared": true});
        ward.make(server, kind, "plan_item.add", item).await;
    }
    let names = ["on_problem", "on_activity", "on_barrier", "on_whole", "on_unsorted", "on_goal"];
    for (name, item) in names.into_iter().zip(["problem", "activity", "barrier", "whole", "unsorted", "goal"]) {
        ward.says(server, name, "staff", item).await;
    }
    for (name, channel, item) in
        [("s1", "shared", "problem"), ("s2", "shared", "unsorted"), ("n1", "named", "activity")]
    {
        ward.says(server, name, channel, item).await;
    }
    let lead = ward.lead.clone();
    let run = async |op: &str, data: Value| server.run(&lead, op, data).await;
    run("message.relink", json!({"message": ward.id("on_unsorted"), "item": ward.id("barrier")})).await;
    run("message.relink", json!({"message": ward.id("s2"), "item": ward.id("shared_goal")})).await;
    run("message.amend", json!({"message": ward.id("on_problem"), "text": "amended"})).await;
    run("message.retract", json!({"message": ward.id("on_activity"), "reason": "wrong patient"})).await;
    let reply =
        json!({"channel": ward.id("staff"), "reply_to": ward.id("on_whole"), "text": "a reply inherits the item"});
    run("message.post", reply).await;
    let sbar = json!({"channel": ward.id("staff"), "item": ward.id("goal"), "sbar": {"situation": "S", "recommendation": "R"}});
    run("message.post", sbar).await;
    run("plan_item.close", json!({"item": ward.id("problem"), "rev": 1})).await;
    ward
}

fn identifier(resource: &Value) -> String {
    text(&resource["identifier"][0], "value")
}

both!(every_exported_message_points_at_the_plan_item_it_is_about);
async fn every_exported_message_points_at_the_plan_item_it_is_about() {
    let server = Server::new().await;
    let ward = a_busy_ward(&server).await;
    let links = linked(&server, &ward).await;
    let out = server.house.path("out.json");
    let path = out.display().to_string();
    let typed =
        ["export", "--patient", ward.id("patient"), "--format", "fhir-transaction", "--out", &path, "--with-patient"];
    server.cli(&typed).await;
    let bundle: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    let entries = list(&bundle, "entry");
    let by_url: BTreeMap<String, &Value> =
        entries.iter().map(|entry| (text(entry, "fullUrl"), &entry["resource"])).collect();
    assert_eq!(by_url.len(), entries.len(), "each resource once");
    let plans: BTreeSet<&String> =
        by_url.iter().filter(|(_, resource)| resource["resourceType"] == "CarePlan").map(|(url, _)| url).collect();
    let mut exported = BTreeSet::new();
    for resource in by_url.values() {
        let is_message = resource["resourceType"] == "Communication" && !resource["payload"].is_null();
        let is_note = resource["resourceType"] == "DocumentReference";
        if !is_message && !is_note {
            continue;
        }
        let about = if is_message { list(resource, "about") } else { list(&resource["context"], "related") };
        let first = about.first().unwrap_or_else(|| panic!("about nothing: {resource}"));
        let reference = text(first, "reference");
        let target = by_url.get(&reference).unwrap_or_else(|| panic!("{reference} leads nowhere: {resource}"));
        let kind = target["resourceType"].as_str().unwrap();
        assert!(["Goal", "Condition", "Task", "ServiceRequest", "CarePlan"].contains(&kind), "{resource}");
        if !is_message {
            continue;
        }
        let based_on: Vec<String> = list(resource, "basedOn").iter().map(|one| text(one, "reference")).collect();
        assert!(based_on.iter().any(|reference| plans.contains(reference)), "no plan: {resource}");
        let id = identifier(resource);
        let Some(item) = links.get(&id) else { continue };
        exported.insert(id);
        // What has no resource of its own is named within the plan.
        let named = first["identifier"]["value"].as_str().map_or_else(|| identifier(target), str::to_owned);
        assert_eq!(&named, item, "{resource}");
    }
    let messages: BTreeSet<String> = links.into_keys().filter(|id| id != ward.id("note_staff")).collect();
    assert!(messages.is_subset(&exported), "left out: {:?}", messages.difference(&exported));
}
