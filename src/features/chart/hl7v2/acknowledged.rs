//! What a receiver acknowledged of each document: one that it has is never sent as a new one, and not again while it says the same.
//! Pure. Does not know rows or connections.

use std::collections::HashMap;

use uuid::Uuid;

use super::message::{Act, Document};
use crate::kernel::crypto::{from_hex, hex};

/// Bytes of a stamp that say the version; the rest are the beginning of the hash of what was said.
const VERSION_BYTES: usize = 8;
/// As long as every other hash of the ledger.
const STAMP_BYTES: usize = 32;

/// By the number a document was first sent under.
#[derive(Default)]
pub struct Acknowledged(HashMap<Uuid, (i64, Vec<u8>)>);

impl Acknowledged {
    /// From stamps, as [`stamp`] gives them.
    pub fn of<'s>(stamps: impl Iterator<Item = (Uuid, &'s str)>) -> Self {
        let read = |(id, stamp): (Uuid, &str)| {
            let bytes = from_hex(stamp).filter(|bytes| bytes.len() == STAMP_BYTES)?;
            let (version, said) = bytes.split_at(VERSION_BYTES);
            Some((id, (i64::from_be_bytes(version.try_into().ok()?), said.to_vec())))
        };
        Self(stamps.filter_map(read).collect())
    }

    /// Whether the receiver has some state of the document.
    #[must_use]
    pub fn has(&self, original: Uuid) -> bool {
        self.0.contains_key(&original)
    }

    /// Whether the receiver lacks this state of a document. `partial`: it holds less than there is, so that a state which is no newer says
    /// nothing new; `replaces`: somebody wants it in the place of what is there.
    #[must_use]
    pub fn lacks(&self, document: &Document, partial: bool, replaces: bool) -> bool {
        let Some((version, said)) = self.0.get(&original(document)) else { return true };
        if *said == document.said[..STAMP_BYTES - VERSION_BYTES] {
            return false;
        }
        replaces || *version < document.version || (*version == document.version && !partial)
    }
}

/// The number a document was first sent under.
#[must_use]
pub fn original(document: &Document) -> Uuid {
    match document.act {
        Act::Replacement | Act::Cancel => document.parent.unwrap_or(document.id),
        Act::Original | Act::Addendum => document.id,
    }
}

/// What is kept of a state, hex.
#[must_use]
pub fn stamp(document: &Document) -> String {
    let said = &document.said[..STAMP_BYTES - VERSION_BYTES];
    hex(&[&document.version.to_be_bytes()[..], said].concat())
}
