//! `init`: a data folder from nothing. Order matters: a key is on disk before anything is sealed under it, and the deployment's
//! id comes last, so that a folder that was cut short is told from a whole one.

use std::fs;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use serde::Serialize;
use uuid::Uuid;

use super::node::{provider, unseal};
use super::record::Record;
use super::{Folder, Hold, Node, Opened};
use crate::features::identity;
use crate::interfaces::tls::{self, Files};
use crate::kernel::base::World;
use crate::kernel::base::config::{Config, KeySource};
use crate::kernel::base::id::DeploymentId;
use crate::kernel::crypto::keyring::{Keyring, new_key};
use crate::kernel::crypto::provider::create_key_file;
use crate::kernel::crypto::{KeyOwner, KeyProvider};
use crate::kernel::engine::Silent;
use crate::kernel::log::{Vault, document};
use crate::kernel::store::{Db, Keys, Schema, WrappedKey, setting};

/// What was made.
#[derive(Clone, Debug, Serialize)]
pub struct Made {
    /// The folder.
    pub data: String,
    /// The certificate's file, PEM.
    pub certificate: String,
    /// SHA-256 of the certificate's DER, 64 hexadecimal digits: what clients pin.
    pub certificate_sha256: String,
    /// Bound into every sealed value.
    pub deployment: DeploymentId,
}

/// Makes key file, databases, keys, certificate, the built-in user, and the organization that owns the record if it is named.
///
/// # Errors
/// A sentence. When the folder is not empty, nothing was changed; later failures leave nothing behind either.
pub async fn init(folder: &Folder, config: &Config, organization: Option<&str>) -> anyhow::Result<Made> {
    let record = Record::new(folder, config);
    let before = record.demand_free().await?;
    folder.create()?;
    let hold = folder.try_hold()?.context("Another process makes a data folder here.")?;
    let making = async {
        let made = make(folder, config, &record).await?;
        found(folder, hold, config, organization).await?;
        Ok(made)
    };
    let made: anyhow::Result<Made> = making.await;
    if made.is_err() {
        undo(folder);
        record.forget_made(&before).await;
    }
    made
}

/// The accounts that are there from the beginning.
async fn found(folder: &Folder, hold: Hold, config: &Config, organization: Option<&str>) -> anyhow::Result<()> {
    let opened = Node::open(folder.clone(), hold, config.clone(), World::system(), Arc::new(Silent)).await?;
    let Opened::Open(node) = opened else { bail!("The key that was just made is gone.") };
    let founded = identity::found(&node.engine, organization).await;
    node.close().await;
    founded.map(drop).map_err(|refusal| anyhow!("organization: {}", refusal.detail.unwrap_or_default()))
}

/// Takes away what was made: the folder was empty before.
fn undo(folder: &Folder) {
    for name in [
        "record.db",
        "record.db-wal",
        "record.db-shm",
        "keys.db",
        "keys.db-wal",
        "keys.db-shm",
        "kek",
        "lock",
        "database",
    ] {
        let _ = fs::remove_file(folder.path().join(name));
    }
    for name in ["tls", "files"] {
        let _ = fs::remove_dir_all(folder.path().join(name));
    }
    let _ = fs::remove_dir(folder.path());
}

async fn make(folder: &Folder, config: &Config, record: &Record) -> anyhow::Result<Made> {
    let world = World::system();
    if config.keys.provider == KeySource::File {
        create_key_file(&world, &folder.kek()).context("The key file cannot be written")?;
    }
    let provider = provider(folder, config, 1)?;
    let deployment = DeploymentId(world.id());
    let keys = Keys::open(&record.keys).await?;
    for owner in [KeyOwner::System, KeyOwner::Signer] {
        commit_key(&world, &*provider, deployment, owner, &keys).await?;
    }
    let keyring = Keyring::sealed();
    unseal(&keyring, Arc::clone(&provider), deployment, config, &keys).await?;
    let db = Db::open(&record.record, Schema::Record).await?;
    let vault = Vault::new(keyring, keys.clone(), deployment, world.clone());
    document::make_key(&db, &vault).await?;
    fs::create_dir(folder.files()).context("The folder of files cannot be made")?;
    let identity = match (&config.tls.certificate, &config.tls.key) {
        (Some(certificate), Some(key)) => Files { certificate: certificate.clone(), key: key.clone() }.load()?,
        _ => tls::load_or_make(folder.path(), &world)?.0,
    };
    let mut tx = db.write().await?;
    if setting::get(&mut tx, setting::DEPLOYMENT).await?.is_some() {
        bail!("The database belongs to a deployment already.");
    }
    setting::put(&mut tx, setting::DEPLOYMENT, deployment.bytes()).await?;
    tx.commit().await?;
    record.remember(folder, deployment)?;
    db.close().await;
    keys.db().close().await;
    let certificate = config.tls.certificate.clone().unwrap_or_else(|| Files::of_folder(folder.path()).certificate);
    Ok(Made {
        data: folder.path().display().to_string(),
        certificate: certificate.display().to_string(),
        certificate_sha256: identity.fingerprint(),
        deployment,
    })
}

async fn commit_key(
    world: &World,
    provider: &dyn KeyProvider,
    deployment: DeploymentId,
    owner: KeyOwner,
    keys: &Keys,
) -> anyhow::Result<()> {
    let key = new_key(world, provider, deployment, owner, 1)?;
    let row = WrappedKey {
        owner: Uuid::from_bytes(key.owner),
        version: 1,
        kek_version: i64::from(key.kek_version),
        state: 0,
        created_at: world.now(),
        blob: key.blob,
    };
    Ok(keys.insert(&row).await?)
}
