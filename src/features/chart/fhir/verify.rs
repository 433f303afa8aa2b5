//! Checks a signed document offline: without server, record or network. The key is in the document; whose it is, the caller has to know
//! another way, or names its thumbprint.

use std::collections::HashSet;
use std::fmt;

use serde_json::Value;

use super::signature;

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentVerdict {
    /// Entries of the Bundle.
    pub entries: usize,
    /// When it was signed, RFC 3339.
    pub signed_at: String,
    /// The name of the key: its thumbprint (RFC 7638).
    pub key: String,
    /// The key is the one the caller named.
    pub pinned: bool,
    /// What does not hold; none if it is clean.
    pub faults: Vec<String>,
}

impl DocumentVerdict {
    /// Nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }
}

impl fmt::Display for DocumentVerdict {
    /// A line a fault, or the one line that says it is clean; no line end behind the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_clean() {
            return f.write_str(&self.faults.join("\n"));
        }
        let pinned = if self.pinned { "pinned" } else { "not pinned" };
        let Self { entries, signed_at, key, .. } = self;
        write!(f, "document of {entries} entries: unaltered since {signed_at}, signed by {key}, {pinned}")
    }
}

/// Checks a document Bundle. `pinned` is the thumbprint of the key that must have signed it.
///
/// # Errors
/// A sentence when it is no signed document that could be checked at all.
pub fn verify_document(bytes: &[u8], pinned: Option<&str>) -> Result<DocumentVerdict, String> {
    let bundle: Value = serde_json::from_slice(bytes).map_err(|_| "This is no JSON.")?;
    if bundle["resourceType"] != "Bundle" || bundle["type"] != "document" {
        return Err("This is no document Bundle. Only signed documents can be checked.".into());
    }
    let checked = signature::check(&bundle)?;
    let mut faults = checked.faults;
    if pinned.is_some_and(|pinned| pinned != checked.kid) {
        faults.push(format!("signed by {}, which is not the key that was named", checked.kid));
    }
    faults.extend(structure(&bundle));
    // A member that stands twice is read by some as the first and by others as the last: it is not what was signed.
    if repeats(bytes) {
        faults.push("a member stands twice in an object".into());
    }
    let entries = bundle["entry"].as_array().map_or(0, Vec::len);
    Ok(DocumentVerdict { entries, signed_at: checked.at, key: checked.kid, pinned: pinned.is_some(), faults })
}

/// That it is a document: the Composition first, each `fullUrl` once.
fn structure(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut faults = Vec::new();
    if entries.first().is_none_or(|first| first["resource"]["resourceType"] != "Composition") {
        faults.push("entry 1: not the Composition".to_owned());
    }
    let mut seen = HashSet::new();
    for (at, entry) in entries.iter().enumerate() {
        if !entry["fullUrl"].as_str().is_some_and(|url| seen.insert(url)) {
            faults.push(format!("entry {}: its fullUrl is missing or stands twice", at + 1));
        }
    }
    faults
}

/// Whether an object names a member twice.
fn repeats(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Once>(bytes).is_err()
}

/// Any JSON in which no object repeats a member.
struct Once;

impl<'de> serde::Deserialize<'de> for Once {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OnceVisitor)
    }
}

struct OnceVisitor;

impl<'de> serde::de::Visitor<'de> for OnceVisitor {
    type Value = Once;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated members")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_str<E>(self, _: &str) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_unit<E>(self) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Once, A::Error> {
        while list.next_element::<Once>()?.is_some() {}
        Ok(Once)
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut members: A) -> Result<Once, A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            members.next_value::<Once>()?;
            if !names.insert(name) {
                return Err(serde::de::Error::custom("a member stands twice"));
            }
        }
        Ok(Once)
    }
}
