//! Signed notes: a text, an empty line, and signature lines `— NAME BASE64(key hash(4) ‖ Ed25519 signature(64))`. Floor 1.
//! Does not know: what a text says (`head` does).
//! Invariant: a note is read strictly and only its verified text is handed out.
//!
//! The form is that of <https://c2sp.org/signed-note>; Ed25519 is RFC 8032.

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use zeroize::Zeroizing;

use super::{base64, from_base64, from_hex, hash_parts, hex};
use crate::kernel::base::Fault;

/// Most signature lines of one note: the deployment's own and a few witnesses'.
pub const SIGNATURES_MAX: usize = 16;

/// Type byte of Ed25519 in key hashes and verifier keys.
const ED25519_TYPE: u8 = 1;

/// Signs notes under a name. Holds the seed, zeroized when dropped.
pub struct Signer {
    seed: Zeroizing<[u8; 32]>,
    verifier: VerifierKey,
}

impl Signer {
    /// From the 32 bytes that are kept wrapped.
    ///
    /// # Errors
    /// [`Fault::Defect`] when the name is empty or holds `+`, white space or a control character.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, Fault> {
        if !is_name(name) {
            return Err(Fault::Defect("a signer's name may not be empty nor hold a plus sign or white space"));
        }
        let pair = key_pair(seed);
        let public = pair.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes");
        Ok(Self { seed: Zeroizing::new(*seed), verifier: VerifierKey { name: name.to_owned(), public } })
    }

    /// The public half.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The signed note of `text`, which must end with a line end and hold no empty line at its end.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        debug_assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "a note's text ends with one line end");
        let signature = key_pair(&self.seed).sign(text.as_bytes());
        let line = [&self.verifier.key_hash()[..], signature.as_ref()].concat();
        format!("{text}\n\u{2014} {} {}\n", self.verifier.name, base64(&line))
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.verifier)
    }
}

/// Built per signature, because `ring` does not zeroize it.
fn key_pair(seed: &[u8; 32]) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(seed).expect("an Ed25519 seed has 32 bytes")
}

/// A public key with the name it signs under; as text `NAME+HASH+KEY`, the verifier key form of signed notes.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct VerifierKey {
    name: String,
    public: [u8; 32],
}

impl VerifierKey {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Ed25519 public key.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// `H(name ‖ 0A ‖ 01 ‖ public key)[0..4]`.
    #[must_use]
    pub fn key_hash(&self) -> [u8; 4] {
        let hash = hash_parts(&[self.name.as_bytes(), &[b'\n', ED25519_TYPE], &self.public]);
        *hash.first_chunk().expect("a hash has 32 bytes")
    }

    /// The text of a note that this key signed.
    ///
    /// # Errors
    /// [`Fault::Integrity`] when the note is malformed, carries no signature of this key, or a wrong one.
    pub fn open<'n>(&self, note: &'n str) -> Result<&'n str, Fault> {
        let (text, signatures) = split(note)?;
        let key_hash = self.key_hash();
        let mut verified = false;
        // Signatures of other keys are passed over, as the form demands: a witness may have added its own.
        for (_, blob) in signatures.iter().filter(|(name, blob)| *name == self.name && blob[..4] == key_hash) {
            UnparsedPublicKey::new(&ED25519, &self.public)
                .verify(text.as_bytes(), &blob[4..])
                .map_err(|_| Fault::Integrity("the signature is wrong"))?;
            verified = true;
        }
        if verified { Ok(text) } else { Err(Fault::Integrity("the note is not signed by this key")) }
    }
}

impl std::fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = [&[ED25519_TYPE][..], &self.public].concat();
        write!(f, "{}+{}+{}", self.name, hex(&self.key_hash()), base64(&key))
    }
}

impl std::str::FromStr for VerifierKey {
    type Err = Fault;

    /// Reads `NAME+HASH+KEY` and checks that the hash is the key's.
    fn from_str(text: &str) -> Result<Self, Fault> {
        parse_key(text).ok_or(Fault::Integrity("not a key of the form NAME+HASH+KEY"))
    }
}

