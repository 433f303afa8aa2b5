//! Public keys as JSON Web Keys (RFC 7517), and the P-384 key that signs documents. Floor 1.
//! Does not know: what a document is, or where the key is kept (sealed, purpose `Integration`).
//! Invariant: `kid` is the thumbprint of RFC 7638, so a key has the same name wherever it is shown.

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{VerifierKey, base64_url, canonical, from_base64_url, hash};
use crate::kernel::base::Fault;

/// Bytes of a coordinate of P-384.
const COORDINATE_BYTES: usize = 48;

/// The head signer's public key (RFC 8037 section 2).
#[must_use]
pub fn head_key(key: &VerifierKey) -> Value {
    finish(json!({ "crv": "Ed25519", "kty": "OKP", "x": base64_url(key.public()) }), "EdDSA")
}

/// A JWK set.
#[must_use]
pub fn set(keys: &[Value]) -> Value {
    json!({ "keys": keys })
}

/// Adds `kid`, `alg` and `use` to the members that RFC 7638 hashes.
pub(super) fn finish(mut key: Value, algorithm: &str) -> Value {
    let thumbprint = base64_url(&hash(&canonical(&key)));
    key["kid"] = thumbprint.into();
    key["alg"] = algorithm.into();
    key["use"] = "sig".into();
    key
}

/// The key that signs documents: ECDSA on P-384 with SHA-384, `ES384` (RFC 7518 section 3.4).
pub struct DocumentKey {
    pkcs8: Zeroizing<Vec<u8>>,
    /// `04 ‖ x ‖ y`.
    public: [u8; 1 + 2 * COORDINATE_BYTES],
}

impl DocumentKey {
    /// Draws a new key, by `ring`'s own random generator: its key generation takes no other.
    ///
    /// # Errors
    /// [`Fault::Defect`] when the generator fails.
    pub fn generate() -> Result<Self, Fault> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new())
            .map_err(|_| Fault::Defect("no document key could be drawn"))?;
        Self::from_pkcs8(document.as_ref())
    }

    /// From the PKCS #8 bytes that are kept sealed.
    ///
    /// # Errors
    /// [`Fault::Integrity`] when they are no such key.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, Fault> {
        let pkcs8 = Zeroizing::new(pkcs8.to_vec());
        let public = pair(&pkcs8)?.public_key().as_ref().try_into();
        Ok(Self { pkcs8, public: public.map_err(|_| Fault::Integrity("the document key is not on P-384"))? })
    }

    /// What is to be sealed.
    #[must_use]
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public key.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let (x, y) = self.public[1..].split_at(COORDINATE_BYTES);
        finish(json!({ "crv": "P-384", "kty": "EC", "x": base64_url(x), "y": base64_url(y) }), "ES384")
    }

    /// `r ‖ s`, 96 bytes.
    ///
    /// # Errors
    /// [`Fault::Defect`] when the random generator fails.
    pub fn sign(&self, message: &[u8]) -> Result<[u8; 96], Fault> {
        let signature = pair(&self.pkcs8)?
            .sign(&SystemRandom::new(), message)
            .map_err(|_| Fault::Defect("a document could not be signed"))?;
        Ok(signature.as_ref().try_into().expect("an ES384 signature has 96 bytes"))
    }

    /// Whether the signature is this key's.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &self.public).verify(message, signature).is_ok()
    }
}

/// The public half of a document key, as somebody hands it over.
pub struct DocumentVerifier {
    public: [u8; 1 + 2 * COORDINATE_BYTES],
    kid: String,
}

impl DocumentVerifier {
    /// From a JSON Web Key; none if it is not one on P-384.
    #[must_use]
    pub fn from_jwk(key: &Value) -> Option<Self> {
        let coordinate = |name: &str| from_base64_url(key[name].as_str()?).filter(|x| x.len() == COORDINATE_BYTES);
        if key["kty"] != "EC" || key["crv"] != "P-384" {
            return None;
        }
        let public = [vec![4], coordinate("x")?, coordinate("y")?].concat().try_into().ok()?;
        let named = finish(json!({ "crv": "P-384", "kty": "EC", "x": key["x"], "y": key["y"] }), "ES384");
        Some(Self { public, kid: named["kid"].as_str()?.to_owned() })
    }

    /// Its name: the thumbprint of RFC 7638.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Whether the signature is this key's.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &self.public).verify(message, signature).is_ok()
    }
}

impl std::fmt::Debug for DocumentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DocumentKey")
    }
}

fn pair(pkcs8: &[u8]) -> Result<EcdsaKeyPair, Fault> {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, pkcs8, &SystemRandom::new())
        .map_err(|_| Fault::Integrity("not a document key"))
}

#[cfg(test)]
mod tests {
    use super::super::Signer;
    use super::*;

    /// RFC 8037 appendix A.2 and A.3: the public key of RFC 8032's first test and its thumbprint.
    #[test]
    fn the_head_key_of_rfc_8037() {
        let seed = from_base64_url("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").expect("base64");
        let signer = Signer::new("n", seed.as_slice().try_into().expect("32 bytes")).expect("a name");
        let key = head_key(signer.verifier());
        assert_eq!(key["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(key["kid"], "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_document_key_comes_back_and_signs() {
        let key = DocumentKey::generate().expect("drawn");
        let again = DocumentKey::from_pkcs8(key.pkcs8()).expect("reads");
        assert_eq!(key.jwk(), again.jwk());
        let signature = again.sign(b"a document").expect("signs");
        assert!(key.verifies(b"a document", &signature) && !key.verifies(b"another", &signature));
        assert!(!DocumentKey::generate().expect("drawn").verifies(b"a document", &signature));
        let jwk = set(&[key.jwk()])["keys"][0].clone();
        assert_eq!((&jwk["kty"], &jwk["crv"], &jwk["alg"]), (&"EC".into(), &"P-384".into(), &"ES384".into()));
        assert_eq!(from_base64_url(jwk["y"].as_str().expect("text")).expect("base64").len(), COORDINATE_BYTES);
        let public = DocumentVerifier::from_jwk(&jwk).expect("a key");
        assert!(public.verifies(b"a document", &signature) && !public.verifies(b"another", &signature));
        assert_eq!(jwk["kid"], public.kid());
        assert!(DocumentVerifier::from_jwk(&json!({ "kty": "EC", "crv": "P-384", "x": jwk["x"] })).is_none());
        assert!(jwk.get("d").is_none());
        assert_eq!(format!("{key:?}"), "DocumentKey");
        assert!(DocumentKey::from_pkcs8(b"nothing").is_err());
    }
}
