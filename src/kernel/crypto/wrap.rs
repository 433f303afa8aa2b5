//! Wrapped keys: a data key or seed under the key-encryption key, 80 bytes. Floor 1.
//! Does not know: where the key-encryption key comes from (`provider`) or where wrapped keys are kept.
//! Invariant: the owner and version are bound in, so no wrapped key can stand in for another.

use ring::aead::Aad;
use zeroize::Zeroizing;

use super::seal::{FRONT_BYTES, HEADER_BYTES, Purpose, TAG_BYTES, gcm, header, split_nonce};
use super::{expand, extract};
use crate::kernel::base::id::DeploymentId;
use crate::kernel::base::{Fault, PatientId, World};

/// Bytes of a wrapped key from the file and environment providers.
pub const WRAPPED_BYTES: usize = 80;

const DOES_NOT_OPEN: Fault = Fault::Integrity("a wrapped key does not open");

/// The key-encryption key. It never touches content; zeroized when dropped.
pub struct Kek {
    /// Which version; stands in the header of what it wraps.
    pub version: u32,
    prk: Zeroizing<[u8; 32]>,
}

impl Kek {
    /// From the provider's 32 bytes.
    #[must_use]
    pub fn new(version: u32, key: &[u8; 32]) -> Self {
        Self { version, prk: extract("care/kek/v1", key) }
    }
}

impl std::fmt::Debug for Kek {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kek(version {})", self.version)
    }
}

/// Whose key is wrapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum KeyOwner {
    /// A patient's data key.
    Patient(PatientId),
    /// The system data key.
    System,
    /// The Ed25519 seed that signs heads.
    Signer,
    /// A backup's key.
    Backup,
}

impl KeyOwner {
    /// The 16 bytes that stand for the owner in the key table and in the additional data.
    #[must_use]
    pub const fn bytes(&self) -> [u8; 16] {
        match self {
            Self::Patient(patient) => *patient.bytes(),
            Self::System => [0; 16],
            Self::Signer => [0xff; 16],
            Self::Backup => [0xee; 16],
        }
    }

    /// The owner of those 16 bytes. Patient ids are UUIDs of version 7, so none is one of the three reserved values.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        match bytes {
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] => Self::System,
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff] => {
                Self::Signer
            }
            [0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee] => {
                Self::Backup
            }
            _ => Self::Patient(PatientId::from_bytes(bytes)),
        }
    }
}

/// What a wrapped key is bound to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Binding {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Whose key.
    pub owner: KeyOwner,
    /// Which version of that owner's key.
    pub version: u32,
}

impl Binding {
    /// `"CTW1" ‖ header(8) ‖ deployment ‖ owner ‖ data key version(4)`.
    fn additional(&self, header: [u8; HEADER_BYTES]) -> Aad<[u8; 48]> {
        let mut bytes = [0; 48];
        bytes[..4].copy_from_slice(b"CTW1");
        bytes[4..12].copy_from_slice(&header);
        bytes[12..28].copy_from_slice(self.deployment.bytes());
        bytes[28..44].copy_from_slice(&self.owner.bytes());
        bytes[44..].copy_from_slice(&self.version.to_be_bytes());
        Aad::from(bytes)
    }
}

/// Wraps 32 key bytes.
#[must_use]
pub fn wrap(world: &World, kek: &Kek, binding: &Binding, key: &[u8; 32]) -> [u8; WRAPPED_BYTES] {
    wrap_with(&world.bytes(), kek, binding, key)
}

/// As [`wrap`] with a nonce that the caller drew, new for every wrap: for known answers.
#[must_use]
pub fn wrap_with(nonce: &[u8; 24], kek: &Kek, binding: &Binding, key: &[u8; 32]) -> [u8; WRAPPED_BYTES] {
    let header = header(Purpose::WrappedKey, kek.version);
    let (n1, n2) = split_nonce(nonce);
    let mut wrapped = [0; WRAPPED_BYTES];
    wrapped[..HEADER_BYTES].copy_from_slice(&header);
    wrapped[HEADER_BYTES..FRONT_BYTES].copy_from_slice(nonce);
    let (ciphertext, tag) = wrapped[FRONT_BYTES..].split_at_mut(WRAPPED_BYTES - FRONT_BYTES - TAG_BYTES);
    ciphertext.copy_from_slice(key);
    let sealed = gcm(&expand(&kek.prk, "care/wrap/v1", &[&header[2..4], n1]))
        .seal_in_place_separate_tag(n2, binding.additional(header), ciphertext)
        .expect("32 bytes are below the limit of GCM");
    tag.copy_from_slice(sealed.as_ref());
    wrapped
}

