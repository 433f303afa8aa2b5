//! Files into resources: Bundles, single resources, NDJSON. Knows no meaning of a resource beyond type, id and where it stood.
//!
//! A Bundle is taken whole or not at all: one broken entry may be the patient all others hang on.

use std::collections::BTreeMap;

use serde_json::Value;

use super::element::{Element, MISSING, NOT_LIST, NOT_OBJECT, NOT_TEXT, Report};
use super::json;
use super::kinds::{self, Belongs};
use super::reading::{Place, ResourceKey, SourceFile};
use super::references::Locator;

/// Fixed, so that a resource without any id gets the same key on every import (RFC 9562 section 5.5).
pub(super) const NAMESPACE: uuid::Uuid = uuid::uuid!("0f3c5b86-6a8e-5b1c-9a57-7f0d4c1f2a9e");

/// One resource as it stood in a file.
pub(super) struct Source<'a> {
    pub file: &'a str,
    /// FHIRPath of the resource.
    pub path: String,
    /// Which Bundle, line or file it came in with: references look there first.
    pub document: usize,
    pub kind: &'static str,
    pub belongs: Belongs,
    pub key: ResourceKey,
    /// The server it says it is of: what stands before `Type/id` in an absolute fullUrl.
    pub base: Option<String>,
    /// The entry's fullUrl without version; `urn:uuid:` in lower case.
    pub full_url: Option<String>,
    pub value: Value,
    pub raw: &'a str,
}

impl<'a> Source<'a> {
    pub fn place(&self) -> Place {
        Place { file: self.file.to_owned(), path: self.path.clone() }
    }

    /// Everything a reference may call it by.
    pub fn names(&self) -> Vec<String> {
        let mut names = vec![self.key.as_str().to_owned()];
        names.extend(self.full_url.clone());
        names.extend(self.value.get("id").and_then(Value::as_str).map(|id| format!("{}/{id}", self.kind)));
        names.sort();
        names.dedup();
        names
    }

    pub fn element(&self) -> Element<'_> {
        Element::root(self.file, self.path.clone(), &self.value)
    }
}

/// A resource with its entry's fullUrl, before it is known to be sound.
struct Candidate<'a> {
    path: String,
    full_url: Option<String>,
    value: Value,
    raw: &'a str,
}

/// Why a Bundle is refused, and where.
struct Broken {
    path: String,
    reason: &'static str,
}

/// Reads one file into `sources`.
pub(super) fn load<'a>(file: &SourceFile<'a>, document: usize, sources: &mut Vec<Source<'a>>, report: &mut Report) {
    let bytes = file.bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(file.bytes);
    let lines = file.name.to_ascii_lowercase().ends_with(".ndjson");
    // Lines of one file form one document: a bulk export spreads one server's resources over lines.
    match json::parse(bytes) {
        Ok(value) => load_value(file.name, "", value, bytes, document, sources, report),
        Err(fault) => {
            let first =
                bytes.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
            let several = first.len() < bytes.trim_ascii().len();
            if lines || (several && json::parse(first).is_ok_and(|value| value.is_object())) {
                load_lines(file.name, bytes, document, sources, report);
            } else {
                report.refuse_bytes(
                    file.name,
                    String::new(),
                    fault.to_string().into(),
                    std::str::from_utf8(bytes).ok(),
                );
            }
        }
    }
}

fn load_lines<'a>(file: &'a str, bytes: &'a [u8], document: usize, sources: &mut Vec<Source<'a>>, report: &mut Report) {
    for (position, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let prefix = format!("line {}: ", position + 1);
        match json::parse(line) {
            Ok(value) => load_value(file, &prefix, value, line, document, sources, report),
            Err(fault) => {
                let path = prefix.trim_end_matches(": ").to_owned();
                report.refuse_bytes(file, path, fault.to_string().into(), std::str::from_utf8(line).ok());
            }
        }
    }
}

