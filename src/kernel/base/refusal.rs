//! What is said to a caller who may not, or whose request is wrong: a stable code and a sentence to act on.

use serde_json::{Map, Value};

macro_rules! codes {
    ($($name:ident $text:literal $status:literal $title:literal,)*) => {
        /// The stable, machine-readable codes of refusals.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub enum Code { $(#[doc = $title] $name,)* }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As on the wire.
            #[must_use]
            pub const fn text(self) -> &'static str { match self { $(Self::$name => $text,)* } }

            /// The HTTP status it is answered with.
            #[must_use]
            pub const fn status(self) -> u16 { match self { $(Self::$name => $status,)* } }

            /// A short sentence for a person.
            #[must_use]
            pub const fn title(self) -> &'static str { match self { $(Self::$name => $title,)* } }
        }
    };
}

codes! {
    BadFrame "bad_frame" 400 "The frame cannot be read",
    UnknownOp "unknown_op" 400 "There is no such operation",
    Invalid "invalid" 400 "A field is wrong",
    PlanItemRequired "plan_item_required" 400 "Choose a care plan item",
    ReasonRequired "reason_required" 400 "Give a reason",
    Unauthenticated "unauthenticated" 401 "Sign in",
    Forbidden "forbidden" 403 "You may not do this",
    NotFound "not_found" 404 "There is no such thing here",
    Conflict "conflict" 409 "This does not fit the current state",
    Archived "archived" 409 "The channel is archived",
    PlanItemClosed "plan_item_closed" 409 "The care plan item is closed",
    BadTransition "bad_transition" 409 "That step is not possible from here",
    TooLarge "too_large" 413 "Too large",
    RateLimited "rate_limited" 429 "Too many requests",
    Busy "busy" 503 "Busy, try again",
    Sealed "sealed" 503 "The server has no key and is sealed",
    Internal "internal" 500 "Something failed here",
}

/// An answer of "no". Carries no patient text, ever: `detail` is a constant or built from limits and field names.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Which "no".
    pub code: Code,
    /// The field that is wrong, where one is.
    pub field: Option<&'static str>,
    /// What to do about it.
    pub detail: Option<String>,
    /// After how many milliseconds a repeat may succeed.
    pub retry_after_ms: Option<u64>,
    /// Further members of the error object (`current`, `allowed`).
    pub more: Map<String, Value>,
}

impl Refusal {
    /// A refusal with nothing but its code.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self { code, field: None, detail: None, retry_after_ms: None, more: Map::new() }
    }

    /// `not_found`: the one answer for what is missing and for what may not be seen.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(Code::NotFound)
    }

    /// `forbidden`: seen, but not allowed.
    #[must_use]
    pub fn forbidden(detail: &str) -> Self {
        Self::new(Code::Forbidden).detail(detail)
    }

    /// `invalid`, naming the field and what it should be.
    #[must_use]
    pub fn invalid(field: &'static str, detail: &str) -> Self {
        Self::new(Code::Invalid).field(field).detail(detail)
    }

    /// `conflict` with a reason.
    #[must_use]
    pub fn conflict(detail: &str) -> Self {
        Self::new(Code::Conflict).detail(detail)
    }

    /// Names the field.
    #[must_use]
    pub fn field(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn detail(mut self, detail: &str) -> Self {
        self.detail = Some(detail.to_owned());
        self
    }

    /// Says when to come back.
    #[must_use]
    pub const fn retry_after_ms(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    /// Adds a member to the error object, such as `current` or `allowed`.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_owned(), value);
        self
    }

    /// The `error` object of a frame: `code, title, detail, field, retry, retry_after_ms` and what [`Refusal::with`] added.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut error = Map::new();
        error.insert("code".into(), self.code.text().into());
        error.insert("title".into(), self.code.title().into());
        if let Some(detail) = &self.detail {
            error.insert("detail".into(), detail.as_str().into());
        }
        if let Some(field) = self.field {
            error.insert("field".into(), field.into());
        }
        let retry = matches!(self.code, Code::RateLimited | Code::Busy | Code::Internal | Code::Sealed);
        error.insert("retry".into(), retry.into());
        if let Some(ms) = self.retry_after_ms {
            error.insert("retry_after_ms".into(), ms.into());
        }
        error.extend(self.more.clone());
        Value::Object(error)
    }
}
