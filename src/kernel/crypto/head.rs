//! What is signed: the head of a channel, of an audit stream, the site log's checkpoint, an export's manifest. Floor 1.
//! Does not know: how a note is signed (`note`), where heads are kept.
//! Invariant: each text begins with a line of its own, so none can be taken for another, and one value has one text.
//!
//! The checkpoint is that of <https://c2sp.org/tlog-checkpoint>, without extension lines.

use super::merkle::leaf_hash;
use super::note::{Signer, VerifierKey};
use super::{Hash, base64, from_base64, from_hex, hash, hex};
use crate::kernel::base::id::DeploymentId;
use crate::kernel::base::{ChannelId, Fault, Micros, PatientId};

const HEAD_LINE: &str = "carethread head v1";
const AUDIT_LINE: &str = "carethread audit v1";
const MANIFEST_LINE: &str = "carethread manifest v1";

/// The head of a channel: that its record has this size and this hash at this time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadNote {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The patient.
    pub patient: PatientId,
    /// The channel.
    pub channel: ChannelId,
    /// The record's epoch.
    pub epoch: u16,
    /// How many entries the channel has: the last `seq`.
    pub size: u64,
    /// `h_size`.
    pub head: Hash,
    /// When it was signed, in microseconds.
    pub at: Micros,
}

impl HeadNote {
    /// The text that is signed: seven lines.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { epoch, size, at, .. } = self;
        let (deployment, patient, channel) =
            (hex(self.deployment.bytes()), hex(self.patient.bytes()), hex(self.channel.bytes()));
        let head = base64(&self.head);
        format!("{HEAD_LINE}\n{deployment}\n{patient}\n{channel}\n{epoch} {size}\n{head}\n{at}\n")
    }

    /// Its leaf hash in the site log: `H(00 ‖ text)`. The signatures stay outside, so a witness's line changes no leaf.
    #[must_use]
    pub fn site_leaf(&self) -> Hash {
        leaf_hash(self.text().as_bytes())
    }

    /// The signed note: what is filed and sent.
    #[must_use]
    pub fn sign(&self, signer: &Signer) -> String {
        signer.sign(&self.text())
    }

    /// Reads a signed note.
    ///
    /// # Errors
    /// [`Fault::Integrity`] when this key did not sign it, or it is not the head of a channel.
    pub fn verify(note: &str, key: &VerifierKey) -> Result<Self, Fault> {
        Self::parse(key.open(note)?)
    }

    /// Reads the text of a note whose signature was checked.
    ///
    /// # Errors
    /// [`Fault::Integrity`] when it is not exactly such a text.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let read = || {
            let [mark, deployment, patient, channel, position, head, at] = lines(text)?;
            let (epoch, size) = position.split_once(' ')?;
            (mark == HEAD_LINE).then_some(Self {
                deployment: DeploymentId::from_bytes(id(deployment)?),
                patient: PatientId::from_bytes(id(patient)?),
                channel: ChannelId::from_bytes(id(channel)?),
                epoch: number(epoch)?.try_into().ok()?,
                size: number(size)?,
                head: digest(head)?,
                at: number(at)?.try_into().ok()?,
            })
        };
        read().ok_or(Fault::Integrity("not the head of a channel"))
    }
}

/// The head of an audit stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AuditHead {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The stream: one for each committer.
    pub stream: u64,
    /// How many rows it has.
    pub size: u64,
    /// `a_size`.
    pub head: Hash,
    /// When it was signed, in microseconds.
    pub at: Micros,
}