fn load_value<'a>(
    file: &'a str,
    prefix: &str,
    value: Value,
    bytes: &'a [u8],
    document: usize,
    sources: &mut Vec<Source<'a>>,
    report: &mut Report,
) {
    let raw = std::str::from_utf8(bytes).expect("what was parsed as JSON is UTF-8");
    let mut refuse = |path: String, reason: &'static str| report.refuse_bytes(file, path, reason.into(), Some(raw));
    if !value.is_object() {
        return refuse(prefix.trim_end_matches(": ").to_owned(), "not a FHIR resource: not an object");
    }
    match value.get("resourceType").and_then(Value::as_str) {
        None => refuse(format!("{prefix}resourceType"), "not a FHIR resource: no resourceType"),
        Some("Bundle") => match candidates(prefix, &value, raw) {
            Err(broken) => refuse(broken.path, broken.reason),
            Ok((candidates, bare)) => {
                for (path, reason, entry) in bare {
                    report.refuse_bytes(file, path, reason.into(), Some(entry));
                }
                admit(file, candidates, document, sources, report);
            }
        },
        Some(name) => {
            // An unknown type's name is text of the source: it does not go into a path.
            let path = format!("{prefix}{}", kinds::kind(name).map_or("Resource", |(kind, _)| kind));
            admit(file, vec![Candidate { path, full_url: None, value, raw }], document, sources, report);
        }
    }
}

type Bare<'a> = (String, &'static str, &'a str);

/// The resources of a Bundle, and its entries without one.
fn candidates<'a>(prefix: &str, bundle: &Value, raw: &'a str) -> Result<(Vec<Candidate<'a>>, Vec<Bare<'a>>), Broken> {
    let broken = |path: String, reason| Err(Broken { path, reason });
    let (mut found, mut bare) = (Vec::new(), Vec::new());
    let history = bundle.get("type").and_then(Value::as_str) == Some("history");
    let Some(entries) = bundle.get("entry").filter(|entries| !entries.is_null()) else { return Ok((found, bare)) };
    let Some(entries) = entries.as_array() else { return broken(format!("{prefix}Bundle.entry"), NOT_LIST) };
    for (position, (entry, entry_raw)) in entries.iter().zip(json::slices(raw, "entry")).enumerate() {
        let path = format!("{prefix}Bundle.entry[{position}]");
        if !entry.is_object() {
            return broken(path, NOT_OBJECT);
        }
        let full_url = match entry.get("fullUrl") {
            None | Some(Value::Null) => None,
            Some(Value::String(url)) => Some(url.clone()),
            Some(_) => return broken(format!("{path}.fullUrl"), NOT_TEXT),
        };
        let method = entry.get("request").and_then(|request| request.get("method")).and_then(Value::as_str);
        let resource_raw = json::slice(entry_raw, "resource");
        match (entry.get("resource").filter(|resource| !resource.is_null()), resource_raw, method) {
            (None, ..) | (_, None, _) => bare.push((path, bare_reason(method), entry_raw)),
            (Some(_), _, Some("DELETE")) => bare.push((path, bare_reason(method), entry_raw)),
            (Some(_), _, Some("PATCH")) => bare.push((path, bare_reason(method), entry_raw)),
            (Some(resource), Some(raw), _) => {
                let path = format!("{path}.resource");
                if !resource.is_object() {
                    return broken(path, NOT_OBJECT);
                }
                match resource.get("resourceType") {
                    Some(Value::String(_)) => {}
                    Some(_) => return broken(format!("{path}.resourceType"), NOT_TEXT),
                    None => return broken(format!("{path}.resourceType"), MISSING),
                }
                found.push(Candidate { path, full_url, value: resource.clone(), raw });
            }
        }
    }
    if history { Ok((found, bare)) } else { unambiguous(found).map(|found| (found, bare)) }
}

const fn bare_reason(method: Option<&str>) -> &'static str {
    match method {
        Some(method) => match method.as_bytes() {
            b"DELETE" => "asks to delete: nothing is ever deleted by an import",
            b"PATCH" => "asks to change a part of a resource: only whole resources are read",
            b"GET" | b"HEAD" => "asks for an answer: an import only reads",
            _ => "an entry without a resource",
        },
        None => "an entry without a resource",
    }
}

