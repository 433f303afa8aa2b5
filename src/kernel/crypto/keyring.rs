//! The keyring: the keys that are loaded, and the seal over them. Floor 1.
//! Does not know: the database. Wrapped keys are handed in and out as rows; whoever asks commits them first.
//! Invariant: after [`Keyring::seal`] no key can be had; the bytes are zeroized as soon as the operations under way,
//! which hold a key for one command at most, let go of theirs.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use zeroize::Zeroizing;

use super::note::Signer;
use super::provider::KeyProvider;
use super::seal::DataKey;
use super::wrap::{Binding, KeyOwner};
use crate::kernel::base::id::DeploymentId;
use crate::kernel::base::{Fault, PatientId, UserId, World};

/// Patients' keys kept open at once: a large hospital's census, about 1.5 MB. Past it the oldest is unwrapped again when
/// asked for.
pub const PATIENT_KEYS_MAX: usize = 10_000;

/// A row of the key table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrappedKey {
    /// Whose key, as [`KeyOwner::bytes`].
    pub owner: [u8; 16],
    /// Which version of that owner's key.
    pub version: u32,
    /// Under which version of the key-encryption key.
    pub kek_version: u32,
    /// The wrapped key; 80 bytes from the file and environment providers.
    pub blob: Vec<u8>,
}

/// The loaded keys. Starts sealed. Shared by reference; every method may be called from any thread.
#[derive(Default)]
pub struct Keyring {
    loaded: RwLock<Option<Loaded>>,
}

struct Loaded {
    provider: Arc<dyn KeyProvider>,
    deployment: DeploymentId,
    /// By version, ascending; never empty. The last one seals.
    system: Vec<Arc<DataKey>>,
    signer: Arc<Signer>,
    patients: HashMap<(PatientId, u32), Arc<DataKey>>,
    /// The keys of `patients` in the order they came.
    arrivals: VecDeque<(PatientId, u32)>,
}

impl Keyring {
    /// A sealed keyring.
    #[must_use]
    pub fn sealed() -> Self {
        Self::default()
    }

    /// Loads the system keys (all versions in use) and the signer. `name` stands on every signature line.
    ///
    /// # Errors
    /// [`Fault::Integrity`] when one does not open: the key-encryption key is not this deployment's.
    pub fn unseal(
        &self,
        provider: Arc<dyn KeyProvider>,
        deployment: DeploymentId,
        name: &str,
        system: &[WrappedKey],
        signer: &WrappedKey,
    ) -> Result<(), Fault> {
        let mut system = system
            .iter()
            .map(|row| {
                let key = open(&*provider, deployment, KeyOwner::System, row)?;
                Ok(Arc::new(DataKey::new(row.version, &key)))
            })
            .collect::<Result<Vec<_>, Fault>>()?;
        if system.is_empty() {
            return Err(Fault::Integrity("the key table holds no system key"));
        }
        system.sort_by_key(|key| key.version);
        let seed = open(&*provider, deployment, KeyOwner::Signer, signer)?;
        let signer = Arc::new(Signer::new(name, &seed)?);
        *self.write() =
            Some(Loaded { provider, deployment, system, signer, patients: HashMap::new(), arrivals: VecDeque::new() });
        Ok(())
    }

    /// Forgets every key and the provider.
    pub fn seal(&self) {
        *self.write() = None;
    }

