//! Sealed values: every encrypted column. HKDF-SHA256 derives one AES-256-GCM key per value. Floor 1.
//! Does not know: where the bytes are stored, or what they say.
//! Invariant: a value opens only at the place it was sealed for (deployment, patient, channel, row, position, purpose,
//! key version). Nonces are random and keys derived, never counted: a counter repeats after a rollback, a restored
//! backup or a cloned machine.
//!
//! Layout: version 01 ‖ algorithm 01 ‖ purpose(2) ‖ key version(4) ‖ N1(12) ‖ N2(12) ‖ ciphertext ‖ tag(16).
//! Plaintext of an entry body: `r(32) ‖ length(4) ‖ body ‖ zeros` to a multiple of 64; of others without `r`.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::{expand, extract};
use crate::kernel::base::id::DeploymentId;
use crate::kernel::base::{ChannelId, Fault, PatientId, World};

pub(super) const HEADER_BYTES: usize = 8;
pub(super) const NONCE_BYTES: usize = 24;
pub(super) const TAG_BYTES: usize = 16;
/// Header and nonce: where the ciphertext begins.
pub(super) const FRONT_BYTES: usize = HEADER_BYTES + NONCE_BYTES;
const R_BYTES: usize = 32;
const LENGTH_BYTES: usize = 4;
/// Sizes are hidden to this many bytes.
const BLOCK_BYTES: usize = 64;
const DOES_NOT_OPEN: Fault = Fault::Integrity("a sealed value does not open");

/// What a sealed value is for; bound into its key and its additional data.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u16)]
pub enum Purpose {
    /// The `data` of an entry, with its commitment's random `r`.
    EntryBody = 1,
    /// A current view: task, board, plan item text, channel title. Rebuilt from entries if it fails to open.
    View = 2,
    /// A patient's name, birth date, identifiers.
    Identity = 3,
    /// A file's name, type, size and random `r`.
    FileManifest = 4,
    /// What waits to be sent elsewhere.
    Outbox = 5,
    /// A wrapped key.
    WrappedKey = 0x10,
    /// Free text of an audit row.
    AuditText = 0x20,
    /// A second factor's secret.
    Authenticator = 0x30,
    /// A secret of an integration, or the key that signs documents.
    Integration = 0x40,
    /// A backup.
    Backup = 0x50,
}

/// A patient's or the system's data key, ready for use: `HKDF-Extract("care/pdk/v1", key)`. Zeroized when dropped.
pub struct DataKey {
    /// Which version of the owner's key this is; stands in the header of what it seals.
    pub version: u32,
    prk: Zeroizing<[u8; 32]>,
}

impl DataKey {
    /// From the 32 bytes that are kept wrapped.
    #[must_use]
    pub fn new(version: u32, key: &[u8; 32]) -> Self {
        Self { version, prk: extract("care/pdk/v1", key) }
    }

    /// A key for one use: `HKDF-Expand(PRK, label ‖ 00 ‖ info, 32)`.
    pub(super) fn derive(&self, label: &str, info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        expand(&self.prk, label, info)
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DataKey(version {})", self.version)
    }
}

/// Where a value stands. A value moved to another place does not open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The patient; zero for values under the system key.
    pub patient: PatientId,
    /// The channel; zero where there is none.
    pub channel: ChannelId,
    /// The row's id: for an entry, the entry id.
    pub row: [u8; 16],
    /// The entry's `seq`, else the row's revision.
    pub seq: u64,
}

/// An entry's body with the random that its commitment hides it behind.
#[derive(PartialEq, Eq)]
pub struct OpenedBody {
    /// The secret random of the commitment.
    pub r: [u8; 32],
    /// The UTF-8 JSON of the event's `data`, byte for byte as sealed.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for OpenedBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenedBody({} bytes)", self.body.len())
    }
}

/// Seals an entry body.
#[must_use]
pub fn seal_body(world: &World, key: &DataKey, place: &Place, r: &[u8; 32], body: &[u8]) -> Vec<u8> {
    seal_body_with(&world.bytes(), key, place, r, body)
}

