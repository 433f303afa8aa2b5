//! The boundary between a filing and its receiver: what is sent at once, and what came of it. Does not know resources, states or connections.

use std::time::Duration;

/// One request, one message or one file: rendered once, the same bytes at each attempt.
pub struct Parcel {
    /// Its place among those of a filing, from 0.
    pub n: u32,
    /// Where it goes.
    pub kind: ParcelKind,
    /// What goes there.
    pub bytes: Vec<u8>,
}

/// Where a parcel goes.
pub enum ParcelKind {
    /// To a FHIR server.
    Fhir {
        /// `POST`, `PUT`.
        method: String,
        /// Behind the base: `Communication`, `Task?identifier=…`; empty for a Bundle.
        path: String,
        /// `If-None-Exist`.
        if_none_exist: Option<String>,
        /// `If-Match`.
        if_match: Option<String>,
    },
    /// To an HL7 v2 interface.
    Hl7v2,
    /// Into a folder.
    File {
        /// Under this name.
        name: String,
    },
}

/// Where a receiver holds something of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The value of its first identifier: our id.
    pub id: String,
    /// `Type/id` there.
    pub location: String,
    /// `ETag`: what a later `If-Match` says.
    pub etag: Option<String>,
}

/// What came of an attempt. `words` are the receiver's own and may say something about a patient. No `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is there.
    Done {
        /// Where.
        remote: Vec<Remote>,
        /// What was said of it.
        words: String,
    },
    /// The receiver keeps it for review.
    Held {
        /// What to ask again.
        poll: String,
        /// When, at the earliest.
        after: Option<Duration>,
    },
    /// Whether it is there is not known, or it is not: the same bytes again.
    Again {
        /// When, at the earliest.
        after: Option<Duration>,
        /// Why.
        words: String,
    },
    /// What is there is not what we thought: look, and try once more.
    Refetch {
        /// Why.
        words: String,
    },
    /// Too large for the receiver.
    TooLarge,
    /// The receiver does not take it, and never will as it is.
    Stopped {
        /// `refused`, `unauthorized`, `forbidden`, `conflict`, `unsupported`, `misconfigured`.
        code: String,
        /// Why.
        words: String,
    },
}

impl Outcome {
    /// [`Outcome::Stopped`].
    #[must_use]
    pub fn stopped(code: &str, words: impl Into<String>) -> Self {
        Self::Stopped { code: code.to_owned(), words: words.into() }
    }

    /// [`Outcome::Again`], with no time named.
    #[must_use]
    pub fn again(words: impl Into<String>) -> Self {
        Self::Again { after: None, words: words.into() }
    }
}
