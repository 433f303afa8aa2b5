//! The certificate: how long it is valid, for which names, whether its key belongs to it and to nobody else.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;

use super::Patient;
use super::check::Check;
use crate::interfaces::certificate::{self, Said};
use crate::interfaces::tls::Files;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{Micros, World};

const NAME: &str = "certificate";
const DAY: Micros = 86_400_000_000;
/// Time to renew.
const SOON: Micros = 30 * DAY;
const RENEW: &str =
    "Renew it and send the server HUP; a made one: move tls/ away and start again, clients pin the new one";

/// What the server offers, or would.
pub fn certificate(patient: &Patient) -> Check {
    let config = &patient.config;
    let (files, made) = match (&config.tls.certificate, &config.tls.key) {
        (Some(certificate), Some(key)) => (Files { certificate: certificate.clone(), key: key.clone() }, false),
        _ => (Files::of_folder(patient.folder.path()), true),
    };
    let missing = !files.certificate.exists() && !files.key.exists();
    if made && missing {
        return Check::warning(NAME, "There is none yet", "Nothing: the next start makes one");
    }
    let identity = match files.load().and_then(|identity| identity.config().map(|_| identity)) {
        Ok(identity) => identity,
        Err(error) => {
            return Check::problem(NAME, error.to_string(), "Put a PEM chain and the key that belongs to it there");
        }
    };
    let mode = fs::metadata(&files.key).map_or(0, |key| key.permissions().mode() & 0o777);
    let open = if made { mode & 0o077 } else { mode & 0o007 };
    if open != 0 {
        let key = files.key.display();
        return Check::problem(
            NAME,
            format!("{key} has mode {mode:04o}: others can read the key"),
            format!("chmod 0600 {key}"),
        );
    }
    let Some(said) = certificate::read(identity.certificate()) else {
        return Check::warning(NAME, "Its dates and names cannot be read", "Look with openssl x509 -text");
    };
    let host = patient.server.as_ref().and_then(|server| host(&server.url).map(|host| (host, server.address.ip())));
    judged(&said, World::system().now(), made, host, &identity.fingerprint())
}

/// The host of `https://HOST:PORT`.
fn host(url: &str) -> Option<String> {
    Some(url.strip_prefix("https://")?.rsplit_once(':')?.0.to_owned())
}

fn judged(said: &Said, now: Micros, made: bool, host: Option<(String, IpAddr)>, fingerprint: &str) -> Check {
    let (until, names) = (rfc3339(said.until), said.all_names());
    if now >= said.until {
        return Check::problem(NAME, format!("It expired on {until}: clients refuse it"), RENEW);
    }
    if now < said.from {
        let found = format!("It is valid from {} only: clients refuse it", rfc3339(said.from));
        return Check::problem(NAME, found, "Is the clock right? Else wait, or use another one");
    }
    if said.until - now < SOON {
        return Check::warning(NAME, format!("It expires in {} days, on {until}", (said.until - now) / DAY), RENEW);
    }
    if let Some((host, address)) = &host {
        if !address.is_unspecified() && !said.covers(host) {
            let found = format!("It is for {names}, and the server listens as {host}: clients refuse it");
            return Check::warning(NAME, found, "Use a certificate for that name, or listen by a name it has");
        }
        if said.self_signed && !address.is_loopback() {
            let found = format!("It is signed by itself: every client must pin {fingerprint}, and browsers warn");
            return Check::warning(NAME, found, "Name one that clients trust: [tls] certificate and key");
        }
    }
    let kind = if made { "made by the program, to be pinned" } else { "configured" };
    Check::ok(NAME, format!("valid until {until} for {names}; {kind}; SHA-256 {fingerprint}"))
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    #[test]
    fn it_is_judged_by_its_dates_and_names() {
        let said = Said {
            from: 10 * DAY,
            until: 100 * DAY,
            names: vec!["chat.example.org".into()],
            addresses: Vec::new(),
            self_signed: false,
        };
        let state = |now, host: Option<(&str, &str)>| {
            let host = host.map(|(host, address)| (host.to_owned(), address.parse().unwrap()));
            judged(&said, now, false, host, "ab").state
        };
        assert_eq!(state(9 * DAY, None), State::Problem);
        assert_eq!(state(11 * DAY, None), State::Ok);
        assert_eq!(state(11 * DAY, Some(("chat.example.org", "192.0.2.7"))), State::Ok);
        assert_eq!(state(11 * DAY, Some(("0.0.0.0", "0.0.0.0"))), State::Ok);
        assert_eq!(state(11 * DAY, Some(("other.example.org", "192.0.2.7"))), State::Warning);
        assert_eq!(state(71 * DAY, None), State::Warning);
        assert_eq!(state(100 * DAY, None), State::Problem);
        let made = Said { self_signed: true, names: vec!["localhost".into()], ..said.clone() };
        let of_made = |host: &str, address: &str| {
            judged(&made, 11 * DAY, true, Some((host.to_owned(), address.parse().unwrap())), "ab").state
        };
        assert_eq!((of_made("localhost", "127.0.0.1"), of_made("0.0.0.0", "0.0.0.0")), (State::Ok, State::Warning));
        assert_eq!(host("https://[::1]:8443").as_deref(), Some("[::1]"));
    }
}
