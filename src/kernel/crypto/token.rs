//! Tokens and keyed hashes: credentials at rest, repeats of a command, look-ups of sealed values by equality. Floor 1.
//! Does not know: sessions, commands, identifiers.
//! Invariant: neither a token nor a looked-up value can be had back from what is stored.

use super::seal::DataKey;
use super::{Hash, base64_url, hash_parts, mac};
use crate::kernel::base::{Secret, World};

/// Prefix of a session's token.
pub const SESSION_PREFIX: &str = "ct_ses_";
/// Prefix of a personal access token.
pub const PERSONAL_PREFIX: &str = "ct_pat_";
/// Prefix of a one-use ticket for a socket.
pub const TICKET_PREFIX: &str = "ct_tic_";

/// A new token: the prefix and 32 random bytes as unpadded base64 for URLs.
#[must_use]
pub fn new_token(world: &World, prefix: &str) -> Secret<String> {
    let random = zeroize::Zeroizing::new(world.bytes::<32>());
    let text = zeroize::Zeroizing::new(base64_url(&*random));
    Secret::new([prefix, &text].concat())
}

/// What is stored of a token: `H("care/token/v1" ‖ 00 ‖ token)`. Unsalted: 256 random bits need no salt, and a look-up does.
#[must_use]
pub fn token_hash(token: &str) -> Hash {
    hash_parts(&[b"care/token/v1\0", token.as_bytes()])
}

/// What is stored of a command to know its repeat: HMAC-SHA256 of `op ‖ 00 ‖ canonical` under
/// `HKDF-Expand(PRK of the key, "care/idem/v1" ‖ 00, 32)`. Keyed, because a short text could be guessed from a plain hash.
#[must_use]
pub fn command_mac(key: &DataKey, op: &str, canonical: &[u8]) -> Hash {
    mac(&*key.derive("care/idem/v1", &[]), &[op.as_bytes(), &[0], canonical])
}

/// What a sealed value is found by: HMAC-SHA256 of the value under `HKDF-Expand(PRK of the key, "care/look/v1" ‖ 00 ‖ label, 32)`.
/// Leaks equality under one key and label, nothing else. `label` names what is looked up, such as `patient.identifier`.
#[must_use]
pub fn lookup_mac(key: &DataKey, label: &str, value: &[u8]) -> Hash {
    mac(&*key.derive("care/look/v1", &[label.as_bytes()]), &[value])
}

#[cfg(test)]
mod tests {
    use super::super::{from_base64_url, hash};
    use super::*;

    #[test]
    fn tokens_are_random_prefixed_and_never_printed() {
        let world = World::system();
        let (one, two) = (new_token(&world, PERSONAL_PREFIX), new_token(&world, PERSONAL_PREFIX));
        assert_ne!(one.expose(), two.expose());
        let random = one.expose().strip_prefix("ct_pat_").expect("prefixed");
        assert_eq!(from_base64_url(random).expect("base64").len(), 32);
        assert_eq!(format!("{one:?}"), "Secret");
        assert_eq!(token_hash("ct_pat_x"), hash(b"care/token/v1\0ct_pat_x"));
    }

    #[test]
    fn macs_depend_on_key_label_and_value() {
        let (key, other) = (DataKey::new(1, &[1; 32]), DataKey::new(1, &[2; 32]));
        assert_eq!(lookup_mac(&key, "a", b"1"), lookup_mac(&key, "a", b"1"));
        assert_ne!(lookup_mac(&key, "a", b"1"), lookup_mac(&key, "a", b"2"));
        assert_ne!(lookup_mac(&key, "a", b"1"), lookup_mac(&key, "b", b"1"));
        assert_ne!(lookup_mac(&key, "a", b"1"), lookup_mac(&other, "a", b"1"));
        assert_ne!(command_mac(&key, "task.move", b"{}"), command_mac(&key, "task.hold", b"{}"));
        assert_ne!(command_mac(&key, "a", b"{}"), command_mac(&other, "a", b"{}"));
    }
}