fn parse_key(text: &str) -> Option<VerifierKey> {
    // The base64 of the key may hold plus signs itself; a name may not.
    let (name, rest) = text.split_once('+')?;
    let (key_hash, key) = rest.split_once('+')?;
    let key = from_base64(key)?;
    let (algorithm, public) = key.split_first()?;
    let key = VerifierKey { name: name.to_owned(), public: public.try_into().ok()? };
    let sound = is_name(name) && *algorithm == ED25519_TYPE && from_hex(key_hash)? == key.key_hash();
    sound.then_some(key)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

type SignatureLine<'n> = (&'n str, Vec<u8>);

/// The text, unverified, and the signature lines as name and bytes (5 or more).
fn split(note: &str) -> Result<(&str, Vec<SignatureLine<'_>>), Fault> {
    const MALFORMED: Fault = Fault::Integrity("not a signed note");
    if note.chars().any(|c| c < ' ' && c != '\n') {
        return Err(MALFORMED);
    }
    let end = note.rfind("\n\n").ok_or(MALFORMED)?;
    let text = &note[..=end];
    let lines = note[end + 2..].strip_suffix('\n').ok_or(MALFORMED)?;
    let mut signatures = Vec::new();
    for line in lines.split('\n') {
        let (name, blob) = line.strip_prefix("\u{2014} ").and_then(|line| line.split_once(' ')).ok_or(MALFORMED)?;
        let blob = from_base64(blob).filter(|blob| blob.len() > 4).ok_or(MALFORMED)?;
        if !is_name(name) || signatures.len() == SIGNATURES_MAX {
            return Err(MALFORMED);
        }
        signatures.push((name, blob));
    }
    Ok((text, signatures))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signer(seed: u8) -> Signer {
        Signer::new("record.example", &[seed; 32]).expect("a name")
    }

    #[test]
    fn a_note_opens_under_its_key_alone() {
        let note = signer(7).sign("a text\nof two lines\n");
        assert_eq!(signer(7).verifier().open(&note).expect("opens"), "a text\nof two lines\n");
        assert!(signer(8).verifier().open(&note).is_err());
        assert!(Signer::new("other.example", &[7; 32]).expect("a name").verifier().open(&note).is_err());
    }

    #[test]
    fn a_witness_may_add_its_line() {
        let witness = Signer::new("witness.example", &[9; 32]).expect("a name");
        let text = "a text\n";
        let line = witness.sign(text).split_off(text.len() + 1);
        let note = signer(7).sign(text) + &line;
        assert_eq!(signer(7).verifier().open(&note).expect("opens"), text);
        assert_eq!(witness.verifier().open(&note).expect("opens"), text);
        let many = signer(7).sign(text) + &line.repeat(SIGNATURES_MAX);
        assert!(signer(7).verifier().open(&many).is_err(), "bounded");
    }

    #[test]
    fn a_key_text_comes_back_and_lies_are_refused() {
        for seed in 0..64 {
            let key = signer(seed).verifier().clone();
            assert_eq!(key.to_string().parse::<VerifierKey>().expect("reads"), key);
        }
        let text = signer(7).verifier().to_string();
        for wrong in [
            "",
            "+",
            "++",
            &text[1..],
            &text[..text.len() - 4],
            &text.replace("record", "other"),
            &format!(" {text}"),
            &format!("{text}\n"),
        ] {
            assert!(wrong.parse::<VerifierKey>().is_err(), "{wrong:?}");
        }
        for name in ["", "a b", "a+b", "a\nb"] {
            assert!(Signer::new(name, &[7; 32]).is_err());
        }
    }

    #[test]
    fn the_seed_is_not_printed() {
        assert_eq!(format!("{:?}", signer(7)), format!("Signer({})", signer(7).verifier()));
    }

    proptest! {
        #[test]
        fn a_flipped_bit_of_a_note_is_found(text in "([ -~]{1,40}\n){1,4}", at: prop::sample::Index, bit in 0..8_u8) {
            let note = signer(7).sign(&text);
            prop_assert_eq!(signer(7).verifier().open(&note).expect("opens"), &text);
            let mut flipped = note.into_bytes();
            let at = at.index(flipped.len());
            flipped[at] ^= 1 << bit;
            if let Ok(flipped) = String::from_utf8(flipped) {
                prop_assert!(signer(7).verifier().open(&flipped).is_err());
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC*|([\u{2014} a-z+\n]|\n\n|AAAAAAAA){0,40}") {
            prop_assert!(signer(7).verifier().open(&text).is_err());
            prop_assert!(text.parse::<VerifierKey>().is_err());
        }
    }
}
