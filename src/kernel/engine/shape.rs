//! What ops take and answer and what events say, as types: the published documents (OpenAPI, AsyncAPI) are made from them.
//! Does not know: frames, routes, where a document is served. Nothing here runs when a command does.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::kernel::base::limits::{REASON_CHARS_MAX, TITLE_CHARS_MAX};

/// Gives the schema of a type, its own name left out.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// An event of a feature, with the type of its `data`.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// `noun.happened`, or one word on channel `me`.
    pub name: &'static str,
    /// What it says.
    pub body: SchemaOf,
    /// A fact for one person, on channel `me`; otherwise an entry of the record.
    pub personal: bool,
}

impl Event {
    /// An entry of the record, whose body is a `T`.
    #[must_use]
    pub const fn of<T: JsonSchema>(name: &'static str) -> Self {
        Self { name, body: T::json_schema, personal: false }
    }

    /// A fact on a person's channel `me`.
    #[must_use]
    pub const fn personal<T: JsonSchema>(name: &'static str) -> Self {
        Self { name, body: T::json_schema, personal: true }
    }
}

/// What an op takes and answers.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Its `data`, without `key`.
    pub data: Option<SchemaOf>,
    /// Its answer; of a write that records, what is there beside [`Recorded`].
    pub reply: Option<SchemaOf>,
    /// It is answered from the entry it records.
    pub records: bool,
}

impl Shape {
    /// Nothing is said yet.
    pub const UNKNOWN: Self = Self { data: None, reply: None, records: false };
}

/// No members.
#[derive(JsonSchema)]
pub struct Nothing {}

/// What every write that records is answered with.
#[derive(serde::Serialize, JsonSchema)]
pub struct Recorded {
    /// What was made; for a change, what was changed or the change itself, as the op says.
    pub id: uuid::Uuid,
    /// The channel of the first entry that was recorded.
    pub channel: crate::kernel::base::ChannelId,
    /// Its place there.
    pub seq: i64,
    /// When it was accepted.
    #[schemars(with = "Time")]
    pub at: String,
    /// End of the channel's hash chain after this entry, base64 (RFC 4648 section 4).
    #[schemars(length(equal = 44))]
    pub head: String,
    /// The command was done before under the same key; this is the first answer. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<bool>,
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident => $schema:tt,)*) => {$(
        $(#[$doc])*
        pub struct $name;

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

texts! {
    /// RFC 3339; the server writes UTC with six digits of a second.
    Time => {"type": "string", "format": "date-time"},
    /// A FHIR `date`: a year, a month or a day.
    Date => {"type": "string", "pattern": "^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?$"},
    /// A day, or a time of RFC 3339.
    Due => {"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]},
    /// A name or title: not empty after trimming.
    Title => {"type": "string", "minLength": 1, "maxLength": TITLE_CHARS_MAX, "pattern": "\\S"},
    /// A reason: not empty after trimming.
    Reason => {"type": "string", "minLength": 1, "maxLength": REASON_CHARS_MAX, "pattern": "\\S"},
    /// A text as long as the server's limit `text_chars` allows: not empty after trimming.
    Text => {"type": "string", "minLength": 1, "x-limit": "text_chars", "pattern": "\\S"},
    /// A channel's id, or `me`.
    ChannelOrMe => {"anyOf": [{"type": "string", "format": "uuid"}, {"const": "me"}]},
    /// The first and last `seq` of a span.
    Span => {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
}
