//! Who calls: the credential of a request, taken only where it may come from.

use std::net::SocketAddr;

use axum::body::Body;
use futures_util::StreamExt;
use http::header::{self, HeaderMap};

use super::origin::{Origin, client};
use super::site::Site;
use crate::features::identity::SignedIn;
use crate::kernel::base::{Code, Refusal};

/// The cookie of a session. The prefix makes browsers demand Secure, no Domain and Path=/ (RFC 6265bis section 4.1.3).
pub const COOKIE: &str = "__Host-carethread";

/// Read and thrown away of a body that is too large, so that the peer hears the answer and not a reset.
const DRAINED_BYTES_MAX: usize = 4 << 20;

/// Refuses what a page of another web site made a browser send, whatever credential came with it.
///
/// # Errors
/// `forbidden`.
pub fn check_origin(site: &Site, headers: &HeaderMap) -> Result<Origin, Refusal> {
    match site.origins().allow(headers) {
        Origin::Foreign => {
            Err(Refusal::forbidden("This web site is not one of ours. An operator adds it to [http] origins."))
        }
        other => Ok(other),
    }
}

/// The token a request carries: `Authorization: Bearer`, or the session cookie of a page of ours.
#[must_use]
pub fn token(headers: &HeaderMap, origin: Origin) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => {
            let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
        }
        // Two credentials: whose request is it?
        (Some(_), Some(_)) => None,
        (None, _) if origin == Origin::Ours => cookie(headers),
        (None, _) => None,
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut ours = values.flat_map(|value| value.split(';')).filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then_some(value)
    });
    ours.next().filter(|value| !value.is_empty())
}

/// Whoever the request is signed in as.
///
/// # Errors
/// `forbidden` for another web site, `unauthenticated` without a credential that opens.
pub async fn signed_in(site: &Site, peer: SocketAddr, headers: &HeaderMap) -> Result<SignedIn, Refusal> {
    let origin = check_origin(site, headers)?;
    let token = token(headers, origin).ok_or_else(|| {
        Refusal::new(Code::Unauthenticated)
            .detail("Send `Authorization: Bearer`, or the session cookie with our Origin.")
    })?;
    site.door().bearer(token, Some(client(peer, headers, site.trusted_proxies()))).await
}

/// The whole body.
///
/// # Errors
/// `too_large` beyond `bytes_max`, `bad_frame` when it breaks off.
pub async fn body(body: Body, bytes_max: usize) -> Result<Vec<u8>, Refusal> {
    let mut stream = body.into_data_stream();
    let (mut bytes, mut seen) = (Vec::new(), 0);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Refusal::new(Code::BadFrame).detail("The body broke off or came too slowly."))?;
        seen += chunk.len();
        if seen <= bytes_max {
            bytes.extend_from_slice(&chunk);
        } else {
            bytes = Vec::new();
            if seen > bytes_max.saturating_add(DRAINED_BYTES_MAX) {
                break;
            }
        }
    }
    if seen > bytes_max {
        let detail = format!("At most {bytes_max} bytes.");
        return Err(Refusal::new(Code::TooLarge).detail(&detail));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_cookie_counts_only_for_a_page_of_ours() {
        let cookies = headers(&[("cookie", "a=b; __Host-carethread=ct_ses_x; c=d")]);
        assert_eq!(token(&cookies, Origin::Ours), Some("ct_ses_x"));
        assert_eq!(token(&cookies, Origin::Absent), None);
        assert_eq!(token(&headers(&[("cookie", "carethread=x; __host-carethread=y")]), Origin::Ours), None);
    }

    #[test]
    fn one_bearer_counts() {
        assert_eq!(token(&headers(&[("authorization", "bearer  ct_pat_x")]), Origin::Absent), Some("ct_pat_x"));
        for wrong in ["Basic YTpi", "Bearer", "Bearer ", "ct_pat_x"] {
            let headers = headers(&[("authorization", wrong), ("cookie", "__Host-carethread=y")]);
            assert_eq!(token(&headers, Origin::Ours), None, "{wrong}");
        }
        let two = headers(&[("authorization", "Bearer a"), ("authorization", "Bearer b")]);
        assert_eq!(token(&two, Origin::Ours), None);
    }

    #[tokio::test]
    async fn a_body_has_a_limit() {
        assert_eq!(body(Body::from("12345"), 5).await.unwrap(), b"12345");
        assert_eq!(body(Body::from("123456"), 5).await.unwrap_err().code, Code::TooLarge);
        let endless =
            futures_util::stream::iter(std::iter::repeat_with(|| Ok::<_, std::io::Error>(vec![0_u8; 1 << 16])));
        assert_eq!(body(Body::from_stream(endless), 5).await.unwrap_err().code, Code::TooLarge);
        let broken = futures_util::stream::iter([Ok(vec![1]), Err(std::io::Error::other("gone"))]);
        assert_eq!(body(Body::from_stream(broken), 5).await.unwrap_err().code, Code::BadFrame);
    }
}
