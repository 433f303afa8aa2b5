//! What the JSON of a resource says of itself, for whoever keeps it. Does not know: what was read of it.

use serde_json::Value;

use super::references::identifiers;

/// Its type and id. No type is what a part of a resource has, an activity told in place for one.
#[must_use]
pub fn type_and_id(json: &str) -> (Option<String>, Option<String>) {
    let value: Value = serde_json::from_str(json).unwrap_or_default();
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    (text("resourceType"), text("id"))
}

/// Its (system, value) pairs; a missing system is empty.
#[must_use]
pub fn identifiers_of(json: &str) -> Vec<(String, String)> {
    let value: Value = serde_json::from_str(json).unwrap_or_default();
    identifiers(&value).map(|(system, value)| (system.to_owned(), value.to_owned())).collect()
}
