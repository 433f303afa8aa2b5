//! What differs from run to run, made the same: ids are numbered as they come, times stand still, heads and tokens are blank.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::Value;

const TIME: &str = "2026-01-02T03:04:05.000000Z";
/// 44 characters, as base64 of 32 bytes has.
const HEAD: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const SHA256: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// For one file.
pub struct Normal<'a> {
    names: &'a BTreeMap<String, String>,
    seen: RefCell<Vec<String>>,
}

impl<'a> Normal<'a> {
    pub fn new(names: &'a BTreeMap<String, String>) -> Self {
        Self { names, seen: RefCell::default() }
    }

    /// The value with everything made the same.
    pub fn of(&self, value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                members.iter().map(|(name, value)| (self.name(name), self.member(name, value))).collect()
            }
            Value::Array(list) => list.iter().map(|value| self.of(value)).collect(),
            Value::String(text) => Value::String(self.text(text)),
            other => other.clone(),
        }
    }

    fn member(&self, name: &str, value: &Value) -> Value {
        match name {
            "head" => HEAD.into(),
            "late_minutes" => 61.into(),
            "sha256" => SHA256.into(),
            // What a column is ordered by begins as an id.
            "place" => "i".into(),
            "address" => "p-aaaaaaaaaaaaaaaa@localhost".into(),
            "server" => "0.0.0".into(),
            "token" => "ct_pat_0000000000000000000000000000000000000000000".into(),
            _ => self.of(value),
        }
    }

    /// Members whose name is an id: `cursors` and the like.
    fn name(&self, name: &str) -> String {
        self.text(name)
    }

    fn text(&self, text: &str) -> String {
        if uuid::Uuid::try_parse(text).is_ok() && text.len() == 36 {
            return self.numbered(text);
        }
        // Of the server: exactly six digits of a second. What a client gives has none in the script.
        if text.len() == TIME.len() && text.ends_with('Z') && text.as_bytes()[10] == b'T' {
            return TIME.to_owned();
        }
        text.to_owned()
    }

    /// By its name where it has one, so that the same thing has the same id in every file; else by its turn in this one.
    fn numbered(&self, id: &str) -> String {
        if let Some(name) = self.names.get(id) {
            return uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).to_string();
        }
        let mut seen = self.seen.borrow_mut();
        let place = seen.iter().position(|one| one == id).unwrap_or_else(|| {
            seen.push(id.to_owned());
            seen.len() - 1
        });
        format!("00000000-0000-7000-8000-{:012}", place + 1)
    }
}
