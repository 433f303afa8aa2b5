//! The transaction Bundle (FHIR R4) as it is written, entry after entry: identifiers to `fullUrl`, references, requests, and
//! what FHIR JSON does not allow taken out. Does not know where resources come from.

use std::collections::HashSet;

use serde_json::{Map, Value, json};
use uuid::{Uuid, uuid};

use crate::features::chart::export::Single;
use crate::kernel::base::{Code, Fault, PatientId, Refusal, Stop};

/// Namespace of the `fullUrl` of what we export. A fullUrl differs from the identifier: servers exist that replace every string of a
/// Bundle that equals one.
const NAMESPACE: Uuid = uuid!("5f0c3c9a-7d0e-4c0b-9a54-0f5b8c1d6e27");

/// Types that we author and that change: sent as they are now. All others are made once.
const MUTABLE: [&str; 4] = ["CarePlan", "CareTeam", "Goal", "Task"];

/// How the patient is named, who is not ours to make.
pub(super) enum Subject {
    /// By a search the chart resolves.
    Conditional(String),
    /// By an entry of the Bundle.
    Entry,
}

/// A Bundle in the making.
pub(super) struct Bundle<'o> {
    file: Single<'o>,
    system: String,
    patient: PatientId,
    subject: Subject,
    /// Our ids of entries every other may name.
    inside: HashSet<Uuid>,
    entries: u64,
}

/// The parts of a search by identifier, percent-encoded (RFC 3986 section 2.1).
pub(super) fn search(system: &str, value: &str) -> String {
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
pub(super) fn full_url(id: Uuid) -> String {
    format!("urn:uuid:{}", Uuid::new_v5(&NAMESPACE, id.as_bytes()))
}

impl<'o> Bundle<'o> {
    pub fn new(file: Single<'o>, system: String, patient: PatientId, subject: Subject) -> Self {
        Self { file, system, patient, subject, inside: HashSet::new(), entries: 0 }
    }

    /// An entry with this id of ours will be in the Bundle.
    pub fn announce(&mut self, id: Uuid) {
        self.inside.insert(id);
    }

    /// Writes the resources of one thing. `update`: the receiver has an older state of it. `also` are ids that are in the Bundle besides
    /// the announced ones.
    pub fn write(&mut self, resources: Vec<Value>, update: bool, also: &[Uuid]) -> Result<(), Stop> {
        let mut near: Vec<Uuid> = resources.iter().filter_map(own_id).collect();
        near.extend_from_slice(also);
        for mut resource in resources {
            linked(&resource)?;
            let id = own_id(&resource).ok_or(Fault::Defect("a resource without an id of ours"))?;
            let class = resource["resourceType"].as_str().unwrap_or_default().to_owned();
            self.refer(&mut resource, &near);
            let resource = clean(resource).unwrap_or_default();
            let request = self.request(&class, &resource, id, update);
            self.entry(&json!({ "fullUrl": full_url(id), "resource": resource, "request": request }))?;
        }
        Ok(())
    }

    /// The patient, to be made in a chart that does not know them.
    pub fn patient(&mut self, resource: Value, search: &str) -> Result<(), Fault> {
        let request = json!({ "method": "POST", "url": "Patient", "ifNoneExist": search });
        let resource = clean(resource).unwrap_or_default();
        self.entry(&json!({ "fullUrl": full_url(self.patient.0), "resource": resource, "request": request }))
    }

    fn request(&self, class: &str, resource: &Value, id: Uuid, update: bool) -> Value {
        if resource.get("identifier").is_none() {
            return json!({ "method": "PUT", "url": format!("{class}/{id}") });
        }
        let search = search(&self.system, &id.to_string());
        // A header is a Communication that goes on.
        let header = class == "Communication" && resource.get("payload").is_none();
        if update || header || MUTABLE.contains(&class) {
            json!({ "method": "PUT", "url": format!("{class}?{search}") })
        } else {
            json!({ "method": "POST", "url": class, "ifNoneExist": search })
        }
    }

    fn entry(&mut self, entry: &Value) -> Result<(), Fault> {
        let before = if self.entries == 0 {
            "{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":[\n"
        } else {
            ",\n"
        };
        self.entries += 1;
        self.file.write(before.as_bytes())?;
        self.file.write(&serde_json::to_vec(entry).map_err(|_| Fault::Defect("an entry is not JSON"))?)
    }

    /// Ends the Bundle; gives the hash of its bytes. One without entries has no member for them: FHIR knows no empty lists.
    pub fn finish(mut self) -> Result<[u8; 32], Fault> {
        let end = if self.entries == 0 { "{\"resourceType\":\"Bundle\",\"type\":\"transaction\"}\n" } else { "\n]}\n" };
        self.file.write(end.as_bytes())?;
        Ok(self.file.finish())
    }

    /// Turns `Type/<our id>` into what the receiver can resolve.
    fn refer(&self, value: &mut Value, near: &[Uuid]) {
        match value {
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.refer(element, near)),
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get_mut("reference")
                    && let Some((class, id)) = ours(reference)
                {
                    let resolved = self.resolved(class, id, near);
                    *reference = resolved;
                }
                members.values_mut().for_each(|member| self.refer(member, near));
            }
            _ => {}
        }
    }

    fn resolved(&self, class: &str, id: Uuid, near: &[Uuid]) -> String {
        match &self.subject {
            Subject::Conditional(reference) if id == self.patient.0 => reference.clone(),
            Subject::Entry if id == self.patient.0 => full_url(id),
            _ if self.inside.contains(&id) || near.contains(&id) => full_url(id),
            _ => format!("{class}?{}", search(&self.system, &id.to_string())),
        }
    }
}

