//! A FHIR R4 server: one request and what came of it (FHIR R4, "RESTful API"), fhir-mapping section 6.

use std::time::Duration;

use ::http::Method;
use ::http::header::{ACCEPT, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH};
use serde_json::Value;

use super::http::{Answer, Line, Request, same_origin};
use super::outcome::words;
use super::remote::{CONTENT_LOCATION, Sent, by_status, entries, held, sent, single};
use super::smart::{Tokens, unreached};
use super::{Outcome, Parcel, ParcelKind, Remote};
use crate::kernel::base::World;
use crate::kernel::base::config::targets::{FhirTarget, Sign};

/// What FHIR is written in.
const FHIR_JSON: &str = "application/fhir+json";
const IF_NONE_EXIST: HeaderName = HeaderName::from_static("if-none-exist");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// What a server says it can (CapabilityStatement.rest).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// It takes transactions.
    pub transaction: bool,
    /// It takes batches.
    pub batch: bool,
}

/// A server with the token in use.
pub(super) struct Server {
    pub settings: FhirTarget,
    pub world: World,
    line: Line,
    tokens: Tokens,
}

impl Server {
    pub(super) fn new(settings: FhirTarget, world: World) -> Self {
        let timeout = Duration::from_secs(u64::from(settings.timeout_seconds));
        let line = Line::new(settings.ca_file.clone(), timeout);
        Self { settings, world, line, tokens: Tokens::default() }
    }

    /// The URL of something behind the base.
    pub(super) fn url(&self, path: &str) -> String {
        let base = self.settings.url.trim_end_matches('/');
        if path.is_empty() || path == "/" {
            base.to_owned()
        } else {
            format!("{base}/{}", path.trim_start_matches('/'))
        }
    }

