//! What is too large for a receiver, made smaller: files go beside the resource they belong to, and one that is still too large is named
//! instead of carried. Pure. Does not know how a receiver says that something is too large.
//! Invariants: nothing is left out without being named in the place where it stood; what the ledger keeps is the hash of the resource as
//! it stands in the record, so that the next filing does not take it for changed.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::ledger::{Sent, hash};

/// How files travel.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Files {
    /// Each as a resource of its own.
    pub beside: bool,
    /// Only those with fewer characters of Base64; the others are named.
    pub below: Option<usize>,
}

impl Files {
    /// The next way for a resource that was refused; none where there is nothing to leave out.
    pub fn after(self, refused: &Sent) -> Option<Self> {
        let heaviest = attachments(&refused.resource).filter_map(carried).max()?;
        match self.beside || !is_communication(&refused.resource) {
            // It stands by itself already.
            true => Some(Self { below: Some(self.below.map_or(heaviest, |below| below.min(heaviest))), ..self }),
            false => Some(Self { beside: true, ..self }),
        }
    }

    /// What is sent instead, referenced things first.
    pub fn apart(self, sent: Vec<Sent>) -> Vec<Sent> {
        if self == Self::default() {
            return sent;
        }
        let mut apart = Vec::with_capacity(sent.len());
        for mut one in sent {
            if let Some(below) = self.below {
                name_only(&mut one.resource, below);
            }
            if self.beside && is_communication(&one.resource) {
                apart.extend(moved_out(&mut one));
            }
            apart.push(one);
        }
        apart
    }
}

fn is_communication(resource: &Value) -> bool {
    resource["resourceType"] == "Communication"
}

/// The words of a note are no file of it.
fn is_file(attachment: &Value) -> bool {
    !attachment["contentType"].as_str().unwrap_or_default().starts_with("text/plain; charset")
}

fn attachments(resource: &Value) -> impl Iterator<Item = &Value> {
    let said = resource["payload"].as_array().into_iter().flatten().map(|one| &one["contentAttachment"]);
    let held = resource["content"].as_array().into_iter().flatten().map(|one| &one["attachment"]);
    said.chain(held).filter(|one| one.is_object())
}

/// Characters of a file that travels with its resource.
fn carried(attachment: &Value) -> Option<usize> {
    attachment["data"].as_str().filter(|_| is_file(attachment)).map(str::len)
}

fn name_only(resource: &mut Value, below: usize) {
    let (list, member) =
        if is_communication(resource) { ("payload", "contentAttachment") } else { ("content", "attachment") };
    // Indexing would put a null where a resource has no such list.
    for one in resource.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(attachment) = one.get_mut(member) else { continue };
        if carried(attachment).is_none_or(|length| length < below) {
            continue;
        }
        let title = attachment["title"].as_str().unwrap_or("File");
        let title = format!("{title} ({} bytes; too large for this receiver, not included)", attachment["size"]);
        attachment["title"] = title.into();
        if let Some(members) = attachment.as_object_mut() {
            members.remove("data");
            // It is the hash of the data (FHIR R4, *Attachment*).
            members.remove("hash");
        }
    }
}

/// Takes the files out of a Communication, each a DocumentReference that it refers to.
fn moved_out(one: &mut Sent) -> Vec<Sent> {
    let of = one.resource.clone();
    let mut files = Vec::new();
    let payloads = one.resource.get_mut("payload").and_then(Value::as_array_mut);
    for (n, payload) in (0_u32..).zip(payloads.into_iter().flatten()) {
        let Some(attachment) = payload.get("contentAttachment").filter(|one| carried(one).is_some()) else { continue };
        let id = Uuid::new_v5(&one.id, format!("file {n}").as_bytes());
        let title = attachment["title"].clone();
        let mut resource = json!({
            "resourceType": "DocumentReference",
            "meta": of["meta"],
            "identifier": [{ "system": of["identifier"][0]["system"], "value": id }],
            "status": "current",
            "type": { "text": "File of a care team message" },
            "subject": of["subject"],
            "date": of["sent"],
            "description": title,
            "content": [{ "attachment": attachment }],
        });
        if of["sender"].is_object() {
            resource["author"] = json!([of["sender"]]);
        }
        let resource = crate::features::channels::without_empty(resource);
        *payload = json!({ "contentReference": { "reference": format!("DocumentReference/{id}"), "display": title } });
        let hash = hash(&resource);
        files.push(Sent { id, class: "DocumentReference".into(), resource, update: false, hash, carries: Vec::new() });
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> Sent {
        let resource = json!({
            "resourceType": "Communication",
            "identifier": [{"system": "urn:x", "value": "m"}],
            "subject": {"reference": "Patient/p"}, "sender": {"reference": "Practitioner/u"}, "sent": "2026-03-02T17:00:00Z",
            "payload": [{"contentString": "see the scan"},
                {"contentAttachment": {"contentType": "image/png", "data": "AAAAAAAA", "hash": "h", "size": 6, "title": "scan.png"}},
                {"contentAttachment": {"contentType": "image/png", "data": "AAAA", "hash": "h", "size": 3, "title": "small.png"}},
                {"contentAttachment": {"title": "huge.png (9 bytes, SHA-256 x; not included)"}}],
        });
        let hash = hash(&resource);
        Sent {
            id: Uuid::from_u128(1),
            class: "Communication".into(),
            resource,
            update: false,
            hash,
            carries: Vec::new(),
        }
    }

    #[test]
    fn files_go_beside_their_message_and_what_is_still_too_large_is_named() {
        let beside = Files::default().after(&sent()).unwrap();
        assert_eq!(beside, Files { beside: true, below: None });
        let apart = beside.apart(vec![sent()]);
        let classes: Vec<&str> = apart.iter().map(|one| one.class.as_str()).collect();
        assert_eq!(classes, ["DocumentReference", "DocumentReference", "Communication"]);
        assert_eq!(apart[0].resource["content"][0]["attachment"], sent().resource["payload"][1]["contentAttachment"]);
        let reference = format!("DocumentReference/{}", apart[0].id);
        assert_eq!(apart[2].resource["payload"][1]["contentReference"]["reference"], reference.as_str());
        assert_eq!(apart[2].resource["payload"][3], sent().resource["payload"][3]);
        assert_eq!(apart[2].hash, sent().hash, "the record did not change");
        // The file by itself is refused too: it is named, and nothing else is.
        let named = beside.after(&apart[0]).unwrap();
        assert_eq!(named, Files { beside: true, below: Some(8) });
        let apart = named.apart(vec![sent()]);
        assert_eq!(apart.len(), 2);
        let named = &apart[1].resource["payload"][1]["contentAttachment"];
        assert!(named.get("data").is_none() && named.get("hash").is_none(), "{named}");
        assert_eq!(named["title"], "scan.png (6 bytes; too large for this receiver, not included)");
        // With nothing to leave out there is an end.
        assert_eq!(beside.after(&apart[1]), None);
        assert_eq!(Files::default().apart(vec![sent()])[0].resource, sent().resource);
    }

    #[test]
    fn what_carries_no_file_stays_as_it_is() {
        for class in ["Provenance", "Communication", "Task"] {
            let resource = json!({ "resourceType": class, "identifier": [{"system": "urn:x", "value": "m"}] });
            let one = Sent { class: class.into(), hash: hash(&resource), resource: resource.clone(), ..sent() };
            let apart = Files { beside: true, below: Some(1) }.apart(vec![one]);
            assert_eq!(apart.iter().map(|one| &one.resource).collect::<Vec<_>>(), [&resource]);
        }
    }
}
