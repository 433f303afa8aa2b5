//! An opened data folder: databases, keys, engine. What a server and a command that runs alone have in common.
//! Does not know sockets or HTTP: it is handed where news goes.

use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::record::Record;
use super::{Folder, Hold};
use crate::features::FEATURES;
use crate::features::identity::Door;
use crate::kernel::base::config::{Config, KeySource};
use crate::kernel::base::id::DeploymentId;
use crate::kernel::base::{Fault, World};
use crate::kernel::crypto::keyring::Keyring;
use crate::kernel::crypto::{DocumentKey, EnvProvider, FileProvider, KeyFileError, KeyOwner, KeyProvider};
use crate::kernel::engine::{Engine, Outlet, Registry, Roll, Shared, patrol};
use crate::kernel::log::{self, Vault, vault};
use crate::kernel::policy::Book;
use crate::kernel::store::{Db, Files, Keys, Location, Schema, setting};

/// How long a checkpoint may take at the end; what it leaves is done by the next start.
const CHECKPOINTER_END: std::time::Duration = std::time::Duration::from_secs(2);

/// A data folder that is open. Shared by cloning.
#[derive(Clone)]
pub struct Node {
    /// Runs commands.
    pub engine: Engine,
    /// Turns credentials into people.
    pub door: Door,
    /// Where it lies.
    pub folder: Folder,
    checkpoints: CancellationToken,
    checkpointer: Arc<tokio::sync::Mutex<Option<JoinHandle<()>>>>,
    _hold: Arc<Hold>,
}

/// What opening gave.
pub enum Opened {
    /// All is there.
    Open(Box<Node>),
    /// There is no key: nothing can be read. The sentence says which.
    Sealed(String, Hold),
}

impl Node {
    /// Opens the databases, the keys and the engine. Whether the record holds is for [`Node::check`] to say: what looks for the place
    /// where it does not must be able to open it.
    ///
    /// # Errors
    /// A sentence for a person: what is wrong with folder, database, key or record.
    pub async fn open(
        folder: Folder,
        hold: Hold,
        config: Config,
        world: World,
        outlet: Arc<dyn Outlet>,
    ) -> anyhow::Result<Opened> {
        let record = Record::of(&folder, &config)?;
        let cannot = |name| format!("{name} cannot be opened");
        let keys = Keys::open(&record.keys).await.with_context(|| cannot(record.keys_name()))?;
        let newest = keys.newest_kek().await?.unwrap_or(1);
        let named = || format!("{} names no key-encryption key", record.keys_name());
        let version = u32::try_from(newest).with_context(named)?;
        let provider = match provider(&folder, &config, version) {
            Ok(provider) => provider,
            Err(KeyFileError::Missing) => return Ok(Opened::Sealed(missing(&folder, &config), hold)),
            Err(error) => return Err(anyhow!("{error}.").context(folder.kek().display().to_string())),
        };
        let db = Db::open(&record.record, Schema::Record).await.with_context(|| cannot(record.record_name()))?;
        let deployment = deployment(&db, &record).await?;
        db.claim(world.id()).await.with_context(|| format!("{} cannot be used", record.record_name()))?;
        let keyring = Keyring::sealed();
        unseal(&keyring, provider, deployment, &config, &keys).await?;
        let vault = Vault::new(keyring, keys, deployment, world.clone());
        let (book, registry) = (Book::default(), Registry::new(FEATURES));
        let roll = Roll::default();
        let files = Files::at(folder.files());
        let shared = Shared { db: db.clone(), vault, book, registry, world, config, roll, files };
        let engine = Engine::start(shared, outlet).await?;
        let door = Door::open(engine.clone()).await?;
        let checkpoints = CancellationToken::new();
        let checkpointer = Arc::new(tokio::sync::Mutex::new(Some(db.spawn_checkpointer(checkpoints.clone()))));
        let _hold = Arc::new(hold);
        Ok(Opened::Open(Box::new(Self { engine, door, folder, checkpoints, checkpointer, _hold })))
    }

    /// Checks the end of the record, before anything is built upon it; what it finds unsigned is signed by the next round.
    ///
    /// # Errors
    /// A sentence when one does not hold.
    pub async fn check(&self) -> anyhow::Result<()> {
        let shared = self.engine.shared();
        let recent = log::recent::check(&mut shared.db.read().await?, &shared.vault)
            .await
            .context("The record does not hold. `carethread verify --record` says where")?;
        self.engine.attest().ask(&recent.unsigned);
        if recent.more {
            patrol::demand(&self.engine).await?;
        }
        tracing::info!(entries = recent.entries, more = recent.more, "The end of the record holds");
        Ok(())
    }

