//! Imported resources as they are kept: sealed, found by MACs of what the source calls them, each changed version beside the older.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::super::import;
use super::super::sql::{self, SourceRow};
use super::parcel::{ParcelResource, Said};
use crate::kernel::base::{Fault, ItemId, PatientId};
use crate::kernel::crypto::{Purpose, lookup_mac};
use crate::kernel::engine::Ledger;
use crate::kernel::log::Vault;
use crate::kernel::store::Tx;

/// A resource of an import, as it came.
pub struct KeptSource {
    /// What tells it from all others of the source.
    pub key: String,
    /// Its FHIR type; empty for a part that an item was made of.
    pub kind: String,
    /// The plan item made of it.
    pub item: Option<ItemId>,
    /// Its JSON, byte for byte.
    pub json: String,
}

/// What is sealed of a resource: itself, and what it said of the item that was made of it.
#[derive(Serialize)]
struct Stored<'a> {
    #[serde(flatten)]
    resource: &'a ParcelResource,
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<&'a Said>,
}

/// The second half of it.
#[derive(Deserialize)]
struct StoredSaid {
    #[serde(default)]
    said: Option<Said>,
}

/// The first version of the system key, for ever: a look-up must find what an older key wrote.
fn mac(vault: &Vault, label: &str, parts: &[&str]) -> Result<[u8; 32], Fault> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    Ok(lookup_mac(&*vault.keyring().system_at(1)?, label, &bytes))
}

/// What a resource is found by.
pub(super) fn key_mac(vault: &Vault, key: &str) -> Result<[u8; 32], Fault> {
    mac(vault, "import.key", &[key])
}

/// What a resource is found by besides; a system of none is any.
pub(super) fn identifier_mac(vault: &Vault, kind: &str, system: Option<&str>, value: &str) -> Result<[u8; 32], Fault> {
    match system {
        Some(system) => mac(vault, "import.identifier", &[kind, system, value]),
        None => mac(vault, "import.identifier.any", &[kind, value]),
    }
}

fn content_mac(vault: &Vault, json: &str) -> Result<[u8; 32], Fault> {
    mac(vault, "import.content", &[json])
}

/// The newest version of each resource of a patient, by the MAC of its key.
pub(super) struct Held {
    by_key: HashMap<Vec<u8>, sql::SourceHeld>,
}

impl Held {
    pub(super) async fn of(tx: &mut Tx, patient: PatientId) -> Result<Self, Fault> {
        let rows = sql::held(tx, patient).await?;
        // Oldest first: the newest stays.
        Ok(Self { by_key: rows.into_iter().map(|row| (row.mac.clone(), row)).collect() })
    }

    /// Nothing is held of a patient who is new.
    pub(super) fn nothing() -> Self {
        Self { by_key: HashMap::new() }
    }

    /// Nothing came before.
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// The item made of the resource of that key.
    pub(super) fn item(&self, vault: &Vault, key: &str) -> Result<Option<ItemId>, Fault> {
        Ok(self.by_key.get(key_mac(vault, key)?.as_slice()).and_then(|row| row.item))
    }

    /// The row that holds the newest version of that key.
    pub(super) fn row(&self, vault: &Vault, key: &str) -> Result<Option<Uuid>, Fault> {
        Ok(self.by_key.get(key_mac(vault, key)?.as_slice()).map(|row| row.id))
    }

    /// Whether this very resource is held.
    pub(super) fn has(&self, vault: &Vault, resource: &ParcelResource) -> Result<bool, Fault> {
        let content = content_mac(vault, &resource.json)?;
        let held = self.by_key.get(key_mac(vault, &resource.key)?.as_slice());
        Ok(held.is_some_and(|row| row.content == content))
    }

