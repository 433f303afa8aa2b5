//! Who stands for resources that have no place for it: a Provenance (FHIR R4) for each attestation. Pure.

use serde_json::{Value, json};
use uuid::Uuid;

use super::refer::clean;
use crate::features::chart::vouched::Attestation;
use crate::kernel::base::{ThingId, UserId};

/// Resources that one attestation names; it is about the plan where there are more.
const TARGETS_MAX: usize = 500;

/// What attestations are about, as it is written.
#[derive(Default)]
pub(in crate::features::chart) struct Attested {
    said: Vec<(String, Uuid)>,
    more: bool,
}

impl Attested {
    /// A resource that is sent: what is said in it is attested, what it only refers to is not.
    pub fn take(&mut self, class: &str, id: Uuid) {
        if !matches!(class, "Communication" | "DocumentReference" | "Task") {
            return;
        }
        match self.said.len() < TARGETS_MAX {
            true => self.said.push((class.to_owned(), id)),
            false => self.more = true,
        }
    }

    /// Our ids of it.
    pub fn ids(&self) -> Vec<Uuid> {
        self.said.iter().map(|(_, id)| *id).collect()
    }

    /// The Provenance of each attestation of an export. `plan` stands for all of it, `person` is how somebody is referred to.
    pub fn provenances(
        self,
        export: ThingId,
        attestations: &[Attestation],
        plan: Value,
        person: impl Fn(UserId) -> Value,
    ) -> Vec<(Uuid, Value)> {
        let said = self.said.iter().map(|(class, id)| json!({ "reference": format!("{class}/{id}") }));
        let target = if self.more || self.said.is_empty() { vec![plan] } else { said.collect() };
        let coded = |system: &str, code: &str| json!({ "coding": [{ "system": system, "code": code }] });
        let provenance = |one: &Attestation| {
            // The same in each attempt.
            let id = Uuid::new_v5(&export.0, one.by.0.as_bytes());
            let resource = json!({
                "resourceType": "Provenance",
                "id": id,
                "target": target,
                "recorded": one.at,
                "reason": [{ "text": format!("Attested: {}", one.statement) }],
                "activity": coded("http://terminology.hl7.org/CodeSystem/v3-DocumentCompletion", "AU"),
                "agent": [{
                    "type": coded("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "attester"),
                    "who": person(one.by),
                }],
            });
            (id, clean(resource).unwrap_or_default())
        };
        attestations.iter().map(provenance).collect()
    }
}