    /// Asks with the token in use; where it is not taken, once more with a new one.
    async fn ask(
        &self,
        method: &Method,
        url: &str,
        headers: &[(HeaderName, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, Outcome> {
        let mut again = false;
        loop {
            let bearer = self.tokens.bearer(&self.settings, &self.line, &self.world, again).await?;
            let request = Request {
                method: method.clone(),
                url: url.to_owned(),
                headers: headers.to_vec(),
                bearer: bearer.as_ref(),
                body: body.map(<[u8]>::to_vec),
            };
            let answer = self.line.ask(&request).await.map_err(unreached)?;
            if answer.status != 401 || again || self.settings.auth == Sign::None {
                return Ok(answer);
            }
            again = true;
        }
    }

    /// Reads something of this server.
    pub(super) async fn get(&self, url: &str) -> Result<Answer, Outcome> {
        if !same_origin(&self.settings.url, url) {
            return Err(Outcome::stopped("refused", "The server leads to another one, which is not asked."));
        }
        self.ask(&Method::GET, url, &[(ACCEPT, FHIR_JSON)], None).await
    }

    /// Reads JSON of this server.
    pub(super) async fn get_json(&self, url: &str) -> Result<Value, Outcome> {
        let answer = self.get(url).await?;
        if answer.status != 200 {
            return Err(self.refused(&answer));
        }
        serde_json::from_slice(&answer.body).map_err(|_| Outcome::again("The answer is not JSON."))
    }

    /// What is held at a place, and its version.
    pub(super) async fn read(&self, location: &str) -> Result<Option<(Value, Option<String>)>, Outcome> {
        let answer = self.get(&self.url(location)).await?;
        if matches!(answer.status, 404 | 410) {
            return Ok(None);
        }
        if answer.status != 200 {
            return Err(self.refused(&answer));
        }
        let resource: Value =
            serde_json::from_slice(&answer.body).map_err(|_| Outcome::again("The answer is not JSON."))?;
        let version = held(&resource).and_then(|(_, version)| version);
        let etag = answer.header(&ETAG).map(str::to_owned).or(version);
        Ok(Some((resource, etag)))
    }

    /// What an answer that is no success comes to.
    pub(super) fn refused(&self, answer: &Answer) -> Outcome {
        match by_status(answer.status, words(answer)) {
            Outcome::Again { words, .. } => Outcome::Again { after: answer.retry_after(&self.world), words },
            other => other,
        }
    }

    pub(super) async fn send(&self, parcel: &Parcel) -> Outcome {
        match self.try_send(parcel).await {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }

    async fn try_send(&self, parcel: &Parcel) -> Result<Outcome, Outcome> {
        let ParcelKind::Fhir { method, path, if_none_exist, if_match } = &parcel.kind else {
            return Err(Outcome::stopped("unsupported", super::MISPLACED));
        };
        let method: Method = method.parse().map_err(|_| Outcome::stopped("unsupported", super::MISPLACED))?;
        let mut headers = vec![(CONTENT_TYPE, FHIR_JSON), (ACCEPT, FHIR_JSON), (PREFER, "return=minimal")];
        headers.extend(if_none_exist.as_deref().map(|value| (IF_NONE_EXIST, value)));
        headers.extend(if_match.as_deref().map(|value| (IF_MATCH, value)));
        let answer = self.ask(&method, &self.url(path), &headers, Some(&parcel.bytes)).await?;
        self.judge(parcel, &answer).await
    }

    /// Asks again for what is held for review.
    pub(super) async fn poll(&self, parcel: &Parcel, poll: &str) -> Outcome {
        let judged = async {
            let answer = self.get(poll).await?;
            // A search instead of a place to ask: it is there once it is found.
            let found: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            if answer.status == 200 && found["type"] == "searchset" {
                let hit = found["entry"].as_array().and_then(|hits| held(&hits.first()?["resource"]));
                return Ok(match (hit, sent_single(parcel)) {
                    (Some((location, etag)), Some(sent)) => done(vec![Remote { id: sent.id, location, etag }], &answer),
                    _ => Outcome::Held { poll: poll.to_owned(), after: answer.retry_after(&self.world) },
                });
            }
            if answer.status == 202 {
                return Ok(Outcome::Held { poll: poll.to_owned(), after: answer.retry_after(&self.world) });
            }
            self.judge(parcel, &answer).await
        };
        match judged.await {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }

    async fn judge(&self, parcel: &Parcel, answer: &Answer) -> Result<Outcome, Outcome> {
        match answer.status {
            202 => Ok(self.held(parcel, answer)),
            200 | 201 | 204 => match bundle(parcel) {
                Some(sent) => self.bundle_done(&sent, answer).await,
                None => self.single_done(parcel, answer).await,
            },
            300..=399 => Err(Outcome::stopped("refused", format!("{}: redirects are not followed", words(answer)))),
            _ => Err(self.refused(answer)),
        }
    }

    /// Where to ask whether it went through review: where the server says, else by its identifier.
    fn held(&self, parcel: &Parcel, answer: &Answer) -> Outcome {
        let said = answer
            .header(&CONTENT_LOCATION)
            .map(|place| if place.contains("://") { place.to_owned() } else { self.absolute(place) });
        let search = || {
            let sent = sent_single(parcel)?;
            Some(self.url(&format!("{}?{}", sent.kind, sent.search?)))
        };
        match said.or_else(search) {
            Some(poll) => Outcome::Held { poll, after: answer.retry_after(&self.world) },
            None => Outcome::again("Held for review, and the server does not say where to ask."),
        }
    }

    /// A path that a server gave: from its root, or from the base.
    fn absolute(&self, place: &str) -> String {
        if !place.starts_with('/') {
            return self.url(place);
        }
        let url: Option<::http::Uri> = self.settings.url.parse().ok();
        let authority = url.as_ref().and_then(::http::Uri::authority).map(::http::uri::Authority::as_str);
        let scheme = url.as_ref().and_then(::http::Uri::scheme_str).unwrap_or("https");
        format!("{scheme}://{}{place}", authority.unwrap_or_default())
    }

    async fn single_done(&self, parcel: &Parcel, answer: &Answer) -> Result<Outcome, Outcome> {
        let Some(sent) = sent_single(parcel) else { return Ok(done(Vec::new(), answer)) };
        if let Some(remote) = single(answer, &sent.id) {
            return Ok(done(vec![remote], answer));
        }
        let found = self.look(&sent).await?;
        Ok(done(found.into_iter().collect(), answer))
    }

    async fn bundle_done(&self, sent: &[Option<Sent>], answer: &Answer) -> Result<Outcome, Outcome> {
        let Some(told) = entries(answer, sent) else {
            // It was done or it was not: what is there says so.
            let mut remote = Vec::new();
            for sent in sent.iter().flatten() {
                match self.look(sent).await? {
                    Some(found) => remote.push(found),
                    None => return Err(Outcome::again("The answer does not say what became of each entry.")),
                }
            }
            return Ok(done(remote, answer));
        };
        if let Some(failed) = told.failed {
            return Err(match failed {
                Outcome::Again { words, .. } => Outcome::Again { after: answer.retry_after(&self.world), words },
                other => other,
            });
        }
        let mut remote = Vec::new();
        for (told, sent) in told.remote.into_iter().zip(sent) {
            match (told, sent) {
                (Some(told), _) => remote.push(told),
                (None, Some(sent)) => remote.extend(self.look(sent).await?),
                (None, None) => {}
            }
        }
        Ok(done(remote, answer))
    }

    async fn look(&self, sent: &Sent) -> Result<Option<Remote>, Outcome> {
        match &sent.search {
            Some(search) => self.read_back(&sent.kind, search, &sent.id).await,
            None => Ok(None),
        }
    }

    /// Where the server holds what is found by a search for our identifier; several hits are a conflict for a person to see.
    pub(super) async fn read_back(&self, kind: &str, search: &str, id: &str) -> Result<Option<Remote>, Outcome> {
        let found = self.get_json(&self.url(&format!("{kind}?{search}"))).await?;
        let hits = found["entry"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut hits = hits.iter().map(|hit| &hit["resource"]).filter(|hit| hit["resourceType"] == kind);
        let (first, second) = (hits.next(), hits.next());
        if second.is_some() {
            return Err(Outcome::stopped("conflict", "The server holds several resources with this identifier."));
        }
        let place = first.and_then(held);
        Ok(place.map(|(location, etag)| Remote { id: id.to_owned(), location, etag }))
    }

    /// What the server says it can; nothing where it does not say.
    pub(super) async fn capabilities(&self) -> Result<Capabilities, Outcome> {
        let statement = match self.get_json(&self.url("metadata")).await {
            Ok(statement) => statement,
            Err(Outcome::Stopped { code, .. }) if code == "refused" || code == "unsupported" => Value::Null,
            Err(outcome) => return Err(outcome),
        };
        let rest = statement["rest"].as_array().map(Vec::as_slice).unwrap_or_default();
        let interactions: Vec<&Value> =
            rest.iter().filter_map(|rest| rest["interaction"].as_array()).flatten().collect();
        let can = |code: &str| interactions.iter().any(|interaction| interaction["code"] == code);
        Ok(Capabilities { transaction: can("transaction"), batch: can("batch") })
    }
}

fn done(remote: Vec<Remote>, answer: &Answer) -> Outcome {
    Outcome::Done { remote, words: words(answer) }
}

/// The one thing of a parcel.
fn sent_single(parcel: &Parcel) -> Option<Sent> {
    sent(&serde_json::from_slice(&parcel.bytes).ok()?)
}

/// The things of a Bundle that is posted to the base; none for a single thing, a document among them.
fn bundle(parcel: &Parcel) -> Option<Vec<Option<Sent>>> {
    let ParcelKind::Fhir { path, .. } = &parcel.kind else { return None };
    let body: Value = serde_json::from_slice(&parcel.bytes).ok().filter(|_| path.trim_matches('/').is_empty())?;
    Some(body["entry"].as_array()?.iter().map(|entry| sent(&entry["resource"])).collect())
}
