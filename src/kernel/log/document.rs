//! Where the key that signs documents is kept: sealed under the system key, a setting of the record.
//! Does not know: what a document is. Made once, by `init`.

use uuid::Uuid;

use super::Vault;
use crate::kernel::base::Fault;
use crate::kernel::crypto::{DocumentKey, Purpose};
use crate::kernel::store::{Db, setting};

/// What it is sealed as: its row under the system key.
const ROW: Uuid = Uuid::from_bytes(*b"care/documentkey");
/// It never changes.
const REVISION: i64 = 1;

/// The key that signs documents.
///
/// # Errors
/// Sealed, the database's, or it is missing.
pub async fn key(db: &Db, vault: &Vault) -> Result<DocumentKey, Fault> {
    let sealed = setting::get(&mut db.read().await?, setting::DOCUMENT_KEY)
        .await?
        .ok_or(Fault::Integrity("there is no document key"))?;
    DocumentKey::from_pkcs8(&vault.open_system(Purpose::Integration, ROW, REVISION, &sealed)?)
}

/// Draws the document key and keeps it sealed.
///
/// # Errors
/// Sealed, or the database's.
pub async fn make_key(db: &Db, vault: &Vault) -> Result<(), Fault> {
    let key = DocumentKey::generate()?;
    let sealed = vault.seal_system(Purpose::Integration, ROW, REVISION, key.pkcs8())?;
    let mut tx = db.write().await?;
    setting::put(&mut tx, setting::DOCUMENT_KEY, &sealed).await?;
    Ok(tx.commit().await?)
}