impl AuditHead {
    /// The text that is signed: five lines.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { stream, size, at, .. } = self;
        let (deployment, head) = (hex(self.deployment.bytes()), base64(&self.head));
        format!("{AUDIT_LINE}\n{deployment}\n{stream} {size}\n{head}\n{at}\n")
    }

    /// Its leaf hash in the site log, as [`HeadNote::site_leaf`].
    #[must_use]
    pub fn site_leaf(&self) -> Hash {
        leaf_hash(self.text().as_bytes())
    }

    /// The signed note.
    #[must_use]
    pub fn sign(&self, signer: &Signer) -> String {
        signer.sign(&self.text())
    }

    /// Reads a signed note.
    ///
    /// # Errors
    /// [`Fault::Integrity`] when this key did not sign it, or it is not the head of an audit stream.
    pub fn verify(note: &str, key: &VerifierKey) -> Result<Self, Fault> {
        let text = key.open(note)?;
        let read = || {
            let [mark, deployment, position, head, at] = lines(text)?;
            let (stream, size) = position.split_once(' ')?;
            (mark == AUDIT_LINE).then_some(Self {
                deployment: DeploymentId::from_bytes(id(deployment)?),
                stream: number(stream)?,
                size: number(size)?,
                head: digest(head)?,
                at: number(at)?.try_into().ok()?,
            })
        };
        read().ok_or(Fault::Integrity("not the head of an audit stream"))
    }
}

/// A state of the site log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Which log: one line, the signer's name.
    pub origin: String,
    /// How many leaves.
    pub size: u64,
    /// The Merkle tree's root.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed: origin, size, root.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, base64(&self.root))
    }

    /// The signed note.
    #[must_use]
    pub fn sign(&self, signer: &Signer) -> String {
        signer.sign(&self.text())
    }

    /// Reads a signed checkpoint.
    ///
    /// # Errors
    /// [`Fault::Integrity`] when this key did not sign it, it is no checkpoint, or another log's.
    pub fn verify(note: &str, key: &VerifierKey) -> Result<Self, Fault> {
        let text = key.open(note)?;
        let read = || {
            let [origin, size, root] = lines(text)?;
            (origin == key.name()).then_some(Self {
                origin: origin.to_owned(),
                size: number(size)?,
                root: digest(root)?,
            })
        };
        read().ok_or(Fault::Integrity("not a checkpoint of this log"))
    }
}

/// The content of `manifest.sig`: the signed note of `carethread manifest v1` and the hex SHA-256 of the manifest's bytes.
#[must_use]
pub fn sign_manifest(signer: &Signer, manifest: &[u8]) -> String {
    signer.sign(&manifest_text(manifest))
}

/// Checks `manifest.sig` against the manifest's bytes.
///
/// # Errors
/// [`Fault::Integrity`] when this key did not sign it, or it is of other bytes.
pub fn verify_manifest(note: &str, manifest: &[u8], key: &VerifierKey) -> Result<(), Fault> {
    if key.open(note)? == manifest_text(manifest) {
        Ok(())
    } else {
        Err(Fault::Integrity("the signature is of another manifest"))
    }
}

fn manifest_text(manifest: &[u8]) -> String {
    format!("{MANIFEST_LINE}\n{}\n", hex(&hash(manifest)))
}

/// Exactly `N` lines, each ended.
fn lines<const N: usize>(text: &str) -> Option<[&str; N]> {
    let mut lines = text.strip_suffix('\n')?.split('\n');
    let mut found = [""; N];
    for line in &mut found {
        *line = lines.next()?;
    }
    lines.next().is_none().then_some(found)
}

/// A decimal number without sign or leading zeros.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn id(text: &str) -> Option<[u8; 16]> {
    from_hex(text)?.try_into().ok()
}

