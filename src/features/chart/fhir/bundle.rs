//! The transaction Bundle (FHIR R4) as it is written, entry after entry: identifiers to `fullUrl`, references, requests, and
//! what FHIR JSON does not allow taken out. Does not know where resources come from.

use std::collections::HashSet;

use serde_json::{Value, json};
use uuid::Uuid;

use super::attester::Attested;
use super::refer::{clean, full_url, own_id, resolve, search};
use super::scene::Scene;
use super::sink::{INLINE_BYTES_MAX, Origin, Piece, Sink, pieces};
use crate::features::chart::Vouched;
use crate::features::chart::export::Single;
use crate::kernel::base::{Fault, PatientId, Stop};

/// How the patient is named, who is not ours to make.
pub(in crate::features::chart) enum Subject {
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
    /// What was said in it.
    attested: Attested,
}

impl<'o> Bundle<'o> {
    pub fn new(file: Single<'o>, system: String, patient: PatientId, subject: Subject) -> Self {
        Self { file, system, patient, subject, inside: HashSet::new(), entries: 0, attested: Attested::default() }
    }

    /// The patient, to be made in a chart that does not know them.
    pub fn patient(&mut self, resource: Value, search: &str) -> Result<(), Fault> {
        let request = json!({ "method": "POST", "url": "Patient", "ifNoneExist": search });
        let resource = clean(resource).unwrap_or_default();
        self.entry(&json!({ "fullUrl": full_url(self.patient.0), "resource": resource, "request": request }))
    }

    /// Who stands for what was written so far.
    pub fn attest(&mut self, vouched: &Vouched, scene: &Scene) -> Result<(), Fault> {
        let attested = std::mem::take(&mut self.attested);
        let written = attested.ids();
        let person = |user| scene.people.reference(user);
        for (id, mut provenance) in attested.provenances(vouched.export, &vouched.attestations, scene.plan(), person) {
            resolve(&mut provenance, &|class, id| self.resolved(class, id, &written));
            self.add("Provenance", id, provenance, false)?;
        }
        Ok(())
    }

    fn add(&mut self, class: &str, id: Uuid, resource: Value, update: bool) -> Result<(), Fault> {
        let request = self.request(class, &resource, id, update);
        self.entry(&json!({ "fullUrl": full_url(id), "resource": resource, "request": request }))
    }

    fn request(&self, class: &str, resource: &Value, id: Uuid, update: bool) -> Value {
        if resource.get("identifier").is_none() {
            return json!({ "method": "PUT", "url": format!("{class}/{id}") });
        }
        let first = &resource["identifier"][0];
        let search = match (first["system"].as_str(), first["value"].as_str()) {
            (Some(system), Some(value)) => search(system, value),
            _ => search(&self.system, &id.to_string()),
        };
        if update {
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

    fn resolved(&self, class: &str, id: Uuid, near: &[Uuid]) -> String {
        match &self.subject {
            Subject::Conditional(reference) if id == self.patient.0 => reference.clone(),
            Subject::Entry if id == self.patient.0 => full_url(id),
            _ if self.inside.contains(&id) || near.contains(&id) => full_url(id),
            _ => format!("{class}?{}", search(&self.system, &id.to_string())),
        }
    }
}

impl Sink for Bundle<'_> {
    fn announce(&mut self, id: Uuid) {
        self.inside.insert(id);
    }

    fn room(&self) -> u64 {
        INLINE_BYTES_MAX
    }

    fn take(&mut self, resources: Vec<Value>, origin: Origin<'_>, near: &[Uuid]) -> Result<(), Stop> {
        let mut together: Vec<Uuid> = resources.iter().filter_map(own_id).collect();
        together.extend_from_slice(near);
        for Piece { id, class, mut resource, update, .. } in pieces(resources, origin)? {
            resolve(&mut resource, &|class, id| self.resolved(class, id, &together));
            self.attested.take(&class, id);
            self.add(&class, id, resource, update)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::chart::Memory;
    use crate::kernel::base::Code;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn written(update: bool, resources: Vec<Value>) -> Result<Value, Stop> {
        let mut out = Memory::default();
        let file = Single::begin(&mut out, "bundle.json")?;
        let subject = Subject::Conditional("Patient?identifier=a%7Cb".into());
        let mut bundle = Bundle::new(file, "https://a.example/id".into(), PatientId(id(1)), subject);
        bundle.announce(id(2));
        bundle.take(resources, Origin { update, ..Origin::default() }, &[id(3)])?;
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