/// As [`seal_body`] with a nonce that the caller drew: for known answers, and for drawing the random of a batch at once.
/// The nonce must be new for every seal.
#[must_use]
pub fn seal_body_with(nonce: &[u8; 24], key: &DataKey, place: &Place, r: &[u8; 32], body: &[u8]) -> Vec<u8> {
    seal_parts(nonce, key, Purpose::EntryBody, place, r, body)
}

/// Opens an entry body.
///
/// # Errors
/// [`Fault::Integrity`] when a byte was changed, the value stands elsewhere, or the key is another one.
pub fn open_body(key: &DataKey, place: &Place, sealed: &[u8]) -> Result<OpenedBody, Fault> {
    let mut plain = open_parts(key, Purpose::EntryBody, place, sealed, R_BYTES)?;
    let r = plain[..R_BYTES].try_into().expect("open_parts checked that r is there");
    plain.drain(..R_BYTES + LENGTH_BYTES);
    Ok(OpenedBody { r, body: plain })
}

/// Seals a value that is not an entry body.
#[must_use]
pub fn seal_value(world: &World, key: &DataKey, purpose: Purpose, place: &Place, value: &[u8]) -> Vec<u8> {
    seal_value_with(&world.bytes(), key, purpose, place, value)
}

/// As [`seal_value`] with a nonce that the caller drew, new for every seal.
#[must_use]
pub fn seal_value_with(nonce: &[u8; 24], key: &DataKey, purpose: Purpose, place: &Place, value: &[u8]) -> Vec<u8> {
    seal_parts(nonce, key, purpose, place, &[], value)
}

/// Opens what [`seal_value`] sealed.
///
/// # Errors
/// As [`open_body`].
pub fn open_value(key: &DataKey, purpose: Purpose, place: &Place, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let mut plain = Zeroizing::new(open_parts(key, purpose, place, sealed, 0)?);
    plain.drain(..LENGTH_BYTES);
    Ok(plain)
}

/// Which version of the data key opens this value; `None` when it is no sealed value.
#[must_use]
pub fn key_version_of(sealed: &[u8]) -> Option<u32> {
    let version = sealed.get(4..HEADER_BYTES)?.try_into().expect("the slice has 4 bytes");
    (sealed.starts_with(&[1, 1]) && sealed.len() >= FRONT_BYTES + BLOCK_BYTES + TAG_BYTES)
        .then_some(u32::from_be_bytes(version))
}

pub(super) fn header(purpose: Purpose, key_version: u32) -> [u8; HEADER_BYTES] {
    let mut header = [1; HEADER_BYTES];
    header[2..4].copy_from_slice(&(purpose as u16).to_be_bytes());
    header[4..].copy_from_slice(&key_version.to_be_bytes());
    header
}

/// The AES-256-GCM key for one operation.
pub(super) fn gcm(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("an AES-256 key has 32 bytes"))
}

pub(super) fn split_nonce(nonce: &[u8; NONCE_BYTES]) -> (&[u8], Nonce) {
    let (n1, n2) = nonce.split_at(12);
    (n1, Nonce::try_assume_unique_for_key(n2).expect("N2 has 12 bytes"))
}

fn additional(header: &[u8; HEADER_BYTES], place: &Place) -> Aad<[u8; 84]> {
    let mut bytes = [0; 84];
    bytes[..4].copy_from_slice(b"CTA1");
    bytes[4..12].copy_from_slice(header);
    bytes[12..28].copy_from_slice(place.deployment.bytes());
    bytes[28..44].copy_from_slice(place.patient.bytes());
    bytes[44..60].copy_from_slice(place.channel.bytes());
    bytes[60..76].copy_from_slice(&place.row);
    bytes[76..].copy_from_slice(&place.seq.to_be_bytes());
    Aad::from(bytes)
}

