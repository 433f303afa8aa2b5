//! Cryptography: sealed values, wrapped keys, the hash chain, signed notes, the Merkle tree. Floor 1.
//! Does not know: SQL, frames, policy, what a body says. Pure functions and types; the only module that uses `ring`.
//! Invariant: key bytes live in zeroizing memory only; `ring` key objects are built per operation and never kept,
//! because `ring` does not zeroize them. All integers are big-endian, ids are 16 bytes.

pub mod chain;
pub mod client_key;
pub mod encoding;
pub mod file;
pub mod head;
pub mod jwk;
pub mod keyring;
pub mod merkle;
pub mod note;
pub mod provider;
pub mod seal;
pub mod token;
pub mod wrap;

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use ring::hmac;
use zeroize::Zeroizing;

pub use chain::Leaf;
pub use client_key::ClientKey;
pub use encoding::{base64, base64_url, canonical, from_base64, from_base64_url, from_hex, hex};
pub use file::{FileOpener, FilePlace, FileSealer};
pub use head::{AuditHead, Checkpoint, HeadNote};
pub use jwk::DocumentKey;
pub use keyring::{Keyring, WrappedKey};
pub use note::{Signer, VerifierKey};
pub use provider::{EnvProvider, FileProvider, KeyFileError, KeyProvider};
pub use seal::{DataKey, OpenedBody, Place, Purpose};
pub use token::{command_mac, lookup_mac, new_token, token_hash};
pub use wrap::{Binding, Kek, KeyOwner};

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// SHA-256 of `bytes`.
#[must_use]
pub fn hash(bytes: &[u8]) -> Hash {
    hash_parts(&[bytes])
}

/// SHA-256 of the parts joined. The caller's layout must be unambiguous: fixed widths, or a zero byte after a label.
#[must_use]
pub fn hash_parts(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// SHA-256 over bytes that come one after another: files too large for memory.
pub struct Hasher(Context);

impl Default for Hasher {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Hasher {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all of them.
    #[must_use]
    pub fn finish(self) -> Hash {
        self.0.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes")
    }
}

/// SHA-1, which FHIR R4 wants in `Attachment.hash`. No security rests on it.
#[must_use]
pub fn attachment_hash(bytes: &[u8]) -> [u8; 20] {
    let digest = ring::digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes);
    digest.as_ref().try_into().expect("SHA-1 gives 20 bytes")
}

/// HMAC-SHA256 over the parts joined.
fn mac(key: &[u8], parts: &[&[u8]]) -> Hash {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    context.sign().as_ref().try_into().expect("HMAC-SHA256 gives 32 bytes")
}

/// HKDF-Extract (RFC 5869 section 2.2), which is one HMAC. Done by hand because `ring` keeps the PRK in an object
/// that it does not zeroize.
fn extract(salt: &str, input: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(mac(salt.as_bytes(), &[input]))
}

/// HKDF-Expand (RFC 5869 section 2.3) to 32 bytes, which is its first block: HMAC(PRK, `label ‖ 00 ‖ info ‖ 01`).
fn expand(prk: &[u8; 32], label: &str, info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, prk));
    context.update(label.as_bytes());
    context.update(&[0]);
    for part in info {
        context.update(part);
    }
    context.update(&[1]);
    Zeroizing::new(context.sign().as_ref().try_into().expect("HMAC-SHA256 gives 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Extract and expand are done by hand; `ring` is the judge.
    #[test]
    fn expand_is_the_hkdf_of_ring() {
        struct Length;
        impl ring::hkdf::KeyType for Length {
            fn len(&self) -> usize {
                32
            }
        }
        let input = [7; 32];
        let prk = ring::hkdf::Salt::new(ring::hkdf::HKDF_SHA256, b"a salt").extract(&input);
        let mut wanted = [0; 32];
        prk.expand(&[b"label", &[0], b"more"], Length).expect("32 bytes").fill(&mut wanted).expect("32 bytes");
        assert_eq!(*expand(&extract("a salt", &input), "label", &[b"more"]), wanted);
    }

    #[test]
    fn parts_hash_as_their_join() {
        assert_eq!(hash_parts(&[b"ab", b"", b"c"]), hash(b"abc"));
        assert_eq!(hex(&hash(b"abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let mut hasher = Hasher::default();
        hasher.update(b"a");
        hasher.update(b"bc");
        assert_eq!(hasher.finish(), hash(b"abc"));
        assert_eq!(hex(&attachment_hash(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
