//! The key by which this server shows another one who it is: ECDSA on P-384 with SHA-384 (`ES384`), or RSA with PKCS #1 v1.5 and SHA-384
//! (`RS384`) for servers that know nothing else (RFC 7518 sections 3.3 and 3.4). Floor 1.
//! Does not know: assertions, or where the key is kept.

use ring::rand::SystemRandom;
use ring::rsa::{KeyPair, PublicKeyComponents};
use ring::signature::RSA_PKCS1_SHA384;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::base64_url;
use super::jwk::{DocumentKey, finish};
use crate::kernel::base::Fault;

/// One of both.
pub enum ClientKey {
    /// `ES384`.
    Curve(DocumentKey),
    /// `RS384`.
    Rsa(RsaKey),
}

/// An RSA key that somebody else made.
pub struct RsaKey {
    pkcs8: Zeroizing<Vec<u8>>,
    public: PublicKeyComponents<Vec<u8>>,
}

impl ClientKey {
    /// From PKCS #8: P-384, or RSA of 2048 to 4096 bits.
    ///
    /// # Errors
    /// [`Fault::Integrity`] when it is neither.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, Fault> {
        if let Ok(key) = DocumentKey::from_pkcs8(pkcs8) {
            return Ok(Self::Curve(key));
        }
        let public = PublicKeyComponents::from(pair(pkcs8)?.public());
        Ok(Self::Rsa(RsaKey { pkcs8: Zeroizing::new(pkcs8.to_vec()), public }))
    }

    /// As in `alg`.
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        match self {
            Self::Curve(_) => "ES384",
            Self::Rsa(_) => "RS384",
        }
    }

    /// The public key.
    #[must_use]
    pub fn jwk(&self) -> Value {
        match self {
            Self::Curve(key) => key.jwk(),
            Self::Rsa(RsaKey { public: PublicKeyComponents { n, e }, .. }) => {
                finish(json!({ "e": base64_url(e), "kty": "RSA", "n": base64_url(n) }), self.algorithm())
            }
        }
    }

    /// A signature as a JWS has it.
    ///
    /// # Errors
    /// [`Fault::Defect`] when the random generator fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Fault> {
        match self {
            Self::Curve(key) => Ok(key.sign(message)?.to_vec()),
            Self::Rsa(key) => {
                let pair = pair(&key.pkcs8)?;
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA384, &SystemRandom::new(), message, &mut signature)
                    .map_err(|_| Fault::Defect("an assertion could not be signed"))?;
                Ok(signature)
            }
        }
    }
}

fn pair(pkcs8: &[u8]) -> Result<KeyPair, Fault> {
    KeyPair::from_pkcs8(pkcs8).map_err(|_| Fault::Integrity("neither a P-384 nor an RSA key"))
}

impl std::fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientKey")
    }
}
