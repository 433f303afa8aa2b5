//! Who is at the other end: the address behind trusted proxies, and the web site a browser acts for.

use std::net::{IpAddr, SocketAddr};

use http::header::{self, HeaderMap, HeaderName};

/// Tells whether a page of the same origin asks (Fetch Metadata). No page can set it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Hops of `X-Forwarded-For` that are looked at: more proxies than any site has.
const HOPS_MAX: usize = 16;

/// The values of `Origin` that are ours.
#[derive(Clone, Debug, Default)]
pub struct Origins(Vec<String>);

impl Origins {
    /// The printed address (`https://HOST:PORT`), `localhost` on the same port, and those of the configuration.
    #[must_use]
    pub fn new(printed: &str, port: u16, more: &[String]) -> Self {
        let mut list = vec![printed.to_ascii_lowercase(), format!("https://localhost:{port}")];
        list.extend(more.iter().map(|origin| origin.trim_end_matches('/').to_ascii_lowercase()));
        if port == 443 {
            // A browser leaves the usual port out (RFC 6454 section 6.1).
            let short: Vec<String> =
                list.iter().filter_map(|origin| origin.strip_suffix(":443")).map(str::to_owned).collect();
            list.extend(short);
        }
        Self(list)
    }

    /// Whether the request's `Origin`, if it has one, is ours. A browser leaves it out where a page gets something from its own
    /// server, and says so in another way.
    #[must_use]
    pub fn allow(&self, headers: &HeaderMap) -> Origin {
        let mut values = headers.get_all(header::ORIGIN).iter();
        match (values.next(), values.next()) {
            (None, _) if headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "same-origin") => Origin::Ours,
            (None, _) => Origin::Absent,
            (Some(value), None) if self.0.iter().any(|ours| value.as_bytes().eq_ignore_ascii_case(ours.as_bytes())) => {
                Origin::Ours
            }
            _ => Origin::Foreign,
        }
    }
}

/// For whom a browser acts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// No browser, or one that does not say: cookies do not count.
    Absent,
    /// A page of ours.
    Ours,
    /// Another web site: refused whatever the credential.
    Foreign,
}

/// The address of the client: the peer's, or what trusted proxies say of theirs.
#[must_use]
pub fn client(peer: SocketAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let mut address = peer.ip().to_canonical();
    if !trusted.contains(&address) {
        return address;
    }
    let values = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let list: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    // From the right: each trusted hop vouches for the one to its left.
    for hop in list.iter().rev().take(HOPS_MAX) {
        let Ok(next) = hop.parse::<IpAddr>() else { break };
        address = next.to_canonical();
        if !trusted.contains(&address) {
            break;
        }
    }
    address
}

/// Whether the request comes from this very machine, and no proxy that is unknown to us stands between.
#[must_use]
pub fn is_local(peer: SocketAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> bool {
    let forwarded = headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded");
    let vouched = trusted.contains(&peer.ip().to_canonical());
    client(peer, headers, trusted).is_loopback() && (!forwarded || vouched)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn origins_are_exact() {
        let origins = Origins::new("https://127.0.0.1:8443", 8443, &["https://chat.example.org/".into()]);
        let said = |origin| origins.allow(&headers(&[("origin", origin)]));
        for ours in
            ["https://127.0.0.1:8443", "https://localhost:8443", "https://chat.example.org", "HTTPS://LOCALHOST:8443"]
        {
            assert_eq!(said(ours), Origin::Ours, "{ours}");
        }
        for foreign in ["https://localhost", "http://localhost:8443", "https://localhost:8443.evil.example", "null", ""]
        {
            assert_eq!(said(foreign), Origin::Foreign, "{foreign}");
        }
        assert_eq!(origins.allow(&HeaderMap::new()), Origin::Absent);
        for (site, expected) in [
            ("same-origin", Origin::Ours),
            ("same-site", Origin::Absent),
            ("cross-site", Origin::Absent),
            ("none", Origin::Absent),
        ] {
            assert_eq!(origins.allow(&headers(&[("sec-fetch-site", site)])), expected, "{site}");
            assert_eq!(
                origins.allow(&headers(&[("sec-fetch-site", site), ("origin", "https://evil.example")])),
                Origin::Foreign
            );
        }
        assert_eq!(
            Origins::new("https://a.example:443", 443, &[]).allow(&headers(&[("origin", "https://a.example")])),
            Origin::Ours
        );
    }

    #[test]
    fn only_trusted_proxies_speak_for_others() {
        let trusted: Vec<IpAddr> = vec!["10.0.0.5".parse().unwrap(), "10.0.0.6".parse().unwrap()];
        let at = |peer: &str, forwarded: &'static str| {
            client(format!("{peer}:1").parse().unwrap(), &headers(&[("x-forwarded-for", forwarded)]), &trusted)
                .to_string()
        };
        assert_eq!(at("192.0.2.1", "198.51.100.7"), "192.0.2.1");
        assert_eq!(at("10.0.0.5", "198.51.100.7"), "198.51.100.7");
        assert_eq!(at("10.0.0.5", "127.0.0.1, 198.51.100.7, 10.0.0.6"), "198.51.100.7");
        assert_eq!(at("10.0.0.5", "nonsense"), "10.0.0.5");
    }

    #[test]
    fn a_proxy_on_this_machine_makes_nobody_local() {
        let local = |peer: &str, pairs: &[(&'static str, &'static str)]| {
            is_local(format!("{peer}:1").parse().unwrap(), &headers(pairs), &["127.0.0.2".parse().unwrap()])
        };
        assert!(local("127.0.0.1", &[]) && !local("192.0.2.1", &[]));
        assert!(!local("127.0.0.1", &[("x-forwarded-for", "127.0.0.1")]));
        assert!(!local("127.0.0.2", &[("x-forwarded-for", "192.0.2.1")]));
    }
}