/// Two unlike resources under one key: whatever refers to it could mean either. Versions of one (unlike meta.versionId) are
/// settled later, except for the patient, where a mistake would mix two people.
fn unambiguous(candidates: Vec<Candidate<'_>>) -> Result<Vec<Candidate<'_>>, Broken> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (position, candidate) in candidates.iter().enumerate() {
        let Some(key) = group(candidate) else { continue };
        let Some(first) = seen.insert(key, position) else { continue };
        let other = &candidates[first];
        let types = |candidate: &Candidate<'_>| candidate.value.get("resourceType").cloned();
        if other.value == candidate.value {
            continue;
        }
        if types(other) != types(candidate) {
            return Err(Broken {
                path: candidate.path.clone(),
                reason: "a second resource of another type under the same fullUrl",
            });
        }
        if types(candidate).as_ref().and_then(Value::as_str) == Some("Patient") {
            return Err(Broken {
                path: candidate.path.clone(),
                reason: "a second, different Patient of the same id in one Bundle",
            });
        }
    }
    Ok(candidates)
}

fn group(candidate: &Candidate<'_>) -> Option<String> {
    let id = candidate.value.get("id").and_then(Value::as_str);
    let kind = candidate.value.get("resourceType").and_then(Value::as_str).unwrap_or_default();
    match (&candidate.full_url, id) {
        (Some(url), _) => Some(Locator::without_version(url).to_owned()),
        (None, Some(id)) => Some(format!("{kind}/{id}")),
        (None, None) => None,
    }
}

/// Turns sound candidates into sources; lists the others one by one.
fn admit<'a>(
    file: &'a str,
    candidates: Vec<Candidate<'a>>,
    document: usize,
    sources: &mut Vec<Source<'a>>,
    report: &mut Report,
) {
    for candidate in candidates {
        let Candidate { path, full_url, value, raw } = candidate;
        let name = value.get("resourceType").and_then(Value::as_str).unwrap_or_default();
        let mut refuse = |path: String, reason: &'static str| report.refuse_bytes(file, path, reason.into(), Some(raw));
        let (kind, belongs) = match kinds::kind(name) {
            None => {
                refuse(format!("{path}.resourceType"), "FHIR R4 has no such type");
                continue;
            }
            Some((_, Belongs::Bundle)) => {
                refuse(path, "a Bundle within a Bundle");
                continue;
            }
            Some(found) => found,
        };
        let id = match value.get("id") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) if sound(id) => Some(id.as_str()),
            Some(_) => {
                refuse(format!("{path}.id"), "not an id");
                continue;
            }
        };
        let (key, base, full_url) = identity(kind, id, full_url.as_deref(), &value, raw);
        sources.push(Source { file, path, document, kind, belongs, key, base, full_url, value, raw });
    }
}

/// Wider than FHIR's id (real servers use underscores and more), but nothing that would change the meaning of a reference.
fn sound(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= 128
        && !id.contains(|c: char| c.is_whitespace() || c.is_control() || "/#?|".contains(c))
}

/// Key, server and normal fullUrl of a resource.
fn identity(
    kind: &'static str,
    id: Option<&str>,
    url: Option<&str>,
    value: &Value,
    raw: &str,
) -> (ResourceKey, Option<String>, Option<String>) {
    let located = url.map(Locator::of);
    let (typed_id, base) = match &located {
        Some(Locator::Typed { base, kind: named, id: named_id })
            if *named == kind && id.is_none_or(|id| id == *named_id) =>
        {
            (Some(*named_id), base.map(str::to_owned))
        }
        _ => (None, None),
    };
    let normal = url.map(|url| match &located {
        Some(Locator::Urn(urn)) => urn.clone(),
        _ => Locator::without_version(url).to_owned(),
    });
    let key = match (id.or(typed_id), &located) {
        (Some(id), _) => format!("{kind}/{id}"),
        (None, Some(Locator::Urn(urn))) => urn.clone(),
        (None, _) => first_identifier(kind, value)
            .unwrap_or_else(|| format!("{kind}#content-{}", uuid::Uuid::new_v5(&NAMESPACE, raw.as_bytes()))),
    };
    (ResourceKey::new(key), base, normal)
}

fn first_identifier(kind: &str, value: &Value) -> Option<String> {
    let identifiers = value.get("identifier")?.as_array()?;
    identifiers.iter().find_map(|identifier| {
        let (system, value) = (identifier.get("system")?.as_str()?, identifier.get("value")?.as_str()?);
        Some(format!("{kind}?identifier={system}|{value}"))
    })
}
