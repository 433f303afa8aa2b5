//! Requests to a FHIR server or its token endpoint, and their answers, bounded in size and time. No proxy of the environment, no
//! redirect: where a request goes is what the site configured.

use std::path::PathBuf;
use std::time::Duration;

use ::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ::http::{Method, Uri};
use tokio::sync::OnceCell;

use super::trust;
use crate::kernel::base::{Micros, Secret, World};

/// Bytes of one answer: a page of a search, or what became of each entry of a transaction.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(10);
/// A receiver that asks for more time than a day is asked after a day.
const RETRY_AFTER_MAX: u64 = 86_400;

/// The way to one server.
pub(super) struct Line {
    ca_file: Option<PathBuf>,
    timeout: Duration,
    client: OnceCell<reqwest::Client>,
}

/// One request.
pub(super) struct Request<'a> {
    pub method: Method,
    pub url: String,
    pub headers: Vec<(HeaderName, &'a str)>,
    pub bearer: Option<&'a Secret<String>>,
    pub body: Option<Vec<u8>>,
}

/// What came back, whole.
pub(super) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Why nothing came back.
pub(super) enum Broken {
    /// A setting is wrong: no use in trying again.
    Setting(String),
    /// The connection was not made, or ended before the answer did; why, in our words.
    Lost(String),
}

impl Line {
    pub(super) const fn new(ca_file: Option<PathBuf>, timeout: Duration) -> Self {
        Self { ca_file, timeout, client: OnceCell::const_new() }
    }

    async fn client(&self) -> Result<&reqwest::Client, Broken> {
        let make = || async {
            let tls = trust::client(self.ca_file.as_deref(), None).map_err(Broken::Setting)?;
            let builder = reqwest::Client::builder()
                .tls_backend_preconfigured(tls)
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT)
                .timeout(self.timeout)
                .user_agent(concat!("carethread/", env!("CARGO_PKG_VERSION")));
            builder.build().map_err(|_| Broken::Setting("The connection cannot be set up.".into()))
        };
        self.client.get_or_try_init(make).await
    }

    /// Asks once.
    pub(super) async fn ask(&self, request: &Request<'_>) -> Result<Answer, Broken> {
        let mut asked = self.client().await?.request(request.method.clone(), &request.url);
        for (name, value) in &request.headers {
            asked = asked.header(name, *value);
        }
        if let Some(bearer) = request.bearer {
            let value = HeaderValue::from_str(&format!("Bearer {}", bearer.expose()));
            let mut value = value.map_err(|_| Broken::Setting("The token is no text that a header holds.".into()))?;
            value.set_sensitive(true);
            asked = asked.header(header::AUTHORIZATION, value);
        }
        if let Some(body) = &request.body {
            asked = asked.body(body.clone());
        }
        let mut answer = asked.send().await.map_err(|error| broken(&error))?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| broken(&error))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Broken::Lost("The answer is larger than 32 MiB.".into()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body })
    }
}

/// In our words: those of the library hold the URL, and a URL may name a patient.
fn broken(error: &reqwest::Error) -> Broken {
    if error.is_builder() {
        return Broken::Setting("The request cannot be made of these settings.".into());
    }
    if let Some(words) = std::error::Error::source(error).and_then(trust::refused) {
        return Broken::Lost(words);
    }
    Broken::Lost(match () {
        () if error.is_timeout() => "There was no answer in time.".into(),
        () if error.is_connect() => "There is no connection to the receiver.".into(),
        () => "The connection ended before the answer did.".into(),
    })
}

impl Answer {
    /// A header's text.
    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// `Retry-After` in seconds or as a date (RFC 9110 section 10.2.3).
    pub(super) fn retry_after(&self, world: &World) -> Option<Duration> {
        let text = self.header(&header::RETRY_AFTER)?.trim();
        let seconds = match text.parse::<u64>() {
            Ok(seconds) => seconds,
            Err(_) => {
                let at: Micros = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_microsecond();
                u64::try_from((at - world.now()) / 1_000_000).unwrap_or(0)
            }
        };
        Some(Duration::from_secs(seconds.min(RETRY_AFTER_MAX)))
    }
}

/// Whether a URL that a server gave leads to the same scheme, host and port as the one that was configured.
pub(super) fn same_origin(configured: &str, given: &str) -> bool {
    let origin = |text: &str| {
        let url: Uri = text.parse().ok()?;
        let scheme = url.scheme_str()?.to_owned();
        let port = url.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        let plain = url.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        plain.then_some((scheme, url.host()?.to_ascii_lowercase(), port))
    };
    origin(configured).is_some_and(|wanted| origin(given) == Some(wanted))
}
