//! A patient as most tests need one: a lead, a plan with open, shared and closed items, a channel of each audience, and words in
//! each of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::server::{Person, Server, text};

/// A patient with things that have names; see [`Ward::open`] for which.
pub struct Ward {
    pub lead: Person,
    /// Ids by name: `patient`, channels `plan staff shared named archived`, items `whole unsorted goal shared_goal closed_goal`,
    /// messages and notes as they are added.
    pub ids: BTreeMap<&'static str, String>,
}

impl Ward {
    /// Registers a patient by `lead` and fills the record; `listed` are the members of the named channel besides the lead.
    pub async fn open(server: &Server, lead: Person) -> Self {
        let patient = server.run(&lead, "patient.register", json!({"name": "Ruth Okafor"})).await;
        let mut ward = Self { lead, ids: BTreeMap::new() };
        ward.put("patient", text(&patient, "patient"));
        ward.put("plan", text(&patient, "channel"));
        let items = server.run(&ward.lead, "plan.items", json!({"patient": ward.id("patient")})).await;
        for item in items["items"].as_array().unwrap() {
            let name = if item["standing"] == "whole" { "whole" } else { "unsorted" };
            ward.put(name, text(item, "id"));
        }
        for (name, shared) in [("goal", false), ("shared_goal", true), ("closed_goal", false)] {
            let data = json!({"patient": ward.id("patient"), "kind": "goal", "title": name, "shared": shared});
            ward.make(server, name, "plan_item.add", data).await;
        }
        server.run(&ward.lead, "plan_item.close", json!({"item": ward.id("closed_goal"), "rev": 1})).await;
        let channels = server.run(&ward.lead, "channel.list", json!({})).await;
        let care_team = channels["channels"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["patient"] == ward.id("patient") && one["name"] == "Care team");
        ward.put("staff", text(care_team.unwrap(), "id"));
        for (name, audience) in [("shared", "shared"), ("named", "named"), ("archived", "staff")] {
            let data = json!({"patient": ward.id("patient"), "name": name, "audience": audience});
            ward.make(server, name, "channel.open", data).await;
        }
        ward.says(server, "message_archived", "archived", "goal").await;
        server.run(&ward.lead, "channel.archive", json!({"channel": ward.id("archived")})).await;
        ward.says(server, "message_staff", "staff", "goal").await;
        ward.says(server, "message_unsorted", "staff", "unsorted").await;
        ward.says(server, "message_shared", "shared", "shared_goal").await;
        ward.says(server, "message_named", "named", "goal").await;
        let note = json!({"channel": ward.id("staff"), "item": ward.id("goal"), "medium": "phone", "text": "He agrees",
                          "held_at": "2026-01-02T03:04:05Z", "with": [{"name": "Dr. Osei", "role": "nephrologist"}]});
        ward.make(server, "note_staff", "note.log", note).await;
        ward
    }

    /// The id behind a name.
    #[track_caller]
    pub fn id(&self, name: &str) -> &str {
        self.ids.get(name).unwrap_or_else(|| panic!("the ward has no {name}"))
    }

    /// Gives an id a name.
    pub fn put(&mut self, name: &'static str, id: String) {
        self.ids.insert(name, id);
    }

    /// The lead runs a write; what it made gets a name.
    pub async fn make(&mut self, server: &Server, name: &'static str, op: &str, data: Value) {
        let reply = server.run(&self.lead, op, data).await;
        self.put(name, text(&reply, "id"));
    }

    /// The lead posts a message about an item; it gets a name.
    pub async fn says(&mut self, server: &Server, name: &'static str, channel: &str, item: &str) {
        let data = json!({"channel": self.id(channel), "item": self.id(item), "text": format!("said as {name}")});
        self.make(server, name, "message.post", data).await;
    }

    /// Adds somebody to the team; `more` are further members of `team.add`.
    pub async fn add(&self, server: &Server, person: &Person, more: Value) {
        let mut data = json!({"patient": self.id("patient"), "user": person.id, "role": "Member"});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.run(&self.lead, "team.add", data).await;
    }

    /// Takes somebody off the team.
    pub async fn remove(&self, server: &Server, person: &Person) -> Value {
        let data = json!({"patient": self.id("patient"), "user": person.id, "reason": "another ward"});
        server.run(&self.lead, "team.remove", data).await
    }
}