/// Type and id of a reference to something of ours.
fn ours(reference: &str) -> Option<(&str, Uuid)> {
    let (class, id) = reference.split_once('/')?;
    let typed = !class.is_empty() && class.chars().all(|c| c.is_ascii_alphabetic()) && id.len() == 36;
    typed.then(|| id.parse().ok().map(|id| (class, id))).flatten()
}

/// Our id of a resource: its first identifier, or its own id where its type has none.
fn own_id(resource: &Value) -> Option<Uuid> {
    let id = resource["identifier"][0]["value"].as_str().or_else(|| resource["id"].as_str())?;
    id.parse().ok()
}

/// Law 7: what is said points at a plan item.
fn linked(resource: &Value) -> Result<(), Refusal> {
    let says = resource["resourceType"] == "Communication" && resource["payload"].is_array();
    if !says || resource["about"][0].get("reference").is_some() {
        return Ok(());
    }
    Err(Refusal::new(Code::PlanItemRequired)
        .detail("A message or note points at no care plan item. It cannot be exported like that; link it first."))
}

/// Takes out what FHIR JSON does not allow (R4, *JSON representation*): null, empty objects, lists and strings; control characters
/// other than tab and line ends become U+FFFD.
fn clean(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => {
            let foreign = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::chart::Memory;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn written(update: bool, resources: Vec<Value>) -> Result<Value, Stop> {
        let mut out = Memory::default();
        let file = Single::begin(&mut out, "bundle.json")?;
        let subject = Subject::Conditional("Patient?identifier=a%7Cb".into());
        let mut bundle = Bundle::new(file, "https://a.example/id".into(), PatientId(id(1)), subject);
        bundle.announce(id(2));
        bundle.write(resources, update, &[id(3)])?;
        bundle.finish()?;
        Ok(serde_json::from_slice(&out.files["bundle.json"]).expect("JSON"))
    }

    fn message(more: Value) -> Value {
        let mut message = json!({
            "resourceType": "Communication",
            "identifier": [{"system": "https://a.example/id", "value": id(9)}],
            "about": [{"reference": format!("Goal/{}", id(2)), "display": "Walk"}],
            "payload": [{"contentString": "a <b> & \"c\"\nd\u{7}"}],
        });
        message.as_object_mut().expect("members").extend(more.as_object().expect("members").clone());
        message
    }

    #[test]
    fn a_search_is_percent_encoded() {
        assert_eq!(search("urn:oid:2.16", "MRN 00é"), "identifier=urn%3Aoid%3A2.16%7CMRN%2000%C3%A9");
        assert_eq!(
            search("https://messaging.example.org/id", "x"),
            "identifier=https%3A%2F%2Fmessaging.example.org%2Fid%7Cx"
        );
    }

    #[test]
    fn references_are_resolved_as_the_receiver_can() {
        let reference = |class: &str, n| json!({"reference": format!("{class}/{}", id(n))});
        let more = json!({
            "subject": reference("Patient", 1),
            "inResponseTo": [reference("Communication", 3), reference("Communication", 4)],
            "partOf": [reference("Communication", 9)],
            "topic": {"text": format!("Goal/{}", id(2))},
        });
        let bundle = written(false, vec![message(more)]).expect("written");
        let resource = &bundle["entry"][0]["resource"];
        assert_eq!(resource["subject"]["reference"], "Patient?identifier=a%7Cb");
        assert_eq!(resource["about"][0]["reference"], full_url(id(2)));
        assert_eq!(resource["inResponseTo"][0]["reference"], full_url(id(3)));
        let outside = format!("Communication?identifier=https%3A%2F%2Fa.example%2Fid%7C{}", id(4));
        assert_eq!(resource["inResponseTo"][1]["reference"], outside);
        assert_eq!(resource["partOf"][0]["reference"], full_url(id(9)));
        assert_eq!(resource["topic"]["text"], format!("Goal/{}", id(2)), "only references are rewritten");
        assert_eq!(bundle["entry"][0]["fullUrl"], full_url(id(9)));
        assert_ne!(full_url(id(9)), format!("urn:uuid:{}", id(9)));
    }

    #[test]
    fn what_is_made_once_is_posted_and_what_changed_is_put() {
        let search = format!("identifier=https%3A%2F%2Fa.example%2Fid%7C{}", id(9));
        let request =
            |update, resource| written(update, vec![resource]).expect("written")["entry"][0]["request"].clone();
        let post = json!({"method": "POST", "url": "Communication", "ifNoneExist": search});
        assert_eq!(request(false, message(json!({}))), post);
        let put = json!({"method": "PUT", "url": format!("Communication?{search}")});
        assert_eq!(request(true, message(json!({}))), put);
        assert_eq!(request(false, message(json!({"payload": null}))), put);
        let provenance = json!({"resourceType": "Provenance", "id": id(5)});
        assert_eq!(request(false, provenance), json!({"method": "PUT", "url": format!("Provenance/{}", id(5))}));
    }

    #[test]
    fn a_message_without_an_item_is_refused() {
        for about in [json!(null), json!([]), json!([null]), json!([{"display": "Walk"}])] {
            let stop = written(false, vec![message(json!({ "about": about }))]).expect_err("refused");
            assert_eq!(stop.refusal().code, Code::PlanItemRequired);
        }
    }

    #[test]
    fn nothing_is_empty_and_no_control_character_leaves() {
        let bundle =
            written(false, vec![message(json!({"a": [], "b": {"c": null, "d": [{}]}, "e": ""}))]).expect("written");
        let resource = &bundle["entry"][0]["resource"];
        assert!(["a", "b", "e"].iter().all(|name| resource.get(name).is_none()));
        assert_eq!(resource["payload"][0]["contentString"], "a <b> & \"c\"\nd\u{fffd}");
        assert_eq!(
            written(false, Vec::new()).expect("written"),
            json!({"resourceType": "Bundle", "type": "transaction"})
        );
    }
}
