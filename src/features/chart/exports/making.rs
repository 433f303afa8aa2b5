//! From resources to the bytes of a parcel: identity, references, requests. Pure. Made once, with what the receiver is known to hold at
//! that moment; each attempt sends what was made.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::ledger::{Holdings, Sent};
use crate::features::chart::fhir::refer::{full_url, search};
use crate::features::chart::targets::{Parcel, ParcelKind};
use crate::kernel::base::{Fault, PatientId};
use crate::kernel::crypto::{base64, from_base64};

/// A parcel as it is kept: what is in it, and its bytes once they are made.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Planned {
    /// What it brings the receiver.
    pub sent: Vec<Sent>,
    /// As one transaction; otherwise `sent` is one resource.
    pub bundle: bool,
    /// It marks what is there as superseded, where the receiver lets us.
    #[serde(default)]
    pub marks: bool,
    /// Its bytes.
    pub ready: Option<Ready>,
}

/// What is sent, the same at each attempt.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Ready {
    way: Way,
    /// Base64.
    bytes: String,
}

#[derive(Clone, Serialize, Deserialize)]
enum Way {
    Fhir { method: String, path: String, if_none_exist: Option<String>, if_match: Option<String> },
    Hl7v2,
    File { name: String },
}

/// A form whose files go out as they are.
pub(super) enum Carrier {
    /// A signed document, to `Bundle`.
    Document,
    /// A message of HL7 v2.
    Hl7v2,
    /// A file of that name.
    File(String),
}

impl Ready {
    /// What a form wrote.
    pub fn written(carrier: Carrier, bytes: &[u8]) -> Self {
        let way = match carrier {
            Carrier::Document => {
                let (method, path) = ("POST".into(), "Bundle".into());
                Way::Fhir { method, path, if_none_exist: identified(bytes), if_match: None }
            }
            Carrier::Hl7v2 => Way::Hl7v2,
            Carrier::File(name) => Way::File { name },
        };
        Self { way, bytes: base64(bytes) }
    }

    /// What is there, changed, if it is still in that version.
    pub fn update(location: &str, etag: Option<String>, resource: &Value) -> Self {
        let way = Way::Fhir { method: "PUT".into(), path: location.to_owned(), if_none_exist: None, if_match: etag };
        Self { way, bytes: base64(resource.to_string().as_bytes()) }
    }

    /// As it is handed to the receiver.
    pub fn parcel(&self, n: i64) -> Result<Parcel, Fault> {
        let broken = || Fault::Integrity("a parcel is not what was kept");
        let bytes = from_base64(&self.bytes).ok_or_else(broken)?;
        let kind = match self.way.clone() {
            Way::Fhir { method, path, if_none_exist, if_match } => {
                ParcelKind::Fhir { method, path, if_none_exist, if_match }
            }
            Way::Hl7v2 => ParcelKind::Hl7v2,
            Way::File { name } => ParcelKind::File { name },
        };
        Ok(Parcel { n: u32::try_from(n).map_err(|_| broken())?, kind, bytes })
    }
}

/// What a document is searched by: sent again after a lost answer, it is there once.
fn identified(document: &[u8]) -> Option<String> {
    let document: Value = serde_json::from_slice(document).ok()?;
    let identifier = &document["identifier"];
    Some(search(identifier["system"].as_str()?, identifier["value"].as_str()?))
}

/// What parcels are made with.
pub(super) struct Making<'a> {
    /// System of our identifiers.
    pub system: &'a str,
    pub patient: PatientId,
    /// Who the receiver takes the patient for.
    pub at_receiver: Option<&'a str>,
    pub holdings: &'a Holdings,
}

/// How one resource is asked for.
struct Request {
    method: &'static str,
    url: String,
    if_none_exist: Option<String>,
    if_match: Option<String>,
}

