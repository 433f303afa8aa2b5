//! Who we are to a FHIR server: a bearer token of the site's, or SMART Backend Services (SMART App Launch 2, "Backend Services").
//! Assertions are ES384, or RS384 where the key of the target is an RSA key: for servers that take nothing else.
//! Invariants: a token lives in zeroizing memory, 60 seconds less than the server says; each assertion has a `jti` of its own and names
//! exactly the URL it is sent to; its key is read anew and is not the key that signs documents.

use std::time::Duration;

use ::http::Method;
use ::http::header::{ACCEPT, CONTENT_TYPE};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::Outcome;
use super::http::{Broken, Line, Request};
use super::outcome::tidy;
use crate::kernel::base::config::targets::{FhirTarget, Sign, Target, Targets, is_loopback};
use crate::kernel::base::{Micros, Secret, World};
use crate::kernel::crypto::{ClientKey, base64_url};

/// How long an assertion counts; five minutes is the most.
const ASSERTION_SECONDS: i64 = 240;
/// A token is given up this long before it ends.
const SPARE: Micros = 60_000_000;
/// A server that does not say how long a token counts is asked again after this.
const UNSAID_SECONDS: i64 = 300;
/// Bytes of a file that holds a token or a key.
const SECRET_BYTES_MAX: u64 = 64 << 10;
/// What an assertion is (RFC 7523 section 2.2).
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The token in use.
#[derive(Default)]
pub(super) struct Tokens(Mutex<Option<Held>>);

struct Held {
    token: Secret<String>,
    /// Not used from then on.
    until: Micros,
}

impl Tokens {
    /// The token to send, if any; `again` gives up the one in use, which the server did not take.
    pub(super) async fn bearer(
        &self,
        settings: &FhirTarget,
        line: &Line,
        world: &World,
        again: bool,
    ) -> Result<Option<Secret<String>>, Outcome> {
        match settings.auth {
            Sign::None => Ok(None),
            Sign::Bearer => {
                let token = secret(settings.token_file.as_deref(), settings.token_env.as_deref(), "token").await?;
                Ok(Some(Secret::new(token.trim().to_owned())))
            }
            Sign::Smart => {
                let mut held = self.0.lock().await;
                if let Some(held) = held.as_ref().filter(|held| !again && world.now() < held.until) {
                    return Ok(Some(held.token.clone()));
                }
                let new = ask(settings, line, world).await?;
                let token = new.token.clone();
                *held = Some(new);
                Ok(Some(token))
            }
        }
    }
}

/// A secret of a file or a variable, read at each use so that a new one counts at once.
async fn secret(
    file: Option<&std::path::Path>,
    variable: Option<&str>,
    name: &str,
) -> Result<Zeroizing<String>, Outcome> {
    let missing = || Outcome::stopped("misconfigured", format!("The {name} of this target cannot be read."));
    if let Some(path) = file {
        let length = tokio::fs::metadata(path).await.map_err(|_| missing())?.len();
        if length > SECRET_BYTES_MAX {
            return Err(missing());
        }
        return tokio::fs::read_to_string(path).await.map(Zeroizing::new).map_err(|_| missing());
    }
    variable.and_then(|name| std::env::var(name).ok()).map(Zeroizing::new).ok_or_else(missing)
}

async fn key(settings: &FhirTarget) -> Result<ClientKey, Outcome> {
    let pem = secret(settings.key_file.as_deref(), settings.key_env.as_deref(), "key").await?;
    let wrong = || {
        let words = "The key of this target is neither a P-384 nor an RSA key (2048 to 4096 bits) in PEM (PKCS #8).";
        Outcome::stopped("misconfigured", words)
    };
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| wrong())?;
    ClientKey::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| wrong())
}

/// The public keys that assertions of these targets are checked with, for our JWKS.
pub async fn public_keys(targets: &Targets) -> Vec<Value> {
    let mut keys: Vec<Value> = Vec::new();
    for target in targets.values() {
        let Target::Fhir(settings) = target else { continue };
        if settings.auth != Sign::Smart {
            continue;
        }
        // A key that cannot be read is told where it is used.
        if let Ok(key) = key(settings).await
            && !keys.contains(&key.jwk())
        {
            keys.push(key.jwk());
        }
    }
    keys
}

