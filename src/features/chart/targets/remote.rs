//! What a success says: where each thing is held, and in which version. A transaction says it of each entry, and not every entry of an
//! answer that says 200 was done: some servers run a transaction as a batch.

use ::http::header::{ETAG, HeaderName, LOCATION};
use serde_json::Value;

use super::http::Answer;
use super::outcome::{issues, tidy};
use super::{Outcome, Remote};

/// `Content-Location`.
pub(super) const CONTENT_LOCATION: HeaderName = ::http::header::CONTENT_LOCATION;

/// A thing we sent: its type, our id, and what it is searched by.
pub(super) struct Sent {
    /// Its type.
    pub kind: String,
    /// Our id.
    pub id: String,
    /// `identifier=…`, if it has one.
    pub search: Option<String>,
}

/// A thing that was sent: by its first identifier, or by the id we gave it.
pub(super) fn sent(resource: &Value) -> Option<Sent> {
    let kind = resource["resourceType"].as_str()?.to_owned();
    let identifier = &resource["identifier"];
    let first = if identifier.is_array() { &identifier[0] } else { identifier };
    // What others know a practitioner by comes before our id.
    let last = identifier.as_array().and_then(|all| all.last()).filter(|_| kind == "Practitioner");
    if let (Some(system), Some(value)) = (first["system"].as_str(), first["value"].as_str()) {
        let id = last.and_then(|last| last["value"].as_str()).unwrap_or(value).to_owned();
        return Some(Sent { kind, id, search: Some(super::search::identified(system, value)) });
    }
    Some(Sent { kind, id: resource["id"].as_str()?.to_owned(), search: None })
}

/// `Type/id` and the version of a URL such as `https://chart/fhir/Task/7/_history/2`.
pub(super) fn located(url: &str) -> Option<(String, Option<String>)> {
    let parts: Vec<&str> = url.split('/').collect();
    let (place, version) = match parts.iter().rposition(|part| *part == "_history") {
        Some(at) => (&parts[..at], parts.get(at + 1).map(|version| format!("W/\"{version}\""))),
        None => (&parts[..], None),
    };
    let [.., kind, id] = place else { return None };
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let is = kind.starts_with(|c: char| c.is_ascii_uppercase())
        && kind.chars().all(|c| c.is_ascii_alphanumeric())
        && (1..=64).contains(&id.len())
        && id.chars().all(good);
    is.then(|| (format!("{kind}/{id}"), version))
}

/// Where a single thing is held, as far as the answer says it: by its headers, else by the resource in it.
pub(super) fn single(answer: &Answer, id: &str) -> Option<Remote> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let header = [LOCATION, CONTENT_LOCATION].iter().find_map(|name| located(answer.header(name)?));
    let (location, version) = header.or_else(|| held(&body))?;
    let etag = answer.header(&ETAG).map(str::to_owned).or(version).or_else(|| version_of(&body));
    Some(Remote { id: id.to_owned(), location, etag })
}

/// Where the server holds a resource that it gives.
pub(super) fn held(resource: &Value) -> Option<(String, Option<String>)> {
    let (kind, id) = (resource["resourceType"].as_str()?, resource["id"].as_str()?);
    // An answer about a resource is none, nor is a page of a search; a document is one.
    let other = kind == "OperationOutcome" || (kind == "Bundle" && resource["type"] != "document");
    let (location, _) = located(&format!("{kind}/{id}")).filter(|_| !other)?;
    Some((location, version_of(resource)))
}

fn version_of(resource: &Value) -> Option<String> {
    Some(format!("W/\"{}\"", resource["meta"]["versionId"].as_str()?))
}

/// What became of each entry.
pub(super) struct Entries {
    /// Where what was done is held; none where the answer does not say.
    pub remote: Vec<Option<Remote>>,
    /// The gravest of what was not done.
    pub failed: Option<Outcome>,
}

/// Reads the answer to a Bundle of these things. None where it is no such answer.
pub(super) fn entries(answer: &Answer, sent: &[Option<Sent>]) -> Option<Entries> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    let told = body["type"].as_str().is_some_and(|kind| kind == "transaction-response" || kind == "batch-response");
    let responses = body["entry"].as_array().filter(|responses| told && responses.len() == sent.len())?;
    let (mut remote, mut failed) = (Vec::new(), Vec::new());
    for (place, (entry, sent)) in responses.iter().zip(sent).enumerate() {
        let response = &entry["response"];
        let status = response["status"].as_str().and_then(|status| status.split(' ').next()?.parse::<u16>().ok());
        if let Some(200..=299) = status {
            remote.push(sent.as_ref().and_then(|sent| of_entry(entry, &sent.id)));
            continue;
        }
        remote.push(None);
        let said = issues(&response["outcome"]).join("; ");
        let words = format!("Bundle.entry[{place}]: HTTP {}: {said}", status.unwrap_or(0));
        failed.push(by_status(status.unwrap_or(500), tidy(&words, 2000)));
    }
    failed.sort_by_key(gravity);
    Some(Entries { remote, failed: failed.pop() })
}

fn of_entry(entry: &Value, id: &str) -> Option<Remote> {
    let response = &entry["response"];
    let said = response["location"].as_str().and_then(located).or_else(|| held(&entry["resource"]))?;
    let (location, version) = said;
    let etag = response["etag"].as_str().map(str::to_owned).or(version).or_else(|| version_of(&entry["resource"]));
    Some(Remote { id: id.to_owned(), location, etag })
}

/// The outcomes of fhir-mapping section 6 for an answer that is no success.
pub(super) fn by_status(status: u16, words: String) -> Outcome {
    match status {
        401 => Outcome::stopped("unauthorized", words),
        403 => Outcome::stopped("forbidden", words),
        409 | 412 => Outcome::Refetch { words },
        413 => Outcome::TooLarge,
        // 408 Request Timeout and 425 Too Early ask for a repeat as 429 does.
        408 | 425 | 429 | 500..=599 => Outcome::again(words),
        405 => Outcome::stopped("unsupported", words),
        _ => Outcome::stopped("refused", words),
    }
}

/// What must be settled first: a refusal before a conflict before a wait.
const fn gravity(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Done { .. } => 0,
        Outcome::Held { .. } => 1,
        Outcome::Again { .. } => 2,
        Outcome::Refetch { .. } => 3,
        Outcome::TooLarge => 4,
        Outcome::Stopped { .. } => 5,
    }
}