impl Making<'_> {
    /// Makes the bytes.
    pub fn make(&self, planned: &Planned) -> Result<Ready, Fault> {
        let inside: HashSet<Uuid> =
            if planned.bundle { planned.sent.iter().map(|sent| sent.id).collect() } else { HashSet::new() };
        let resources = planned.sent.iter().map(|sent| (sent, self.resource(sent, &inside), self.request(sent)));
        if planned.bundle {
            let entries: Vec<Value> =
                resources.map(|(sent, resource, request)| entry(sent, resource, request)).collect();
            let bundle = json!({ "resourceType": "Bundle", "type": "transaction", "entry": entries });
            let way = Way::Fhir { method: "POST".into(), path: String::new(), if_none_exist: None, if_match: None };
            return Ok(Ready { way, bytes: base64(bundle.to_string().as_bytes()) });
        }
        let mut resources = resources;
        let (_, resource, request) = resources.next().ok_or(Fault::Defect("a parcel with nothing in it"))?;
        let Request { method, url, if_none_exist, if_match } = request;
        let way = Way::Fhir { method: method.into(), path: url, if_none_exist, if_match };
        Ok(Ready { way, bytes: base64(resource.to_string().as_bytes()) })
    }

    fn location(&self, id: Uuid) -> Option<&str> {
        let held = self.holdings.get(&id).and_then(|held| held.location.as_deref());
        held.or_else(|| self.at_receiver.filter(|_| id == self.patient.0))
    }

    fn request(&self, sent: &Sent) -> Request {
        let class = &sent.class;
        if sent.resource.get("identifier").is_none() {
            return Request { method: "PUT", url: format!("{class}/{}", sent.id), if_none_exist: None, if_match: None };
        }
        let search = self.search(sent);
        if !sent.update {
            return Request { method: "POST", url: class.clone(), if_none_exist: Some(search), if_match: None };
        }
        match self.holdings.get(&sent.id) {
            Some(held) if held.location.is_some() => Request {
                method: "PUT",
                url: held.location.clone().unwrap_or_default(),
                if_none_exist: None,
                if_match: held.etag.clone(),
            },
            _ => Request { method: "PUT", url: format!("{class}?{search}"), if_none_exist: None, if_match: None },
        }
    }

    /// A patient who is to be made is looked for by the identifier they came with.
    fn search(&self, sent: &Sent) -> String {
        let first = &sent.resource["identifier"][0];
        match (first["system"].as_str(), first["value"].as_str()) {
            (Some(system), Some(value)) => search(system, value),
            _ => search(self.system, &sent.id.to_string()),
        }
    }

    fn resource(&self, sent: &Sent, inside: &HashSet<Uuid>) -> Value {
        let mut resource = sent.resource.clone();
        self.refer(&mut resource, inside);
        if sent.update
            && let Some((_, id)) = self.location(sent.id).and_then(|location| location.split_once('/'))
        {
            resource["id"] = id.into();
        }
        resource
    }

    /// References: within the parcel by `fullUrl`, to what the receiver holds by its own id, to anything else by identifier alone, which
    /// needs nothing to be there (FHIR R4, *References*, logical references).
    fn refer(&self, value: &mut Value, inside: &HashSet<Uuid>) {
        match value {
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.refer(element, inside)),
            Value::Object(members) => {
                self.resolve(members, inside);
                members.values_mut().for_each(|member| self.refer(member, inside));
            }
            _ => {}
        }
    }

    fn resolve(&self, members: &mut Map<String, Value>, inside: &HashSet<Uuid>) {
        let Some(Value::String(reference)) = members.get("reference") else { return };
        let Some((class, id)) = reference.split_once('/') else { return };
        let Some(id) = (id.len() == 36).then(|| id.parse::<Uuid>().ok()).flatten() else { return };
        let class = class.to_owned();
        if inside.contains(&id) {
            members.insert("reference".into(), full_url(id).into());
        } else if let Some(location) = self.location(id) {
            members.insert("reference".into(), location.into());
        } else {
            members.remove("reference");
            members.insert("type".into(), class.into());
            members.entry("identifier").or_insert_with(|| json!({ "system": self.system, "value": id }));
        }
    }
}

fn entry(sent: &Sent, resource: Value, request: Request) -> Value {
    let mut asked = Map::new();
    asked.insert("method".into(), request.method.into());
    asked.insert("url".into(), request.url.into());
    asked.extend(request.if_none_exist.map(|search| ("ifNoneExist".to_owned(), search.into())));
    asked.extend(request.if_match.map(|etag| ("ifMatch".to_owned(), etag.into())));
    json!({ "fullUrl": full_url(sent.id), "resource": resource, "request": asked })
}

