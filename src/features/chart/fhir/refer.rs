//! What is the same wherever a resource goes: our id of it, its `fullUrl`, how a chart finds it, its references, and what FHIR JSON does not
//! allow taken out. Pure. Does not know Bundles or where resources come from.

use serde_json::{Map, Value};
use uuid::{Uuid, uuid};

use crate::kernel::base::{Code, Refusal};

/// Namespace of the `fullUrl` of what we export. A fullUrl differs from the identifier: servers exist that replace every string of a
/// Bundle that equals one.
const NAMESPACE: Uuid = uuid!("5f0c3c9a-7d0e-4c0b-9a54-0f5b8c1d6e27");

/// Types that we author and that change: sent as they are now. All others are made once.
const MUTABLE: [&str; 4] = ["CarePlan", "CareTeam", "Goal", "Task"];

/// The parts of a search by identifier, percent-encoded (RFC 3986 section 2.1).
pub(in crate::features::chart) fn search(system: &str, value: &str) -> String {
    let mut text = String::from("identifier=");
    let mut encode = |part: &str| {
        for byte in part.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
    };
    encode(system);
    encode("|");
    encode(value);
    text
}

/// The `fullUrl` of a thing of ours.
pub(in crate::features::chart) fn full_url(id: Uuid) -> String {
    format!("urn:uuid:{}", Uuid::new_v5(&NAMESPACE, id.as_bytes()))
}

/// What becomes of a reference to something of ours.
pub(in crate::features::chart) enum Target {
    /// A reference the receiver follows.
    At(String),
    /// It is not there: named by what identifies it (*Reference*, logical references).
    Named(Value),
}

/// Turns each reference `Type/<our id>` of a resource into what its receiver can resolve: `target` is told type and id.
pub(in crate::features::chart) fn resolve(value: &mut Value, target: &impl Fn(&str, Uuid) -> String) {
    resolve_or_name(value, &|class, id| Target::At(target(class, id)));
}

/// As [`resolve`], where some of the things may not be there.
pub(super) fn resolve_or_name(value: &mut Value, target: &impl Fn(&str, Uuid) -> Target) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(|element| resolve_or_name(element, target)),
        Value::Object(members) => {
            let found = members.get("reference").and_then(Value::as_str).and_then(ours);
            if let Some((class, id)) = found.map(|(class, id)| (class.to_owned(), id)) {
                match target(&class, id) {
                    Target::At(reference) => {
                        members.insert("reference".into(), reference.into());
                    }
                    Target::Named(identifier) => {
                        members.remove("reference");
                        members.insert("type".into(), class.into());
                        members.insert("identifier".into(), identifier);
                    }
                }
            }
            members.values_mut().for_each(|member| resolve_or_name(member, target));
        }
        _ => {}
    }
}

/// Our ids that a resource refers to.
pub(super) fn referred(value: &Value, found: &mut Vec<Uuid>) {
    match value {
        Value::Array(elements) => elements.iter().for_each(|element| referred(element, found)),
        Value::Object(members) => {
            found.extend(members.get("reference").and_then(Value::as_str).and_then(ours).map(|(_, id)| id));
            members.values().for_each(|member| referred(member, found));
        }
        _ => {}
    }
}

/// Whether a thing is sent as it stands now, over what the receiver has; anything else is made once.
pub(super) fn is_living(resource: &Value) -> bool {
    let class = resource["resourceType"].as_str().unwrap_or_default();
    // A header is a Communication that goes on.
    MUTABLE.contains(&class) || (class == "Communication" && resource.get("payload").is_none())
}

/// Type and id of a reference to something of ours.
fn ours(reference: &str) -> Option<(&str, Uuid)> {
    let (class, id) = reference.split_once('/')?;
    let typed = !class.is_empty() && class.chars().all(|c| c.is_ascii_alphabetic()) && id.len() == 36;
    typed.then(|| id.parse().ok().map(|id| (class, id))).flatten()
}

/// Our id of a resource: its first identifier, or its own id where its type has none. What others know a practitioner by comes first, and
/// ours last.
pub(in crate::features::chart) fn own_id(resource: &Value) -> Option<Uuid> {
    let identifiers = resource["identifier"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ours = if resource["resourceType"] == "Practitioner" { identifiers.last() } else { identifiers.first() };
    let id = ours.and_then(|ours| ours["value"].as_str()).or_else(|| resource["id"].as_str())?;
    id.parse().ok()
}

/// Law 7: what is said points at a plan item.
pub(super) fn linked(resource: &Value) -> Result<(), Refusal> {
    let says = resource["resourceType"] == "Communication" && resource["payload"].is_array();
    if !says || resource["about"][0].get("reference").is_some() {
        return Ok(());
    }
    Err(Refusal::new(Code::PlanItemRequired)
        .detail("A message or note points at no care plan item. It cannot be exported like that; link it first."))
}

/// Takes out what FHIR JSON does not allow (R4, *JSON representation*): null, empty objects, lists and strings; control characters
/// other than tab and line ends, and what XML has no place for in a narrative, become U+FFFD.
pub(in crate::features::chart) fn clean(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => {
            let foreign =
                |c: char| (c.is_control() && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}');
            Some(Value::String(if text.contains(foreign) { text.replace(foreign, "\u{fffd}") } else { text }))
        }
        Value::Array(elements) => {
            let kept: Vec<Value> = elements.into_iter().filter_map(clean).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        Value::Object(members) => {
            let kept: Map<String, Value> =
                members.into_iter().filter_map(|(name, member)| Some((name, clean(member)?))).collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        other => Some(other),
    }
}
