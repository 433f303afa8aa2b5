//! Keys at hand: the keyring in memory over the wrapped keys on disk, and what is sealed under them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::kernel::base::id::DeploymentId;
use crate::kernel::base::{ChannelId, Fault, PatientId, World};
use crate::kernel::crypto::keyring::{Keyring, WrappedKey};
use crate::kernel::crypto::seal::{self, DataKey, Place, Purpose};
use crate::kernel::crypto::wrap::KeyOwner;
use crate::kernel::store::Keys;

/// State of a wrapped key that is in use.
const ACTIVE: i16 = 0;

/// The keys of a deployment. Shared by cloning.
#[derive(Clone)]
pub struct Vault {
    inner: Arc<Inner>,
}

struct Inner {
    keyring: Keyring,
    keys: Keys,
    deployment: DeploymentId,
    world: World,
    /// Which version seals for each patient whose key is open.
    current: Mutex<HashMap<PatientId, u32>>,
}

/// From the row on disk to what the keyring opens.
///
/// # Errors
/// A number in the row is out of range.
pub fn wrapped(row: crate::kernel::store::WrappedKey) -> Result<WrappedKey, Fault> {
    let number = |n: i64| u32::try_from(n).map_err(|_| Fault::Integrity("a key version is out of range"));
    Ok(WrappedKey {
        owner: *row.owner.as_bytes(),
        version: number(row.version)?,
        kek_version: number(row.kek_version)?,
        blob: row.blob,
    })
}

impl Vault {
    /// Over an unsealed (or still sealed) keyring.
    #[must_use]
    pub fn new(keyring: Keyring, keys: Keys, deployment: DeploymentId, world: World) -> Self {
        Self { inner: Arc::new(Inner { keyring, keys, deployment, world, current: Mutex::default() }) }
    }

