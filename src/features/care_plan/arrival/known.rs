//! What a reading asks of the past, answered from what is kept. Only patients the importer stands at as staff are known to it.

use std::collections::HashMap;

use super::super::import::{Known, KnownResource, ResourceKey, Sought};
use super::super::sql::{self, SourceRow};
use super::store::{self, identifier_mac, key_mac};
use crate::features::patients;
use crate::kernel::base::{Fault, PatientId, Phi, Stop};
use crate::kernel::engine::{Engine, Read};
use crate::kernel::policy::{Right, Subject};

/// Under what a patient is known to a reading who came by no import.
const BY_HAND: &str = "carethread:patient:";

/// The patient of a key made here.
pub(super) fn by_hand(key: &str) -> Option<PatientId> {
    key.strip_prefix(BY_HAND)?.parse().ok()
}

/// Adds what is known of what was sought, and gives how much that was.
pub(super) async fn remember(
    engine: &Engine,
    subject: &Subject,
    sought: &[Sought],
    memory: &mut Known,
) -> Result<usize, Fault> {
    let mut desk = Desk { cx: engine.reader(subject.clone()).await?, permitted: HashMap::new() };
    let mut found = 0;
    for one in sought {
        found += match one {
            Sought::Key(key) => desk.by_key(key, memory).await?,
            Sought::Identifier { kind, system, value } => {
                desk.by_identifier(kind, system.as_deref(), value, memory).await?
            }
        };
    }
    Ok(found)
}

struct Desk {
    cx: Read,
    permitted: HashMap<PatientId, bool>,
}

impl Desk {
    /// What belongs to nobody is known to all staff.
    async fn permits(&mut self, patient: PatientId) -> Result<bool, Fault> {
        if patient == PatientId::ZERO {
            return Ok(true);
        }
        if let Some(permitted) = self.permitted.get(&patient) {
            return Ok(*permitted);
        }
        let permitted = match self.cx.permit_patient(Right::SeePatient, patient).await {
            Ok((permit, _)) => !permit.family(),
            Err(Stop::Refused(_)) => false,
            Err(Stop::Failed(fault)) => return Err(fault),
        };
        self.permitted.insert(patient, permitted);
        Ok(permitted)
    }

    async fn by_key(&mut self, key: &ResourceKey, memory: &mut Known) -> Result<usize, Fault> {
        if let Some(patient) = by_hand(key.as_str()) {
            if !self.permits(patient).await? {
                return Ok(0);
            }
            memory.add(key.clone(), registered(key));
            return Ok(1);
        }
        let mac = key_mac(self.cx.vault(), key.as_str())?;
        let rows = sql::by_key(self.cx.tx(), &mac).await?;
        for row in rows {
            if self.permits(row.patient).await? {
                self.add(&row, memory).await?;
                return Ok(1);
            }
        }
        Ok(0)
    }

    async fn by_identifier(
        &mut self,
        kind: &str,
        system: Option<&str>,
        value: &str,
        memory: &mut Known,
    ) -> Result<usize, Fault> {
        let mac = identifier_mac(self.cx.vault(), kind, system, value)?;
        let mut met: Vec<PatientId> = Vec::new();
        let mut found = 0;
        for id in sql::named(self.cx.tx(), &mac).await? {
            let Some(row) = sql::by_id(self.cx.tx(), id).await? else { continue };
            if !self.permits(row.patient).await? {
                continue;
            }
            met.push(row.patient);
            self.add(&row, memory).await?;
            found += 1;
        }
        let Some(system) = system.filter(|_| kind == "Patient") else { return Ok(found) };
        let (tx, vault) = self.cx.log();
        for patient in patients::by_identifier(tx, vault, system, value).await? {
            if !met.contains(&patient) && self.permits(patient).await? {
                let key = ResourceKey::new(format!("{BY_HAND}{patient}"));
                memory.add_identifier(kind, system, value, &key);
                memory.add(key.clone(), registered(&key));
                found += 1;
            }
        }
        Ok(found)
    }

    async fn add(&mut self, row: &SourceRow, memory: &mut Known) -> Result<(), Fault> {
        let resource = store::open(self.cx.vault(), row).await?;
        let known = KnownResource {
            kind: resource.kind,
            patient: resource.patient.map(ResourceKey::new),
            server: resource.server,
            item: row.item.is_some(),
            json: Some(Phi::new(resource.json)),
        };
        memory.add(ResourceKey::new(resource.key), known);
        Ok(())
    }
}

fn registered(key: &ResourceKey) -> KnownResource {
    KnownResource { kind: "Patient".to_owned(), patient: Some(key.clone()), server: None, item: false, json: None }
}