    /// As [`Node::open`] on a folder that nobody holds yet, for what cannot do without the keys.
    ///
    /// # Errors
    /// As [`Node::open`]; also when the key is missing.
    pub async fn open_unsealed(folder: Folder, config: Config, outlet: Arc<dyn Outlet>) -> anyhow::Result<Self> {
        folder.demand_initialised()?;
        let hold = folder.hold().await?;
        match Self::open(folder, hold, config, World::system(), outlet).await? {
            Opened::Open(node) => Ok(*node),
            Opened::Sealed(reason, _) => bail!("{reason}"),
        }
    }

    /// The id that is bound into every sealed value.
    #[must_use]
    pub fn deployment(&self) -> DeploymentId {
        self.engine.shared().vault.deployment()
    }

    /// The key that signs documents.
    ///
    /// # Errors
    /// Sealed, the database's, or it is missing.
    pub async fn document_key(&self) -> Result<DocumentKey, Fault> {
        let shared = self.engine.shared();
        log::document::key(&shared.db, &shared.vault).await
    }

    /// Finishes what is queued and closes the databases; the folder is free when the last clone is gone.
    pub async fn close(self) {
        let keys = self.engine.shared().vault.keys().clone();
        // The checkpointer first: only the last connection to close writes the log back and removes it.
        self.checkpoints.cancel();
        if let Some(checkpointer) = self.checkpointer.lock().await.take() {
            let _ = tokio::time::timeout(CHECKPOINTER_END, checkpointer).await;
        }
        self.engine.stop().await;
        keys.db().close().await;
    }
}

/// The key-encryption key from where the configuration says.
///
/// # Errors
/// Why there is none.
pub fn provider(folder: &Folder, config: &Config, version: u32) -> Result<Arc<dyn KeyProvider>, KeyFileError> {
    Ok(match config.keys.provider {
        KeySource::File => Arc::new(FileProvider::open(&folder.kek(), version)?),
        KeySource::Environment => Arc::new(EnvProvider::open(version)?),
    })
}

/// Whether the key opens this deployment's keys. Looks beside whoever serves; the schema has to be the one this program works with.
///
/// # Errors
/// A sentence that says why not.
pub async fn key_opens(folder: &Folder, config: &Config) -> anyhow::Result<()> {
    let record = Record::of(folder, config)?;
    let keys = Keys::open(&record.keys).await.context("The keys cannot be read")?;
    let db = Db::open(&record.record, Schema::Record).await.context("The record cannot be read")?;
    let opened = async {
        let newest = keys.list().await?.iter().map(|row| row.kek_version).max().unwrap_or(1);
        let provider = provider(folder, config, u32::try_from(newest)?).map_err(|error| anyhow!("{error}"))?;
        unseal(&Keyring::sealed(), provider, deployment(&db, &record).await?, config, &keys).await
    };
    let outcome = opened.await;
    db.close().await;
    keys.db().close().await;
    outcome
}

fn missing(folder: &Folder, config: &Config) -> String {
    match config.keys.provider {
        KeySource::File => {
            format!("The key file {} is missing. Put it back from its copy and start again.", folder.kek().display())
        }
        KeySource::Environment => "The variable CARETHREAD_KEK is not set. Set it and start again.".into(),
    }
}

async fn deployment(db: &Db, record: &Record) -> anyhow::Result<DeploymentId> {
    let value = setting::get(&mut db.read().await?, setting::DEPLOYMENT).await?;
    let bytes = value.and_then(|value| <[u8; 16]>::try_from(value).ok()).with_context(|| match record.record {
        Location::File(_) => {
            "record.db holds no deployment: `carethread init` was cut short. Remove the folder and repeat it"
        }
        Location::Postgres(_) => "The database holds no deployment. Is it the one that `carethread init` was given?",
    })?;
    let found = DeploymentId::from_bytes(bytes);
    record.demand_same(found)?;
    Ok(found)
}

/// The name on signature lines.
pub(super) fn signer_name(config: &Config, deployment: DeploymentId) -> String {
    config.keys.signer.clone().unwrap_or_else(|| format!("carethread-{deployment}"))
}

/// Loads the system keys and the signer into the ring.
pub(super) async fn unseal(
    keyring: &Keyring,
    provider: Arc<dyn KeyProvider>,
    deployment: DeploymentId,
    config: &Config,
    keys: &Keys,
) -> anyhow::Result<()> {
    let rows = async |owner: KeyOwner| -> anyhow::Result<Vec<_>> {
        let rows = keys.load(Uuid::from_bytes(owner.bytes())).await?;
        Ok(rows.into_iter().map(vault::wrapped).collect::<Result<Vec<_>, Fault>>()?)
    };
    let (system, signer) = (rows(KeyOwner::System).await?, rows(KeyOwner::Signer).await?);
    let signer = signer.last().context("There is no signer among the keys")?;
    keyring.unseal(provider, deployment, &signer_name(config, deployment), &system, signer).map_err(|fault| match fault
    {
        Fault::Integrity(_) => {
            anyhow!("The key does not open this deployment's keys. Is it the key file of another one?")
        }
        Fault::Defect(reason) => anyhow!("[keys] signer: {reason}."),
        other => anyhow!(other),
    })
}
