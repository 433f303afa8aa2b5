//! The proof folder: a part of a record that anyone can check without us, years later.
//! Does not know: the database, policy, FHIR. Bytes out ([`write`]), bytes in ([`verify`]).
//!
//! ```text
//! manifest.json                  deployment, patient, channels, version, SHA-256 of every other file
//! manifest.sig                   signed note over the SHA-256 of manifest.json
//! keys.json                      the signer
//! checkpoint                     signed state of the site log
//! verify.html                    a checker for a browser without network
//! channels/<id>/leaves           the 168-byte leaves, from `first`
//! channels/<id>/entries.ndjson   {seq, id, r, body} of what is disclosed, base64; files [{id, r}] of one that carries some
//! channels/<id>/files/<id>       the files of what is disclosed
//! channels/<id>/head             signed head note
//! channels/<id>/inclusion        that the head is in the site log at `index`: base64 hashes, one a line
//! ```
//!
//! Leaves 1..n are always there. What is withheld stays as a leaf: it can be seen how much is missing and where, and a gap can never
//! be shown as an end.

mod read;
mod verify;
mod walk;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kernel::base::id::DeploymentId;
use crate::kernel::base::{ChannelId, FileId, PatientId};
use crate::kernel::crypto::{Hash, from_base64, hash};

pub use read::{Files, Folder};
pub use verify::{ChannelVerdict, Flaw, Verdict, verify, verify_files};
pub use write::{SignedChannel, Writer};

/// The version of the folder's form.
pub const VERSION: u32 = 1;

/// The name of the manifest.
pub const MANIFEST: &str = "manifest.json";
/// The name of the manifest's signature.
pub const SIGNATURE: &str = "manifest.sig";
/// The name of the file of keys.
pub const KEYS: &str = "keys.json";
/// The name of the checkpoint.
pub const CHECKPOINT: &str = "checkpoint";
/// The name of the page that checks in a browser.
pub const PAGE: &str = "verify.html";

/// Bytes of a mark.
const MARK_BYTES: usize = 4;

/// `manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The patient.
    pub patient: PatientId,
    /// What is told of each channel.
    pub channels: Vec<ManifestChannel>,
    /// SHA-256 in hex of every file but this one and its signature.
    pub files: BTreeMap<String, String>,
}

/// One channel in the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestChannel {
    /// The channel.
    pub id: ChannelId,
    /// `seq` of the first leaf.
    pub first: u64,
    /// `seq` of the last leaf: the size of the head note.
    pub size: u64,
    /// Where the head note stands in the site log, from 0.
    pub index: u64,
    /// Spans of `seq` whose content is here, ascending, both ends inclusive; the rest is withheld.
    pub disclosed: Vec<[u64; 2]>,
    /// The first four bytes of the SHA-256 of each leaf, one after another, in base64. That nothing was changed, the chain shows; these
    /// say which leaf was.
    pub marks: String,
}

impl ManifestChannel {
    /// The name of one of its files.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        channel_file(self.id, name)
    }

    /// The marks, if they are one a leaf.
    fn marks(&self) -> Option<Vec<u8>> {
        let leaves = self.size.checked_add(1)?.checked_sub(self.first)?;
        let bytes = usize::try_from(leaves).ok()?.checked_mul(MARK_BYTES)?;
        from_base64(&self.marks).filter(|marks| marks.len() == bytes)
    }

    /// Whether spans and positions can be.
    fn is_sound(&self) -> bool {
        let mut next = self.first;
        let ascending = self.disclosed.iter().all(|[from, to]| {
            let follows = next <= *from && from <= to && *to <= self.size;
            next = to.saturating_add(1);
            follows
        });
        self.first == 1 && ascending
    }
}

/// `keys.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysFile {
    /// `NAME+HASH+KEY`, the verifier key form of signed notes.
    signer: String,
    /// The same key as a JSON Web Key.
    keys: Vec<serde_json::Value>,
}

fn channel_file(channel: ChannelId, name: &str) -> String {
    format!("channels/{channel}/{name}")
}

fn attachment(channel: ChannelId, file: FileId) -> String {
    channel_file(channel, &format!("files/{file}"))
}

fn mark(leaf: &[u8]) -> [u8; MARK_BYTES] {
    let digest: Hash = hash(leaf);
    *digest.first_chunk().expect("a hash has 32 bytes")
}
