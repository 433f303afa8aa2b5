//! What a certificate says of itself: from when to when it is valid and for which names. Reads the DER of X.509 (RFC 5280 section 4.1)
//! just far enough for that; whether to trust it is for clients to decide.

use std::net::IpAddr;

use crate::kernel::base::Micros;

/// A certificate's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Not valid before.
    pub from: Micros,
    /// Not valid after.
    pub until: Micros,
    /// The names of the subject's alternative name: host names in lower case.
    pub names: Vec<String>,
    /// The addresses of the same.
    pub addresses: Vec<IpAddr>,
    /// Whether issuer and subject are one.
    pub self_signed: bool,
}

const SEQUENCE: u8 = 0x30;
const OBJECT_ID: u8 = 0x06;
const OCTETS: u8 = 0x04;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0]` explicit: the version.
const VERSION: u8 = 0xa0;
/// `[3]` explicit: the extensions.
const EXTENSIONS: u8 = 0xa3;
/// `[2]` implicit of a general name: a host name.
const DNS_NAME: u8 = 0x82;
/// `[7]` implicit of a general name: an address.
const ADDRESS: u8 = 0x87;
/// 2.5.29.17, the subject's alternative name.
const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// Reads a certificate; none when it is not one.
#[must_use]
pub fn read(der: &[u8]) -> Option<Said> {
    let mut certificate = Der(Der(der).take(SEQUENCE)?);
    let mut body = Der(certificate.take(SEQUENCE)?);
    if body.tag() == Some(VERSION) {
        body.any()?;
    }
    let (_serial, _algorithm) = (body.any()?, body.take(SEQUENCE)?);
    let issuer = body.take(SEQUENCE)?;
    let mut validity = Der(body.take(SEQUENCE)?);
    let (from, until) = (time(validity.any()?)?, time(validity.any()?)?);
    let subject = body.take(SEQUENCE)?;
    let mut said = Said { from, until, names: Vec::new(), addresses: Vec::new(), self_signed: issuer == subject };
    while let Some((tag, content)) = body.any() {
        if tag == EXTENSIONS {
            let mut extensions = Der(Der(content).take(SEQUENCE)?);
            while let Some(extension) = extensions.take(SEQUENCE) {
                said.extension(extension)?;
            }
        }
    }
    Some(said)
}

impl Said {
    fn extension(&mut self, extension: &[u8]) -> Option<()> {
        let mut extension = Der(extension);
        if extension.take(OBJECT_ID)? != ALTERNATIVE_NAME {
            return Some(());
        }
        // Whether it is critical may stand between.
        let value = std::iter::from_fn(|| extension.any()).find(|(tag, _)| *tag == OCTETS)?.1;
        let mut names = Der(Der(value).take(SEQUENCE)?);
        while let Some((tag, name)) = names.any() {
            match (tag, name.len()) {
                (DNS_NAME, _) => self.names.push(String::from_utf8_lossy(name).to_ascii_lowercase()),
                (ADDRESS, 4) => self.addresses.push(<[u8; 4]>::try_from(name).ok()?.into()),
                (ADDRESS, 16) => self.addresses.push(<[u8; 16]>::try_from(name).ok()?.into()),
                _ => {}
            }
        }
        Some(())
    }

    /// Whether it is for this host: an address, or a name, of which the first label may be `*` (RFC 6125 section 6.4.3).
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        let rest = host.split_once('.').map(|(_, rest)| rest);
        self.names.iter().any(|name| *name == host || name.strip_prefix("*.").is_some_and(|name| Some(name) == rest))
    }

    /// The names and addresses, for a person.
    #[must_use]
    pub fn all_names(&self) -> String {
        let addresses = self.addresses.iter().map(ToString::to_string);
        self.names.iter().cloned().chain(addresses).collect::<Vec<_>>().join(", ")
    }
}

/// What is left to read of a DER encoding (X.690 section 8.1).
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn tag(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next value with its tag.
    fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first >= 0x80 {
            let count = usize::from(first & 0x7f);
            if !(1..=4).contains(&count) {
                return None;
            }
            let (bytes, after) = rest.split_at_checked(count)?;
            length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            rest = after;
        }
        let (content, after) = rest.split_at_checked(length)?;
        self.0 = after;
        Some((tag, content))
    }

    /// The content of the next value if it has this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.any().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` (RFC 5280 section 4.1.2.5).
fn time((tag, text): (u8, &[u8])) -> Option<Micros> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let full = match (tag, text.len()) {
        (UTC_TIME, 12) if text.get(..2)? < "50" => format!("20{text}"),
        (UTC_TIME, 12) => format!("19{text}"),
        (GENERALIZED_TIME, 14) => text.to_owned(),
        _ => return None,
    };
    let at = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", full).ok()?;
    Some(at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::kernel::base::world::rfc3339;

    fn made(names: &[&str], from: (i32, u8, u8), until: (i32, u8, u8)) -> Vec<u8> {
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn times_and_names_are_read() {
        let said = read(&made(&["Chat.example.org", "*.ward.example", "10.0.0.5", "::1"], (2026, 1, 2), (2061, 3, 4)))
            .unwrap();
        assert_eq!(rfc3339(said.from), "2026-01-02T00:00:00.000000Z");
        assert_eq!(rfc3339(said.until), "2061-03-04T00:00:00.000000Z");
        assert!(said.self_signed);
        for host in ["chat.example.org", "CHAT.example.org.", "a.ward.example", "10.0.0.5", "[::1]", "::1"] {
            assert!(said.covers(host), "{host}");
        }
        for host in ["example.org", "ward.example", "a.b.ward.example", "10.0.0.6", "xchat.example.org", ""] {
            assert!(!said.covers(host), "{host}");
        }
        assert_eq!(said.all_names(), "chat.example.org, *.ward.example, 10.0.0.5, ::1");
    }

    #[test]
    fn what_is_no_certificate_is_none_and_never_a_panic() {
        let der = made(&["a.example"], (2026, 1, 2), (2027, 1, 2));
        for end in 0..der.len() {
            assert_eq!(read(&der[..end]), None);
        }
        for at in 0..der.len() {
            let mut changed = der.clone();
            changed[at] = changed[at].wrapping_add(0x83);
            let _ = read(&changed);
        }
        assert_eq!(read(b"hello"), None);
    }
}
