//! The signature of a document Bundle (*Signature* and *Digital Signatures*, FHIR R4): a detached JWS (RFC 7515 appendix F) with ES384 over
//! the canonical JSON of the Bundle without its signature, base64 once more into `signature.data`.
//! The header holds, besides what JAdES asks for, the public key, so that anyone can check it, and a mark of each entry, so that it can be
//! said which one was changed. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::document::UNSIGNED;
use crate::kernel::base::Fault;
use crate::kernel::crypto::jwk::DocumentVerifier;
use crate::kernel::crypto::{DocumentKey, base64, base64_url, canonical, from_base64, from_base64_url, hash};

/// *Verification signature* (ASTM E1762): that the signer checked that the document is what was recorded.
const VERIFICATION: &str = "1.2.840.10065.1.12.1.5";
/// Bytes of a mark.
const MARK_BYTES: usize = 4;

/// The protected header.
#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    kid: String,
    jwk: Value,
    #[serde(rename = "sigT")]
    at: String,
    #[serde(rename = "srCms")]
    commitments: Value,
    /// The first four bytes of the SHA-256 of the canonical JSON of each entry, one after another.
    marks: String,
}

fn commitments() -> Value {
    json!([{ "commId": { "id": format!("urn:oid:{VERIFICATION}"), "desc": "Verification Signature" } }])
}

fn marks(bundle: &Value) -> Vec<u8> {
    let entries = bundle["entry"].as_array().map(Vec::as_slice).unwrap_or_default();
    entries.iter().flat_map(|entry| hash(&canonical(entry))[..MARK_BYTES].to_vec()).collect()
}

/// What is signed: header and payload, base64url, with a dot between (RFC 7515 section 5.1).
fn input(header: &str, payload: &[u8]) -> Vec<u8> {
    format!("{header}.{}", base64_url(payload)).into_bytes()
}

fn element(when: &str, who: &Value, data: &str) -> Value {
    json!({
        "type": [{ "system": "urn:iso-astm:E1762-95:2013", "code": VERIFICATION, "display": "Verification Signature" }],
        "when": when,
        "who": who,
        "targetFormat": "application/fhir+json",
        "sigFormat": "application/jose",
        "data": data,
    })
}

/// Signs a Bundle that has no signature yet. `when` is an instant, `who` a reference to the signing device.
///
/// # Errors
/// [`Fault::Defect`]: no JSON object, or no signature could be made.
pub(super) fn sign(bundle: &mut Value, key: &DocumentKey, when: &str, who: Value) -> Result<(), Fault> {
    let jwk = key.jwk();
    let header = Header {
        alg: "ES384".into(),
        kid: jwk["kid"].as_str().unwrap_or_default().to_owned(),
        jwk: json!({ "crv": jwk["crv"], "kty": jwk["kty"], "x": jwk["x"], "y": jwk["y"] }),
        at: when.to_owned(),
        commitments: commitments(),
        marks: base64_url(&marks(bundle)),
    };
    let header = serde_json::to_value(header).map_err(|_| UNSIGNED)?;
    let header = base64_url(&canonical(&header));
    let signature = key.sign(&input(&header, &canonical(bundle)))?;
    let jws = format!("{header}..{}", base64_url(&signature));
    let members = bundle.as_object_mut().ok_or(UNSIGNED)?;
    members.insert("signature".into(), element(when, &who, &base64(jws.as_bytes())));
    Ok(())
}

/// What a signature says of its document.
pub(super) struct Checked {
    /// The key's name: the thumbprint of RFC 7638.
    pub kid: String,
    /// When it was signed, as the header says.
    pub at: String,
    /// What does not hold, the first entry first; none if it is clean.
    pub faults: Vec<String>,
}

/// Checks the signature of a Bundle.
///
/// # Errors
/// A sentence when there is no signature that could be checked at all.
pub(super) fn check(bundle: &Value) -> Result<Checked, String> {
    let mut unsigned = bundle.clone();
    let signature = unsigned.as_object_mut().and_then(|members| members.remove("signature"));
    let signature = signature.ok_or("This Bundle is not signed.")?;
    let data = signature["data"].as_str().unwrap_or_default();
    let jws = from_base64(data).and_then(|bytes| String::from_utf8(bytes).ok());
    let jws = jws.ok_or("The signature is no base64 of a JWS.")?;
    let (header, signed) = jws.split_once("..").ok_or("The signature is no detached JWS.")?;
    let header_bytes = from_base64_url(header).ok_or("The header of the signature is not base64url.")?;
    let read: Header =
        serde_json::from_slice(&header_bytes).map_err(|_| "The header of the signature is not one of ours.")?;
    let key = DocumentVerifier::from_jwk(&read.jwk).filter(|key| read.alg == "ES384" && key.kid() == read.kid);
    let key = key.ok_or("The key in the signature is not a P-384 key of the name it has.")?;
    let signed = from_base64_url(signed).unwrap_or_default();
    let mut faults = Vec::new();
    if !key.verifies(&input(header, &canonical(&unsigned)), &signed) {
        faults = changed(&unsigned, &read.marks);
    }
    // What FHIR puts beside the JWS is not signed by it: it has to be what the header says.
    let expected = element(&read.at, &unsigned["entry"][0]["resource"]["author"][1], data);
    if signature != expected {
        faults.push("signature: not what was signed is what is said of it".into());
    }
    Ok(Checked { kid: read.kid, at: read.at, faults })
}

/// The entries that are not what was marked.
fn changed(bundle: &Value, marked: &str) -> Vec<String> {
    let (marked, now) = (from_base64_url(marked).unwrap_or_default(), marks(bundle));
    let mut faults = Vec::new();
    let entries = bundle["entry"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (at, (was, is)) in marked.chunks(MARK_BYTES).zip(now.chunks(MARK_BYTES)).enumerate() {
        if was != is {
            let resource = &entries[at]["resource"];
            let class = resource["resourceType"].as_str().filter(|class| class.chars().all(char::is_alphanumeric));
            faults.push(format!("entry {} ({}): changed after it was signed", at + 1, class.unwrap_or("unknown")));
        }
    }
    if marked.len() != now.len() {
        faults.push(format!("{} entries were signed, {} are here", marked.len() / MARK_BYTES, now.len() / MARK_BYTES));
    }
    if faults.is_empty() {
        faults.push("the signature does not hold for this document".into());
    }
    faults
}