    /// Keeps a resource unless this very one is held, with the item that was made of it.
    pub(super) async fn keep(
        &mut self,
        ledger: &mut Ledger,
        patient: PatientId,
        resource: &ParcelResource,
        said: Option<&Said>,
        item: Option<ItemId>,
    ) -> Result<Uuid, Fault> {
        let vault = ledger.vault().clone();
        let key = key_mac(&vault, &resource.key)?.to_vec();
        let content = content_mac(&vault, &resource.json)?.to_vec();
        let held = self.by_key.get_mut(&key);
        let revision = held.as_ref().map_or(1, |row| row.revision + 1);
        let item = item.or_else(|| held.as_ref().and_then(|row| row.item));
        if let Some(row) = held
            && row.content == content
        {
            if let (Some(item), None) = (item, row.item) {
                sql::became_item(ledger.change(), row.id, item).await?;
                row.item = Some(item);
            }
            return Ok(row.id);
        }
        let id = vault.world().id();
        let plain =
            serde_json::to_vec(&Stored { resource, said }).map_err(|_| Fault::Defect("a resource is not JSON"))?;
        let sealed = if patient == PatientId::ZERO {
            vault.seal_system(Purpose::View, id, revision, &plain)?
        } else {
            vault.seal_view(patient, Purpose::View, id, revision, &plain).await?
        };
        let row = SourceRow { id, patient, item, mac: key.clone(), content: content.clone(), revision, sealed };
        sql::keep(ledger.change(), &row).await?;
        for mac in names(&vault, resource)? {
            sql::name(ledger.change(), &mac, id).await?;
        }
        self.by_key.insert(key.clone(), sql::SourceHeld { id, item, mac: key, content, revision });
        Ok(id)
    }
}

/// MACs of the identifiers of a resource, each with its system and with any.
fn names(vault: &Vault, resource: &ParcelResource) -> Result<Vec<[u8; 32]>, Fault> {
    let mut macs: Vec<[u8; 32]> = Vec::new();
    if resource.kind.is_empty() {
        return Ok(macs);
    }
    for (system, value) in import::identifiers_of(&resource.json) {
        for system in [Some(system.as_str()), None] {
            let mac = identifier_mac(vault, &resource.kind, system, &value)?;
            if !macs.contains(&mac) {
                macs.push(mac);
            }
        }
    }
    Ok(macs)
}

/// Opens a row.
pub(super) async fn open(vault: &Vault, row: &SourceRow) -> Result<ParcelResource, Fault> {
    let plain = opened(vault, row).await?;
    serde_json::from_slice(&plain).map_err(|_| Fault::Integrity("an imported resource is not JSON"))
}

/// What a row said of its item; none where it was kept before that was.
pub(super) async fn said(vault: &Vault, row: &SourceRow) -> Result<Option<Said>, Fault> {
    let plain = opened(vault, row).await?;
    let stored: StoredSaid =
        serde_json::from_slice(&plain).map_err(|_| Fault::Integrity("an imported resource is not JSON"))?;
    Ok(stored.said)
}

async fn opened(vault: &Vault, row: &SourceRow) -> Result<Zeroizing<Vec<u8>>, Fault> {
    Ok(if row.patient == PatientId::ZERO {
        vault.open_system(Purpose::View, row.id, row.revision, &row.sealed)?
    } else {
        vault.open_view(row.patient, Purpose::View, row.id, row.revision, &row.sealed).await?
    })
}

/// Every resource that imports brought of a patient, the newest version of each, in the order they came: for sending a plan back
/// whence it came with all that is not shown of it. Whoever asks has been permitted to see the patient.
///
/// # Errors
/// The database's, or it does not open.
pub async fn kept(tx: &mut Tx, vault: &Vault, patient: PatientId) -> Result<Vec<KeptSource>, Fault> {
    let rows = sql::sources(tx, patient).await?;
    let mut newest: HashMap<Vec<u8>, (Uuid, i64)> = HashMap::new();
    for row in &rows {
        let held = newest.entry(row.mac.clone()).or_insert((row.id, row.revision));
        if row.revision > held.1 {
            *held = (row.id, row.revision);
        }
    }
    let current = |row: &&SourceRow| newest.get(&row.mac).is_some_and(|(id, _)| *id == row.id);
    // A resource that came under another id since is the same item: the later one stands for it.
    let latest: HashMap<ItemId, Uuid> =
        rows.iter().filter(current).filter_map(|row| Some((row.item?, row.id))).collect();
    let mut kept = Vec::with_capacity(newest.len());
    for row in rows.iter().filter(current) {
        if row.item.is_some_and(|item| latest[&item] != row.id) {
            continue;
        }
        let ParcelResource { key, kind, json, .. } = open(vault, row).await?;
        kept.push(KeptSource { key, kind, item: row.item, json });
    }
    Ok(kept)
}