    /// Whether no key is loaded.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.read().is_none()
    }

    /// The system data key that seals.
    ///
    /// # Errors
    /// [`Fault::Sealed`] when no key is loaded.
    pub fn system(&self) -> Result<Arc<DataKey>, Fault> {
        let guard = self.read();
        let loaded = guard.as_ref().ok_or(Fault::Sealed)?;
        Ok(Arc::clone(loaded.system.last().expect("unseal demands a system key")))
    }

    /// The system data key of a version, for reading what an older one sealed.
    ///
    /// # Errors
    /// [`Fault::Sealed`] when no key is loaded, [`Fault::Integrity`] when there is no such version.
    pub fn system_at(&self, version: u32) -> Result<Arc<DataKey>, Fault> {
        let guard = self.read();
        let loaded = guard.as_ref().ok_or(Fault::Sealed)?;
        loaded
            .system
            .iter()
            .find(|key| key.version == version)
            .cloned()
            .ok_or(Fault::Integrity("no system key of that version"))
    }

    /// What a person's browser seals with what they did not send yet: the same for one person at every sign-in, so that only
    /// they open it again. From the first system key, since a rotation must not lose what lies on devices.
    ///
    /// # Errors
    /// [`Fault::Sealed`] when no key is loaded.
    pub fn outbox(&self, user: UserId) -> Result<Zeroizing<[u8; 32]>, Fault> {
        let guard = self.read();
        let loaded = guard.as_ref().ok_or(Fault::Sealed)?;
        let first = loaded.system.first().ok_or(Fault::Sealed)?;
        Ok(first.derive("care/outbox/v1", &[user.0.as_bytes()]))
    }

    /// The signer of heads.
    ///
    /// # Errors
    /// [`Fault::Sealed`] when no key is loaded.
    pub fn signer(&self) -> Result<Arc<Signer>, Fault> {
        self.read().as_ref().map(|loaded| Arc::clone(&loaded.signer)).ok_or(Fault::Sealed)
    }

    /// A patient's data key if it is open; `None` when it must be opened first, or the keyring is sealed.
    #[must_use]
    pub fn patient(&self, patient: PatientId, version: u32) -> Option<Arc<DataKey>> {
        self.read().as_ref()?.patients.get(&(patient, version)).cloned()
    }

    /// Opens a patient's data key from its row and keeps it.
    ///
    /// # Errors
    /// [`Fault::Sealed`] when no key is loaded, [`Fault::Integrity`] when the row is not this patient's or does not open.
    pub fn open_patient(&self, patient: PatientId, row: &WrappedKey) -> Result<Arc<DataKey>, Fault> {
        let (provider, deployment) = self.provider()?;
        let key = open(&*provider, deployment, KeyOwner::Patient(patient), row)?;
        self.insert(patient, DataKey::new(row.version, &key))
    }

    /// Keeps a patient's data key, dropping the oldest beyond [`PATIENT_KEYS_MAX`]. A key already kept stays.
    ///
    /// # Errors
    /// [`Fault::Sealed`] when no key is loaded.
    pub fn insert(&self, patient: PatientId, key: DataKey) -> Result<Arc<DataKey>, Fault> {
        let mut guard = self.write();
        let loaded = guard.as_mut().ok_or(Fault::Sealed)?;
        let name = (patient, key.version);
        if let Some(kept) = loaded.patients.get(&name) {
            return Ok(Arc::clone(kept));
        }
        while loaded.arrivals.len() >= PATIENT_KEYS_MAX {
            let oldest = loaded.arrivals.pop_front().expect("a full queue has a first");
            loaded.patients.remove(&oldest);
        }
        let key = Arc::new(key);
        loaded.patients.insert(name, Arc::clone(&key));
        loaded.arrivals.push_back(name);
        Ok(key)
    }

    /// Forgets every version of a patient's key: after shredding.
    pub fn forget(&self, patient: PatientId) {
        if let Some(loaded) = self.write().as_mut() {
            loaded.patients.retain(|(of, _), _| *of != patient);
            loaded.arrivals.retain(|(of, _)| *of != patient);
        }
    }

    /// Draws a new key for `owner` and wraps it. Nothing is kept: the row is to be committed first, then opened.
    ///
    /// # Errors
    /// [`Fault::Sealed`] when no key is loaded; others when the provider does not answer.
    pub fn new_key(&self, world: &World, owner: KeyOwner, version: u32) -> Result<WrappedKey, Fault> {
        let (provider, deployment) = self.provider()?;
        new_key(world, &*provider, deployment, owner, version)
    }

    /// Out of the lock, so that a provider that is slow to answer delays neither others nor the seal.
    fn provider(&self) -> Result<(Arc<dyn KeyProvider>, DeploymentId), Fault> {
        let guard = self.read();
        let loaded = guard.as_ref().ok_or(Fault::Sealed)?;
        Ok((Arc::clone(&loaded.provider), loaded.deployment))
    }

    // No writer leaves a half-made state behind, so a lock poisoned by a panic elsewhere is still sound.
    fn read(&self) -> RwLockReadGuard<'_, Option<Loaded>> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Option<Loaded>> {
        self.loaded.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_sealed() { "Keyring(sealed)" } else { "Keyring(open)" })
    }
}

/// Draws a new key and wraps it: what `init` does for the system key and the signer, before there is a keyring.
///
/// # Errors
/// When the provider does not answer.
pub fn new_key(
    world: &World,
    provider: &dyn KeyProvider,
    deployment: DeploymentId,
    owner: KeyOwner,
    version: u32,
) -> Result<WrappedKey, Fault> {
    let key = Zeroizing::new(world.bytes::<32>());
    let blob = provider.wrap(world, &Binding { deployment, owner, version }, &key)?;
    Ok(WrappedKey { owner: owner.bytes(), version, kek_version: provider.current(), blob })
}

/// The same key under another key-encryption key: rotation, one row.
///
/// # Errors
/// [`Fault::Integrity`] when `old` does not open the row; others when a provider does not answer.
pub fn rewrap(
    world: &World,
    old: &dyn KeyProvider,
    new: &dyn KeyProvider,
    deployment: DeploymentId,
    row: &WrappedKey,
) -> Result<WrappedKey, Fault> {
    let owner = KeyOwner::from_bytes(row.owner);
    let key = open(old, deployment, owner, row)?;
    let blob = new.wrap(world, &Binding { deployment, owner, version: row.version }, &key)?;
    Ok(WrappedKey { kek_version: new.current(), blob, ..row.clone() })
}