fn digest(text: &str) -> Option<Hash> {
    from_base64(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::chain::tests::leaf;
    use super::super::chain::{genesis, next};
    use super::super::seal::tests::place;
    use super::*;

    fn signer() -> Signer {
        Signer::new("record.example", &[7; 32]).expect("a name")
    }

    fn head() -> HeadNote {
        let place = place();
        let zero = genesis(place.deployment, place.patient, place.channel);
        HeadNote {
            deployment: place.deployment,
            patient: place.patient,
            channel: place.channel,
            epoch: 0,
            size: 1,
            head: next(&zero, &leaf(1).to_bytes()),
            at: 1_700_000_000_000_000,
        }
    }

    #[test]
    fn the_known_answer_of_a_head_note() {
        let note = head().sign(&signer());
        assert_eq!(hex(&signer().verifier().key_hash()), "7dca6d32");
        let line = note.lines().last().expect("a line").strip_prefix("\u{2014} record.example ").expect("named");
        assert!(hex(&from_base64(line).expect("base64")).starts_with("7dca6d320aa1168c925b97e7"));
        assert_eq!(hex(&head().site_leaf()), "df273f6c867e8fafbafd5d28dd09e1be2a92936220bc34fcd31f710402766d04");
        assert_eq!(HeadNote::verify(&note, signer().verifier()).expect("opens"), head());
    }

    #[test]
    fn texts_written_otherwise_are_refused() {
        let text = head().text();
        for (part, other) in [
            ("0 1\n", "0 01\n"),
            ("0 1\n", "+0 1\n"),
            ("0 1\n", "0  1\n"),
            ("0 1\n", "65536 1\n"),
            ("d0d0", "D0D0"),
            ("v1", "v2"),
            ("1700000000000000\n", "1700000000000000"),
            ("1700000000000000\n", "1700000000000000\n\n"),
            ("1700000000000000\n", "-1\n"),
            ("1700000000000000\n", "18446744073709551615\n"),
            ("c1\n", "c\n"),
        ] {
            assert!(text.contains(part));
            assert!(HeadNote::parse(&text.replace(part, other)).is_err(), "{other:?}");
        }
    }

    #[test]
    fn one_kind_of_note_is_not_taken_for_another() {
        let signer = signer();
        let key = signer.verifier();
        let audit = AuditHead { deployment: head().deployment, stream: 3, size: 9, head: [4; 32], at: 5 };
        let checkpoint = Checkpoint { origin: "record.example".to_owned(), size: 9, root: [4; 32] };
        let notes =
            [head().sign(&signer), audit.sign(&signer), checkpoint.sign(&signer), sign_manifest(&signer, b"{}")];
        for (place, note) in notes.iter().enumerate() {
            assert_eq!(HeadNote::verify(note, key).ok(), (place == 0).then(head));
            assert_eq!(AuditHead::verify(note, key).ok(), (place == 1).then_some(audit));
            assert_eq!(Checkpoint::verify(note, key).ok(), (place == 2).then(|| checkpoint.clone()));
            assert_eq!(verify_manifest(note, b"{}", key).is_ok(), place == 3);
            assert!(verify_manifest(note, b"{ }", key).is_err());
        }
        let other = Checkpoint { origin: "other.example".to_owned(), ..checkpoint };
        assert!(Checkpoint::verify(&other.sign(&signer), key).is_err());
    }

    proptest! {
        #[test]
        fn heads_come_back(ids: [[u8; 16]; 3], epoch: u16, size: u64, hash: [u8; 32], at in 0..i64::MAX) {
            let head = HeadNote {
                deployment: DeploymentId::from_bytes(ids[0]), patient: PatientId::from_bytes(ids[1]),
                channel: ChannelId::from_bytes(ids[2]), epoch, size, head: hash, at,
            };
            prop_assert_eq!(HeadNote::verify(&head.sign(&signer()), signer().verifier()).expect("opens"), head);
        }

        #[test]
        fn a_flipped_bit_of_a_head_is_found(at: prop::sample::Index, bit in 0..8_u8) {
            let mut note = head().sign(&signer()).into_bytes();
            let at = at.index(note.len());
            note[at] ^= 1 << bit;
            if let Ok(note) = String::from_utf8(note) {
                prop_assert!(HeadNote::verify(&note, signer().verifier()).is_err());
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC*|(carethread head v1|[0-9a-f \n]|\n){0,60}") {
            prop_assert!(HeadNote::parse(&text).is_err());
            prop_assert!(HeadNote::verify(&text, signer().verifier()).is_err());
            prop_assert!(Checkpoint::verify(&text, signer().verifier()).is_err());
        }
    }
}
