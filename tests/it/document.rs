//! The server's published documents as judges: each frame is held against the schema of its kind, and a member that the documents do
//! not know is found, though a client would ignore it.

use std::collections::HashMap;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::server::Server;

/// One document, fetched from a server.
pub struct Document {
    /// Every named schema, closed: members that are not listed are against it.
    closed: Value,
    validators: HashMap<String, Validator>,
}

impl Document {
    /// `openapi` or `asyncapi`.
    pub async fn fetch(server: &Server, name: &str) -> Self {
        let answer = server.request(&format!("GET /v1/{name}.json"), "", b"").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let mut closed = answer.json()["components"]["schemas"].take();
        for schema in closed.as_object_mut().unwrap().values_mut() {
            if schema["properties"].is_object() {
                schema["unevaluatedProperties"] = false.into();
            }
        }
        Self { closed, validators: HashMap::new() }
    }

    /// What a value has against it, by the schema of that name; none is how it should be.
    pub fn faults(&mut self, name: &str, value: &Value) -> Vec<String> {
        if !self.validators.contains_key(name) {
            assert!(self.closed[name].is_object(), "the document knows no {name}");
            let schema =
                json!({"$ref": format!("#/components/schemas/{name}"), "components": {"schemas": self.closed}});
            let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&schema);
            self.validators.insert(name.into(), validator.unwrap_or_else(|error| panic!("{name}: {error}")));
        }
        self.validators[name].iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    /// Demands that a value is as the schema of that name says.
    #[track_caller]
    pub fn demand(&mut self, name: &str, value: &Value) {
        let faults = self.faults(name, value);
        assert!(faults.is_empty(), "against {name}: {faults:#?}\n{value:#}");
    }

    /// Demands that a frame of the server is as the document says; `op` is what it answers.
    #[track_caller]
    pub fn demand_frame(&mut self, op: &str, frame: &Value) {
        match frame["type"].as_str() {
            Some("hello") => self.demand("HelloFrame", frame),
            Some("notice") => self.demand("NoticeFrame", frame),
            Some("error") => self.demand("ErrorFrame", frame),
            Some("event") => self.demand(&event(frame), frame),
            Some("reply") => {
                let members: Vec<&String> = frame.as_object().unwrap().keys().collect();
                assert_eq!(members, ["data", "id", "type"], "{frame}");
                self.demand(&format!("{}Reply", pascal(op)), &frame["data"]);
                if op == "history" {
                    frame["data"]["events"].as_array().unwrap().iter().for_each(|one| self.demand(&event(one), one));
                }
            }
            _ => panic!("what is this: {frame}"),
        }
    }
}

/// The name of an event's frame in the documents.
fn event(frame: &Value) -> String {
    let me = if frame["channel"] == "me" { "Me" } else { "" };
    format!("{me}{}Event", pascal(frame["event"].as_str().unwrap()))
}

/// `plan_item.add` as the documents name it: `PlanItemAdd`.
pub fn pascal(name: &str) -> String {
    let words = name.split(['.', '_']);
    words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect()
}