/// Asks the authorization server for a token.
async fn ask(settings: &FhirTarget, line: &Line, world: &World) -> Result<Held, Outcome> {
    let Endpoint { url, algorithms } = match &settings.token_url {
        Some(url) => Endpoint { url: url.clone(), algorithms: Vec::new() },
        None => discovered(settings, line).await?,
    };
    let key = key(settings).await?;
    suits(&key, &algorithms)?;
    let client = settings.client_id.as_deref().unwrap_or_default();
    let assertion = assertion(&key, client, &url, world)?;
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", ASSERTION),
        ("client_assertion", assertion.as_str()),
        ("scope", &settings.scopes.join(" ")),
    ];
    let asked = world.now();
    let request = Request {
        method: Method::POST,
        url,
        headers: vec![(CONTENT_TYPE, "application/x-www-form-urlencoded"), (ACCEPT, "application/json")],
        bearer: None,
        body: Some(encoded(&form).into_bytes()),
    };
    let answer = line.ask(&request).await.map_err(unreached)?;
    let body = Zeroizing::new(String::from_utf8_lossy(&answer.body).into_owned());
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    if answer.status != 200 {
        let told = [&body["error"], &body["error_description"]].into_iter().filter_map(Value::as_str);
        let told = tidy(&told.collect::<Vec<_>>().join(": "), 500);
        let words = format!("No token: HTTP {} {told}", answer.status);
        return Err(match answer.status {
            429 | 500..=599 => Outcome::Again { after: answer.retry_after(world), words },
            _ => Outcome::stopped("unauthorized", words),
        });
    }
    let kind = body["token_type"].as_str().unwrap_or_default();
    let token = body["access_token"].as_str().filter(|_| kind.eq_ignore_ascii_case("bearer"));
    let token = token.ok_or_else(|| Outcome::stopped("unauthorized", "The token server gave no bearer token."))?;
    let seconds = body["expires_in"].as_i64().unwrap_or(UNSAID_SECONDS).clamp(0, 86_400);
    Ok(Held { token: Secret::new(token.to_owned()), until: asked + seconds * 1_000_000 - SPARE })
}

/// Where tokens are given.
struct Endpoint {
    url: String,
    /// What assertions may be signed with; nothing is said if empty.
    algorithms: Vec<String>,
}

/// Refuses a key whose signatures the server says it does not take.
fn suits(key: &ClientKey, algorithms: &[String]) -> Result<(), Outcome> {
    if algorithms.is_empty() || algorithms.iter().any(|algorithm| algorithm == key.algorithm()) {
        return Ok(());
    }
    let takes = |algorithm: &str| algorithms.iter().any(|one| one == algorithm);
    let words = match key {
        ClientKey::Curve(_) if takes("RS384") => {
            "The server takes RS384, not ES384: give this target an RSA key (2048 to 4096 bits, PKCS #8)."
        }
        ClientKey::Rsa(_) if takes("ES384") => {
            "The server takes ES384, not RS384: give this target a P-384 key (PKCS #8)."
        }
        _ => "The server takes neither ES384 nor RS384, and there is nothing else to sign with.",
    };
    Err(Outcome::stopped("misconfigured", words))
}

/// Where the server says that tokens are given, and for what.
async fn discovered(settings: &FhirTarget, line: &Line) -> Result<Endpoint, Outcome> {
    let url = format!("{}/.well-known/smart-configuration", settings.url.trim_end_matches('/'));
    let request =
        Request { method: Method::GET, url, headers: vec![(ACCEPT, "application/json")], bearer: None, body: None };
    let answer = line.ask(&request).await.map_err(unreached)?;
    if answer.status >= 500 {
        return Err(Outcome::again(format!("No SMART configuration: HTTP {}", answer.status)));
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let safe = |url: &&str| {
        let parsed: Option<::http::Uri> = url.parse().ok();
        parsed.is_some_and(|parsed| match (parsed.scheme_str(), parsed.host()) {
            (Some("https"), Some(_)) => true,
            (Some("http"), Some(host)) => is_loopback(host),
            _ => false,
        })
    };
    let url = body["token_endpoint"].as_str().filter(|_| answer.status == 200).filter(safe);
    let url = url.map(str::to_owned).ok_or_else(|| {
        Outcome::stopped("unauthorized", "The server does not say where tokens are given; set token_url.")
    })?;
    let said = body["token_endpoint_auth_signing_alg_values_supported"].as_array().into_iter().flatten();
    let algorithms = said.filter_map(Value::as_str).map(str::to_owned).collect();
    Ok(Endpoint { url, algorithms })
}

/// A signed assertion (RFC 7523 section 3).
fn assertion(key: &ClientKey, client: &str, url: &str, world: &World) -> Result<Zeroizing<String>, Outcome> {
    let header = json!({ "alg": key.algorithm(), "typ": "JWT", "kid": key.jwk()["kid"] });
    let now = world.now() / 1_000_000;
    let claims = json!({
        "iss": client, "sub": client, "aud": url, "jti": world.id(), "iat": now, "exp": now + ASSERTION_SECONDS
    });
    let signed = [header, claims].map(|part| base64_url(part.to_string().as_bytes())).join(".");
    let signature = key.sign(signed.as_bytes());
    let signature = signature.map_err(|_| Outcome::again("An assertion could not be signed."))?;
    Ok(Zeroizing::new(format!("{signed}.{}", base64_url(&signature))))
}

/// A form as WHATWG's URL standard writes it, section 5.2.
fn encoded(form: &[(&str, &str)]) -> String {
    let part = |text: &str| {
        let mut encoded = String::new();
        for byte in text.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => encoded.push(char::from(byte)),
                b' ' => encoded.push('+'),
                other => encoded.push_str(&format!("%{other:02X}")),
            }
        }
        encoded
    };
    form.iter().map(|(name, value)| format!("{}={}", part(name), part(value))).collect::<Vec<_>>().join("&")
}

/// As an outcome.
pub(super) fn unreached(broken: Broken) -> Outcome {
    match broken {
        Broken::Setting(words) => Outcome::stopped("misconfigured", words),
        Broken::Lost(words) => Outcome::Again { after: None::<Duration>, words },
    }
}