fn seal_parts(nonce: &[u8; 24], key: &DataKey, purpose: Purpose, place: &Place, r: &[u8], value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).expect("a value came in by a frame or a row, far below 4 GiB");
    let plain_bytes = (r.len() + LENGTH_BYTES + value.len()).next_multiple_of(BLOCK_BYTES);
    let header = header(purpose, key.version);
    let mut sealed = Vec::with_capacity(FRONT_BYTES + plain_bytes + TAG_BYTES);
    sealed.extend_from_slice(&header);
    sealed.extend_from_slice(nonce);
    sealed.extend_from_slice(r);
    sealed.extend_from_slice(&length.to_be_bytes());
    sealed.extend_from_slice(value);
    sealed.resize(FRONT_BYTES + plain_bytes, 0);
    let (n1, n2) = split_nonce(nonce);
    let tag = gcm(&key.derive("care/rec/v1", &[&header[2..4], n1]))
        .seal_in_place_separate_tag(n2, additional(&header, place), &mut sealed[FRONT_BYTES..])
        .expect("the plaintext is far below the 64 GiB of GCM");
    sealed.extend_from_slice(tag.as_ref());
    sealed
}

/// The plaintext up to the end of the value: `r ‖ length ‖ value`, where `r` has `r_bytes`.
fn open_parts(key: &DataKey, purpose: Purpose, place: &Place, sealed: &[u8], r_bytes: usize) -> Result<Vec<u8>, Fault> {
    let Some((front, ciphertext)) = sealed.split_first_chunk::<FRONT_BYTES>() else {
        return Err(DOES_NOT_OPEN);
    };
    let (header_found, nonce) = front.split_first_chunk::<HEADER_BYTES>().expect("the front begins with the header");
    let nonce = nonce.try_into().expect("the front ends with the nonce");
    let header = header(purpose, key.version);
    if *header_found != header {
        return Err(DOES_NOT_OPEN);
    }
    let (n1, n2) = split_nonce(nonce);
    let mut plain = ciphertext.to_vec();
    let plain_bytes = gcm(&key.derive("care/rec/v1", &[&header[2..4], n1]))
        .open_in_place(n2, additional(&header, place), &mut plain)
        .map_err(|_| DOES_NOT_OPEN)?
        .len();
    plain.truncate(plain_bytes);
    let start = r_bytes + LENGTH_BYTES;
    let length = plain.get(r_bytes..start).ok_or(DOES_NOT_OPEN)?.try_into().expect("the slice has 4 bytes");
    let end = start + usize::try_from(u32::from_be_bytes(length)).map_err(|_| DOES_NOT_OPEN)?;
    let padded = end.next_multiple_of(BLOCK_BYTES) == plain.len() && plain[end..].iter().all(|byte| *byte == 0);
    if !padded {
        return Err(DOES_NOT_OPEN);
    }
    plain.truncate(end);
    Ok(plain)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::{hash, hex};
    use super::*;

    pub(in super::super) const BODY: &[u8] = br#"{"text":"BP 150/90, recheck"}"#;

    pub(in super::super) fn counting<const N: usize>(from: u8) -> [u8; N] {
        std::array::from_fn(|place| from + u8::try_from(place).expect("short"))
    }

    pub(in super::super) fn place() -> Place {
        Place {
            deployment: DeploymentId::from_bytes([0xd0; 16]),
            patient: PatientId::from_bytes([0xa1; 16]),
            channel: ChannelId::from_bytes([0xc1; 16]),
            row: [0xe1; 16],
            seq: 7,
        }
    }

    #[test]
    fn the_known_answer_of_a_sealed_body() {
        let key = DataKey::new(3, &[0x11; 32]);
        let sealed = seal_body_with(&counting(0x20), &key, &place(), &[0x42; 32], BODY);
        assert_eq!(sealed.len(), 176);
        assert_eq!(hex(&sealed[..40]), format!("0101000100000003{}bd026773648e69de", hex(&counting::<24>(0x20))));
        assert!(hex(&sealed).ends_with("b168211d40d268a04ba7712b5bc4725f"));
        assert_eq!(hex(&hash(&sealed)), "a2ee4d44e0d1cdb74f1e0d65ad2d4282efd5096b9d3fb58c8bc6191ffb217c10");
        let opened = open_body(&key, &place(), &sealed).expect("opens");
        assert!(opened.r == [0x42; 32] && opened.body == BODY);
        assert_eq!(key_version_of(&sealed), Some(3));
    }

    #[test]
    fn a_value_moved_elsewhere_does_not_open() {
        let world = World::system();
        let key = DataKey::new(3, &[0x11; 32]);
        let sealed = seal_value(&world, &key, Purpose::View, &place(), b"recheck");
        let moved = [
            Place { deployment: DeploymentId::from_bytes([1; 16]), ..place() },
            Place { patient: PatientId::from_bytes([1; 16]), ..place() },
            Place { channel: ChannelId::from_bytes([1; 16]), ..place() },
            Place { row: [1; 16], ..place() },
            Place { seq: 8, ..place() },
        ];
        for elsewhere in moved {
            assert!(open_value(&key, Purpose::View, &elsewhere, &sealed).is_err());
        }
        assert!(open_value(&key, Purpose::Identity, &place(), &sealed).is_err(), "another purpose");
        assert!(
            open_value(&DataKey::new(4, &[0x11; 32]), Purpose::View, &place(), &sealed).is_err(),
            "another version"
        );
        assert!(open_value(&DataKey::new(3, &[0x12; 32]), Purpose::View, &place(), &sealed).is_err(), "another key");
        assert!(open_body(&key, &place(), &sealed).is_err(), "not a body");
    }

    #[test]
    fn two_seals_of_one_value_differ() {
        let (world, key) = (World::system(), DataKey::new(1, &[5; 32]));
        let seal = || seal_body(&world, &key, &place(), &[6; 32], BODY);
        assert_ne!(seal(), seal());
    }

    #[test]
    fn nothing_of_a_key_or_a_body_is_printed() {
        let key = DataKey::new(1, &[5; 32]);
        assert_eq!(format!("{key:?}"), "DataKey(version 1)");
        assert_eq!(format!("{:?}", OpenedBody { r: [9; 32], body: b"secret".to_vec() }), "OpenedBody(6 bytes)");
    }

    proptest! {
        #[test]
        fn bodies_and_values_come_back(body: Vec<u8>, r: [u8; 32], key: [u8; 32], version: u32, seq: u64) {
            let (world, key, place) = (World::system(), DataKey::new(version, &key), Place { seq, ..place() });
            let sealed = seal_body(&world, &key, &place, &r, &body);
            prop_assert_eq!((sealed.len() - FRONT_BYTES - TAG_BYTES) % BLOCK_BYTES, 0);
            prop_assert_eq!(open_body(&key, &place, &sealed).expect("opens"), OpenedBody { r, body: body.clone() });
            let sealed = seal_value(&world, &key, Purpose::Outbox, &place, &body);
            prop_assert_eq!(key_version_of(&sealed), Some(version));
            prop_assert_eq!(&*open_value(&key, Purpose::Outbox, &place, &sealed).expect("opens"), &body);
        }

        #[test]
        fn a_flipped_bit_or_a_cut_is_found(body in prop::collection::vec(any::<u8>(), 0..200), at: prop::sample::Index, bit in 0..8_u8) {
            let (world, key) = (World::system(), DataKey::new(1, &[5; 32]));
            let sealed = seal_body(&world, &key, &place(), &[6; 32], &body);
            let mut flipped = sealed.clone();
            flipped[at.index(sealed.len())] ^= 1 << bit;
            prop_assert!(open_body(&key, &place(), &flipped).is_err());
            prop_assert!(open_body(&key, &place(), &sealed[..at.index(sealed.len())]).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let key = DataKey::new(0x0101_0101, &[5; 32]);
            prop_assert!(open_body(&key, &place(), &bytes).is_err());
            prop_assert!(open_value(&key, Purpose::View, &place(), &bytes).is_err());
            let _ = key_version_of(&bytes);
        }
    }
}
