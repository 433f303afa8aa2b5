//! Refusals as HTTP says them: RFC 9457 `application/problem+json` with member `code`.

use axum::body::Body;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};

use crate::kernel::base::{Code, Refusal};

/// The answer to a refusal, with the status of its code.
#[must_use]
pub fn problem(refusal: &Refusal) -> Response<Body> {
    with_status(StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), refusal)
}

/// The answer to a refusal, with another status than that of its code.
#[must_use]
pub fn with_status(status: StatusCode, refusal: &Refusal) -> Response<Body> {
    let mut problem = refusal.to_json();
    problem["type"] = "about:blank".into();
    problem["status"] = status.as_u16().into();
    let mut response = Response::new(Body::from(problem.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    hint(refusal, &mut response);
    response
}

/// The headers that go with a refusal: when to come back, and how to sign in.
pub fn hint(refusal: &Refusal, response: &mut Response<Body>) {
    if let Some(ms) = refusal.retry_after_ms {
        // RFC 9110 section 10.2.3: whole seconds, rounded up.
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
    }
    if refusal.code == Code::Unauthenticated {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
}

/// There is no such route.
#[must_use]
pub fn no_route() -> Response<Body> {
    problem(&Refusal::not_found().detail("There is no such route. See docs/protocol.md."))
}

/// The route is there, the method is not.
#[must_use]
pub fn no_method() -> Response<Body> {
    let refusal = Refusal::new(Code::Invalid).detail("This route does not take that method.");
    with_status(StatusCode::METHOD_NOT_ALLOWED, &refusal)
}

/// A JSON answer.
#[must_use]
pub fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_status_code_and_when_to_come_back() {
        let response = problem(&Refusal::new(Code::RateLimited).retry_after_ms(1500));
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &HeaderValue::from(2)));
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(problem(&Refusal::new(Code::Unauthenticated)).headers()["www-authenticate"], "Bearer");
        assert_eq!((no_route().status().as_u16(), no_method().status().as_u16()), (404, 405));
    }
}