/// Unwraps.
///
/// # Errors
/// [`Fault::Integrity`] when the blob was changed, belongs to another owner, version or deployment, or the
/// key-encryption key is another one.
pub fn unwrap(kek: &Kek, binding: &Binding, blob: &[u8]) -> Result<Zeroizing<[u8; 32]>, Fault> {
    let header = header(Purpose::WrappedKey, kek.version);
    if blob.len() != WRAPPED_BYTES || blob[..HEADER_BYTES] != header {
        return Err(DOES_NOT_OPEN);
    }
    let nonce = blob[HEADER_BYTES..FRONT_BYTES].try_into().expect("the slice has 24 bytes");
    let (n1, n2) = split_nonce(nonce);
    let mut sealed = Zeroizing::new([0_u8; WRAPPED_BYTES - FRONT_BYTES]);
    sealed.copy_from_slice(&blob[FRONT_BYTES..]);
    let plain = gcm(&expand(&kek.prk, "care/wrap/v1", &[&header[2..4], n1]))
        .open_in_place(n2, binding.additional(header), &mut sealed[..])
        .map_err(|_| DOES_NOT_OPEN)?;
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(plain);
    Ok(key)
}

/// Which version of the key-encryption key opens this blob; `None` when it is no wrapped key of this form.
#[must_use]
pub fn kek_version_of(blob: &[u8]) -> Option<u32> {
    let version = u32::from_be_bytes(blob.get(4..HEADER_BYTES)?.try_into().expect("the slice has 4 bytes"));
    (blob.len() == WRAPPED_BYTES && blob[..HEADER_BYTES] == header(Purpose::WrappedKey, version)).then_some(version)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::seal::tests::counting;
    use super::super::{hash, hex};
    use super::*;

    fn binding() -> Binding {
        Binding {
            deployment: DeploymentId::from_bytes([0xd0; 16]),
            owner: KeyOwner::Patient(PatientId::from_bytes([0xa1; 16])),
            version: 3,
        }
    }

    #[test]
    fn the_known_answer_of_a_wrapped_key() {
        let kek = Kek::new(5, &[0x22; 32]);
        let wrapped = wrap_with(&counting(0x40), &kek, &binding(), &[0x11; 32]);
        assert_eq!(hex(&hash(&wrapped)), "beeadf77585f883adad3b413339a9baa168225d543a32eb4599e0852c9303f2b");
        assert_eq!(*unwrap(&kek, &binding(), &wrapped).expect("opens"), [0x11; 32]);
        assert_eq!(kek_version_of(&wrapped), Some(5));
    }

    #[test]
    fn no_wrapped_key_stands_in_for_another() {
        let (world, kek) = (World::system(), Kek::new(5, &[0x22; 32]));
        let owners = [binding().owner, KeyOwner::System, KeyOwner::Signer, KeyOwner::Backup];
        for owner in owners {
            assert_eq!(KeyOwner::from_bytes(owner.bytes()), owner);
            let wrapped = wrap(&world, &kek, &Binding { owner, ..binding() }, &[1; 32]);
            for other in owners {
                assert_eq!(unwrap(&kek, &Binding { owner: other, ..binding() }, &wrapped).is_ok(), other == owner);
            }
            assert!(unwrap(&kek, &Binding { owner, version: 4, ..binding() }, &wrapped).is_err());
            assert!(unwrap(&kek, &Binding { owner, deployment: DeploymentId::ZERO, ..binding() }, &wrapped).is_err());
            assert!(unwrap(&Kek::new(6, &[0x22; 32]), &Binding { owner, ..binding() }, &wrapped).is_err());
            assert!(unwrap(&Kek::new(5, &[0x23; 32]), &Binding { owner, ..binding() }, &wrapped).is_err());
        }
    }

    proptest! {
        #[test]
        fn a_flipped_bit_of_a_wrapped_key_is_found(key: [u8; 32], at in 0..WRAPPED_BYTES, bit in 0..8_u8) {
            let kek = Kek::new(5, &[0x22; 32]);
            let mut wrapped = wrap(&World::system(), &kek, &binding(), &key);
            prop_assert_eq!(*unwrap(&kek, &binding(), &wrapped).expect("opens"), key);
            wrapped[at] ^= 1 << bit;
            prop_assert!(unwrap(&kek, &binding(), &wrapped).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            prop_assert!(unwrap(&Kek::new(5, &[0x22; 32]), &binding(), &bytes).is_err());
            let _ = kek_version_of(&bytes);
        }
    }
}