/// Into parcels: transactions of at most `limit` entries, or, with 0, single requests.
pub(super) fn parcels(sent: Vec<Sent>, limit: usize) -> Vec<Planned> {
    if limit == 0 {
        let single = |sent| Planned { sent: vec![sent], bundle: false, marks: false, ready: None };
        return sent.into_iter().map(single).collect();
    }
    let mut parcels: Vec<Planned> = Vec::new();
    for one in sent {
        match parcels.last_mut() {
            Some(last) if last.sent.len() < limit => last.sent.push(one),
            _ => parcels.push(Planned { sent: vec![one], bundle: true, marks: false, ready: None }),
        }
    }
    parcels
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ledger::{Held, hash};
    use super::*;

    const SYSTEM: &str = "https://messaging.example.org/id";

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number + 1)
    }

    fn sent(number: u128, refers: &[(&str, u128)], update: bool) -> Sent {
        let about: Vec<Value> =
            refers.iter().map(|(class, n)| json!({"reference": format!("{class}/{}", id(*n))})).collect();
        let resource = json!({"resourceType": "Communication", "about": about,
                              "identifier": [{"system": SYSTEM, "value": id(number)}]});
        let hash = hash(&resource);
        Sent { id: id(number), class: "Communication".into(), resource, update, hash, carries: Vec::new() }
    }

    fn made(planned: &Planned, holdings: &Holdings) -> (ParcelKind, Value) {
        let making = Making { system: SYSTEM, patient: PatientId(id(99)), at_receiver: Some("Patient/p1"), holdings };
        let parcel = making.make(planned).unwrap().parcel(3).unwrap();
        assert_eq!(parcel.n, 3);
        let bytes = serde_json::from_slice(&parcel.bytes).unwrap();
        (parcel.kind, bytes)
    }

    #[test]
    fn references_lead_to_what_is_there() {
        let held = Held { hash: String::new(), location: Some("Goal/g1".into()), etag: Some("W/\"2\"".into()) };
        let holdings = Holdings::from([(id(7), held)]);
        let refers = [("Communication", 1), ("Goal", 7), ("Patient", 99), ("Task", 50)];
        let planned = Planned {
            sent: vec![sent(1, &[], false), sent(2, &refers, false)],
            bundle: true,
            marks: false,
            ready: None,
        };
        let (_, bundle) = made(&planned, &holdings);
        let about = &bundle["entry"][1]["resource"]["about"];
        assert_eq!(about[0]["reference"], bundle["entry"][0]["fullUrl"]);
        assert_eq!((&about[1]["reference"], &about[2]["reference"]), (&json!("Goal/g1"), &json!("Patient/p1")));
        assert_eq!(about[3], json!({"type": "Task", "identifier": {"system": SYSTEM, "value": id(50)}}));
        assert_eq!(bundle["entry"][1]["request"]["url"], "Communication");
        assert!(bundle["entry"][1]["request"]["ifNoneExist"].as_str().unwrap().starts_with("identifier=https%3A"));
    }

    #[test]
    fn what_is_there_is_changed_where_it_is() {
        let held =
            Held { hash: String::new(), location: Some("Communication/c1".into()), etag: Some("W/\"2\"".into()) };
        let holdings = Holdings::from([(id(1), held)]);
        let (kind, resource) =
            made(&Planned { sent: vec![sent(1, &[], true)], bundle: false, marks: false, ready: None }, &holdings);
        let ParcelKind::Fhir { method, path, if_none_exist, if_match } = kind else { panic!("another kind") };
        assert_eq!((method.as_str(), path.as_str(), if_none_exist), ("PUT", "Communication/c1", None));
        assert_eq!((if_match.as_deref(), &resource["id"]), (Some("W/\"2\""), &json!("c1")));
        // Sent before, though where it went was never heard: found by its identifier.
        let (kind, _) = made(
            &Planned { sent: vec![sent(1, &[], true)], bundle: false, marks: false, ready: None },
            &Holdings::new(),
        );
        assert!(matches!(kind, ParcelKind::Fhir { path, .. } if path.starts_with("Communication?identifier=")));
    }

    proptest! {
        #[test]
        fn parcels_hold_everything_once_in_order(count in 0_usize..60, limit in 0_usize..12) {
            let all: Vec<Sent> = (0..count).map(|n| sent(n as u128, &[], false)).collect();
            let parcels = parcels(all.clone(), limit);
            prop_assert!(parcels.iter().all(|one| !one.sent.is_empty() && one.sent.len() <= limit.max(1) && one.bundle == (limit > 0)));
            let ids: Vec<Uuid> = parcels.iter().flat_map(|one| one.sent.iter().map(|sent| sent.id)).collect();
            prop_assert_eq!(ids, all.iter().map(|sent| sent.id).collect::<Vec<_>>());
        }
    }
}
