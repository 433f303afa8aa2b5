//! The published documents: OpenAPI 3.1 for HTTP, AsyncAPI 3.0 for the socket. Both are made from the types the ops and events
//! declare, so that neither is written by hand and neither can say what the registry does not.
//! Does not know: sites, requests, sessions. Invariant: the same registry and limits give the same bytes.

mod asyncapi;
mod exports;
mod frames;
mod openapi;
mod parts;
mod schemas;
#[cfg(test)]
mod tests;

use crate::kernel::base::limits::Limits;
use crate::kernel::crypto::{hash, hex};
use crate::kernel::engine::Registry;

/// A document as it is served.
pub struct Document {
    /// JSON.
    pub text: String,
    /// What tells this version from others (RFC 9110 section 8.8.3), with its quotes.
    pub etag: String,
}

/// Both documents.
pub struct Documents {
    /// `GET /v1/openapi.json`
    pub openapi: Document,
    /// `GET /v1/asyncapi.json`
    pub asyncapi: Document,
}

impl Documents {
    /// Makes both.
    #[must_use]
    pub fn of(registry: &Registry, limits: &Limits) -> Self {
        let document = |value: serde_json::Value| {
            let text = value.to_string();
            let etag = format!("\"{}\"", hex(&hash(text.as_bytes())[..16]));
            Document { text, etag }
        };
        Self {
            openapi: document(openapi::document(registry, limits)),
            asyncapi: document(asyncapi::document(registry, limits)),
        }
    }
}
