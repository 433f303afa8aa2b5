//! The site log (security: a Merkle tree as RFC 9162 over signed head notes, in the order signed) and its checkpoint.

use crate::kernel::base::Fault;
use crate::kernel::base::Micros;
use crate::kernel::crypto::head::{Checkpoint, HeadNote};
use crate::kernel::crypto::merkle;
use crate::kernel::log::{Head, Vault, sql};
use crate::kernel::store::Tx;

/// A head that was signed and stands in the site log.
#[derive(Clone, Debug)]
pub struct SignedHead {
    /// Its index in the site log, from 0.
    pub index: i64,
    /// The signed note.
    pub note: String,
}

/// A checkpoint of the site log with the leaves it is over.
pub struct SignedCheckpoint {
    /// The signed note (tlog-checkpoint form).
    pub note: String,
    /// Leaf hashes, in order.
    pub leaves: Vec<[u8; 32]>,
}

/// Signs where a channel stands and appends the note to the site log.
///
/// # Errors
/// Sealed, or the database's.
pub async fn sign(tx: &mut Tx, vault: &Vault, head: &Head, now: Micros) -> Result<SignedHead, Fault> {
    let signer = vault.keyring().signer()?;
    let note = HeadNote {
        deployment: vault.deployment(),
        patient: head.patient,
        channel: head.channel,
        epoch: head.epoch,
        size: head.seq.unsigned_abs(),
        head: head.head,
        at: now,
    };
    let text = note.sign(&signer);
    let index = sql::add_site_leaf(tx, &note.site_leaf(), &text).await?;
    Ok(SignedHead { index, note: text })
}

/// The checkpoint of the site log as it stands.
///
/// # Errors
/// Sealed, or the database's.
pub async fn checkpoint(tx: &mut Tx, vault: &Vault) -> Result<SignedCheckpoint, Fault> {
    let signer = vault.keyring().signer()?;
    let mut leaves = Vec::new();
    for (hash,) in sql::site_hashes(tx).await? {
        leaves.push(<[u8; 32]>::try_from(hash).map_err(|_| Fault::Integrity("a site leaf is not 32 bytes"))?);
    }
    let checkpoint = Checkpoint {
        origin: signer.verifier().name().to_owned(),
        size: leaves.len() as u64,
        root: merkle::root(&leaves),
    };
    Ok(SignedCheckpoint { note: checkpoint.sign(&signer), leaves })
}

/// Whether every note of the site log still says what its leaf hash says, and is signed by this deployment. Gives the notes in order.
///
/// # Errors
/// The database's, sealed, or the first note that does not hold.
pub async fn verify(tx: &mut Tx, vault: &Vault) -> Result<Vec<HeadNote>, Fault> {
    let signer = vault.keyring().signer()?;
    let hashes = sql::site_hashes(tx).await?;
    let notes = sql::site_notes(tx).await?;
    let mut held = Vec::with_capacity(notes.len());
    for ((hash,), (n, note)) in hashes.iter().zip(&notes) {
        let head = HeadNote::verify(note, signer.verifier())?;
        if *n != held.len() as i64 || head.site_leaf().as_slice() != hash.as_slice() {
            return Err(Fault::Integrity("the site log does not hold"));
        }
        held.push(head);
    }
    Ok(held)
}