fn open(
    provider: &dyn KeyProvider,
    deployment: DeploymentId,
    owner: KeyOwner,
    row: &WrappedKey,
) -> Result<Zeroizing<[u8; 32]>, Fault> {
    if row.owner != owner.bytes() {
        return Err(Fault::Integrity("a wrapped key stands under another owner"));
    }
    provider.unwrap(&Binding { deployment, owner, version: row.version }, &row.blob)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::provider::{FileProvider, create_key_file};
    use super::*;

    const DEPLOYMENT: DeploymentId = DeploymentId::from_bytes([0xd0; 16]);

    fn patient(number: u32) -> PatientId {
        let mut bytes = [0xa1; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        PatientId::from_bytes(bytes)
    }

    fn provider(folder: &Path, name: &str, version: u32) -> Arc<dyn KeyProvider> {
        let path = folder.join(name);
        create_key_file(&World::system(), &path).expect("made");
        Arc::new(FileProvider::open(&path, version).expect("opens"))
    }

    #[test]
    fn a_keyring_opens_seals_and_opens_again() {
        let (world, folder) = (World::system(), tempfile::tempdir().expect("a folder"));
        let kek = provider(folder.path(), "kek", 1);
        let fresh = |owner, version| new_key(&world, &*kek, DEPLOYMENT, owner, version).expect("wraps");
        let system = [fresh(KeyOwner::System, 2), fresh(KeyOwner::System, 1)];
        let signer = fresh(KeyOwner::Signer, 1);
        let keyring = Keyring::sealed();
        assert!(keyring.is_sealed() && matches!(keyring.system(), Err(Fault::Sealed)));
        assert!(matches!(keyring.new_key(&world, KeyOwner::System, 1), Err(Fault::Sealed)));

        keyring.unseal(Arc::clone(&kek), DEPLOYMENT, "record.example", &system, &signer).expect("opens");
        assert_eq!(keyring.system().expect("open").version, 2);
        assert_eq!(keyring.system_at(1).expect("open").version, 1);
        assert!(keyring.system_at(3).is_err());
        let row = keyring.new_key(&world, KeyOwner::Patient(patient(1)), 1).expect("wraps");
        assert!(keyring.patient(patient(1), 1).is_none());
        keyring.open_patient(patient(1), &row).expect("opens");
        assert!(keyring.patient(patient(1), 1).is_some() && keyring.patient(patient(1), 2).is_none());
        assert!(keyring.open_patient(patient(2), &row).is_err(), "another patient's row");
        keyring.forget(patient(1));
        assert!(keyring.patient(patient(1), 1).is_none());

        keyring.seal();
        assert!(keyring.is_sealed() && matches!(keyring.signer(), Err(Fault::Sealed)));
        assert!(matches!(keyring.open_patient(patient(1), &row), Err(Fault::Sealed)));
        keyring.unseal(kek, DEPLOYMENT, "record.example", &system, &signer).expect("opens");
        keyring.open_patient(patient(1), &row).expect("opens");
    }

    #[test]
    fn another_kek_or_deployment_does_not_unseal() {
        let (world, folder) = (World::system(), tempfile::tempdir().expect("a folder"));
        let (kek, other) = (provider(folder.path(), "kek", 1), provider(folder.path(), "other", 2));
        let fresh = |owner| new_key(&world, &*kek, DEPLOYMENT, owner, 1).expect("wraps");
        let (system, signer) = ([fresh(KeyOwner::System)], fresh(KeyOwner::Signer));
        let keyring = Keyring::sealed();
        assert!(keyring.unseal(Arc::clone(&other), DEPLOYMENT, "n", &system, &signer).is_err());
        assert!(keyring.unseal(Arc::clone(&kek), DeploymentId::ZERO, "n", &system, &signer).is_err());
        assert!(keyring.unseal(Arc::clone(&kek), DEPLOYMENT, "n", &[], &signer).is_err());
        assert!(keyring.unseal(Arc::clone(&kek), DEPLOYMENT, "n", std::slice::from_ref(&signer), &system[0]).is_err());
        assert!(keyring.is_sealed());
        let moved = |row: &WrappedKey| rewrap(&world, &*kek, &*other, DEPLOYMENT, row).expect("rewraps");
        keyring.unseal(other.clone(), DEPLOYMENT, "n", &[moved(&system[0])], &moved(&signer)).expect("opens");
    }

    #[test]
    fn the_oldest_patient_key_goes_first() {
        let (world, folder) = (World::system(), tempfile::tempdir().expect("a folder"));
        let kek = provider(folder.path(), "kek", 1);
        let fresh = |owner| new_key(&world, &*kek, DEPLOYMENT, owner, 1).expect("wraps");
        let keyring = Keyring::sealed();
        keyring
            .unseal(Arc::clone(&kek), DEPLOYMENT, "n", &[fresh(KeyOwner::System)], &fresh(KeyOwner::Signer))
            .expect("opens");
        let most = u32::try_from(PATIENT_KEYS_MAX).expect("small");
        for number in 0..=most {
            keyring.insert(patient(number), DataKey::new(1, &[1; 32])).expect("kept");
        }
        assert!(keyring.patient(patient(0), 1).is_none());
        assert!(keyring.patient(patient(1), 1).is_some() && keyring.patient(patient(most), 1).is_some());
    }
}