    /// The keyring itself: system key, signer, seal.
    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.inner.keyring
    }

    /// The wrapped keys on disk.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    /// Bound into every sealed value.
    #[must_use]
    pub fn deployment(&self) -> DeploymentId {
        self.inner.deployment
    }

    /// Clock and randomness.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.inner.world
    }

    /// Draws a key and commits it wrapped; only then may anything be sealed under it.
    ///
    /// # Errors
    /// Sealed, or the key database fails.
    pub async fn commit_new_key(&self, owner: KeyOwner, version: u32) -> Result<WrappedKey, Fault> {
        let key = self.inner.keyring.new_key(&self.inner.world, owner, version)?;
        let row = crate::kernel::store::WrappedKey {
            owner: Uuid::from_bytes(key.owner),
            version: i64::from(key.version),
            kek_version: i64::from(key.kek_version),
            state: ACTIVE,
            created_at: self.inner.world.now(),
            blob: key.blob.clone(),
        };
        self.inner.keys.insert(&row).await?;
        Ok(key)
    }

    /// Makes the first data key of a new patient, committed before its first use.
    ///
    /// # Errors
    /// Sealed, or the key database fails.
    pub async fn create_patient(&self, patient: PatientId) -> Result<(), Fault> {
        let row = self.commit_new_key(KeyOwner::Patient(patient), 1).await?;
        self.inner.keyring.open_patient(patient, &row)?;
        self.remember(patient, 1);
        Ok(())
    }

    fn remember(&self, patient: PatientId, version: u32) {
        let mut current = self.inner.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.len() > crate::kernel::crypto::keyring::PATIENT_KEYS_MAX {
            current.clear();
        }
        let held = current.entry(patient).or_insert(version);
        *held = version.max(*held);
    }

    async fn load(&self, patient: PatientId) -> Result<(), Fault> {
        for row in self.inner.keys.load(Uuid::from_bytes(KeyOwner::Patient(patient).bytes())).await? {
            if row.state == ACTIVE || row.state == 1 {
                let row = wrapped(row)?;
                self.inner.keyring.open_patient(patient, &row)?;
                self.remember(patient, row.version);
            }
        }
        Ok(())
    }

    /// The key that seals for a patient now.
    ///
    /// # Errors
    /// Sealed, no such key, or it does not open.
    pub async fn patient(&self, patient: PatientId) -> Result<Arc<DataKey>, Fault> {
        let known =
            |vault: &Self| vault.inner.current.lock().unwrap_or_else(PoisonError::into_inner).get(&patient).copied();
        if let Some(version) = known(self)
            && let Some(key) = self.inner.keyring.patient(patient, version)
        {
            return Ok(key);
        }
        self.load(patient).await?;
        let version = known(self).ok_or(Fault::Integrity("a patient has no data key"))?;
        self.inner.keyring.patient(patient, version).ok_or(Fault::Sealed)
    }

    /// The key of a patient that a sealed value names.
    ///
    /// # Errors
    /// Sealed, no such key, or it does not open.
    pub async fn patient_at(&self, patient: PatientId, version: u32) -> Result<Arc<DataKey>, Fault> {
        if let Some(key) = self.inner.keyring.patient(patient, version) {
            return Ok(key);
        }
        self.load(patient).await?;
        self.inner
            .keyring
            .patient(patient, version)
            .ok_or(Fault::Integrity("a sealed value names a key that is not there"))
    }

    /// Whether the key is there that a sealed value names. It is not after its patient was shredded.
    ///
    /// # Errors
    /// Sealed, or the key database fails.
    pub async fn has_key(&self, patient: PatientId, version: u32) -> Result<bool, Fault> {
        if self.inner.keyring.patient(patient, version).is_none() {
            self.load(patient).await?;
        }
        Ok(self.inner.keyring.patient(patient, version).is_some())
    }

    fn view_place(&self, patient: PatientId, row: Uuid, revision: i64) -> Place {
        Place {
            deployment: self.inner.deployment,
            patient,
            channel: ChannelId::ZERO,
            row: *row.as_bytes(),
            seq: revision.unsigned_abs(),
        }
    }

    /// Seals a column of a projection under the patient's key. `row` and `revision` are the place it belongs to.
    ///
    /// # Errors
    /// As [`Vault::patient`].
    pub async fn seal_view(
        &self,
        patient: PatientId,
        purpose: Purpose,
        row: Uuid,
        revision: i64,
        value: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let key = self.patient(patient).await?;
        Ok(seal::seal_value(&self.inner.world, &key, purpose, &self.view_place(patient, row, revision), value))
    }

    /// Opens what [`Vault::seal_view`] sealed.
    ///
    /// # Errors
    /// It does not open there: an integrity fault.
    pub async fn open_view(
        &self,
        patient: PatientId,
        purpose: Purpose,
        row: Uuid,
        revision: i64,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let version = seal::key_version_of(sealed).ok_or(Fault::Integrity("a sealed value has no header"))?;
        let key = self.patient_at(patient, version).await?;
        seal::open_value(&key, purpose, &self.view_place(patient, row, revision), sealed)
    }

    /// Seals under the system key: names of accounts, secrets of integrations.
    ///
    /// # Errors
    /// Sealed.
    pub fn seal_system(&self, purpose: Purpose, row: Uuid, revision: i64, value: &[u8]) -> Result<Vec<u8>, Fault> {
        let key = self.inner.keyring.system()?;
        Ok(seal::seal_value(&self.inner.world, &key, purpose, &self.view_place(PatientId::ZERO, row, revision), value))
    }

    /// Opens what [`Vault::seal_system`] sealed.
    ///
    /// # Errors
    /// Sealed, or it does not open there.
    pub fn open_system(
        &self,
        purpose: Purpose,
        row: Uuid,
        revision: i64,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let version = seal::key_version_of(sealed).ok_or(Fault::Integrity("a sealed value has no header"))?;
        let key = self.inner.keyring.system_at(version)?;
        seal::open_value(&key, purpose, &self.view_place(PatientId::ZERO, row, revision), sealed)
    }
}
