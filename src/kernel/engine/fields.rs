//! Members of `data`, parsed once: a wrong type is `invalid` and names the field.

use std::str::FromStr;

use serde_json::Value;

use super::Data;
use crate::kernel::base::limits::{REASON_CHARS_MAX, TITLE_CHARS_MAX};
use crate::kernel::base::world::parse_rfc3339;
use crate::kernel::base::{Code, Micros, Refusal};

/// A look at one `data` object.
#[derive(Clone, Copy)]
pub struct Fields<'a>(pub &'a Data);

fn missing(field: &'static str) -> Refusal {
    Refusal::invalid(field, "This field is required.")
}

impl<'a> Fields<'a> {
    /// The member, unless absent or null.
    #[must_use]
    pub fn get(self, field: &str) -> Option<&'a Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    /// An optional string, as it came.
    ///
    /// # Errors
    /// `invalid` if it is no string.
    pub fn string(self, field: &'static str) -> Result<Option<&'a str>, Refusal> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refusal::invalid(field, "This field is a string.")),
        }
    }

    /// An optional id.
    ///
    /// # Errors
    /// `invalid` if it is no UUID.
    pub fn id<T: FromStr>(self, field: &'static str) -> Result<Option<T>, Refusal> {
        self.string(field)?
            .map(|text| {
                text.parse().map_err(|_| Refusal::invalid(field, "This field is an id: a UUID as given by the server."))
            })
            .transpose()
    }

    /// A required id.
    ///
    /// # Errors
    /// `invalid` if it is missing or no UUID.
    pub fn required_id<T: FromStr>(self, field: &'static str) -> Result<T, Refusal> {
        self.id(field)?.ok_or_else(|| missing(field))
    }

    /// A list of ids, empty if absent.
    ///
    /// # Errors
    /// `invalid` if it is no list of UUIDs.
    pub fn ids<T: FromStr>(self, field: &'static str) -> Result<Vec<T>, Refusal> {
        let wrong = || Refusal::invalid(field, "This field is a list of ids.");
        let Some(list) = self.get(field) else { return Ok(Vec::new()) };
        let list = list.as_array().ok_or_else(wrong)?;
        list.iter().map(|value| value.as_str().and_then(|text| text.parse().ok()).ok_or_else(wrong)).collect()
    }

    /// A list of strings, empty if absent, each not empty after trimming and within the limit of a reason.
    ///
    /// # Errors
    /// `invalid` or `too_large`.
    pub fn strings(self, field: &'static str) -> Result<Vec<String>, Refusal> {
        let wrong = || Refusal::invalid(field, "This field is a list of strings.");
        let Some(list) = self.get(field) else { return Ok(Vec::new()) };
        let list = list.as_array().ok_or_else(wrong)?;
        list.iter().map(|value| bounded(field, value.as_str().ok_or_else(wrong)?, REASON_CHARS_MAX)).collect()
    }

    /// A long text, kept byte for byte.
    ///
    /// # Errors
    /// `invalid` if it is empty after trimming, `too_large` beyond `chars_max` Unicode scalar values.
    pub fn text(self, field: &'static str, chars_max: usize) -> Result<Option<String>, Refusal> {
        self.string(field)?.map(|text| bounded(field, text, chars_max)).transpose()
    }

    /// A name or title.
    ///
    /// # Errors
    /// As [`Fields::text`].
    pub fn title(self, field: &'static str) -> Result<Option<String>, Refusal> {
        self.text(field, TITLE_CHARS_MAX)
    }

    /// A required name or title.
    ///
    /// # Errors
    /// As [`Fields::text`], and `invalid` if missing.
    pub fn required_title(self, field: &'static str) -> Result<String, Refusal> {
        self.title(field)?.ok_or_else(|| missing(field))
    }

    /// A required reason.
    ///
    /// # Errors
    /// `reason_required` if missing or empty, `too_large`.
    pub fn reason(self) -> Result<String, Refusal> {
        match self.string("reason")? {
            Some(text) if !text.trim().is_empty() => bounded("reason", text, REASON_CHARS_MAX),
            _ => Err(Refusal::new(Code::ReasonRequired).field("reason").detail("Say why; it is kept with the entry.")),
        }
    }

    /// An optional truth value.
    ///
    /// # Errors
    /// `invalid` if it is none.
    pub fn boolean(self, field: &'static str) -> Result<Option<bool>, Refusal> {
        self.get(field)
            .map(|value| value.as_bool().ok_or_else(|| Refusal::invalid(field, "This field is true or false.")))
            .transpose()
    }

    /// An optional whole number.
    ///
    /// # Errors
    /// `invalid` if it is none.
    pub fn integer(self, field: &'static str) -> Result<Option<i64>, Refusal> {
        self.get(field)
            .map(|value| value.as_i64().ok_or_else(|| Refusal::invalid(field, "This field is a whole number.")))
            .transpose()
    }

    /// A required whole number.
    ///
    /// # Errors
    /// `invalid` if it is missing or none.
    pub fn required_integer(self, field: &'static str) -> Result<i64, Refusal> {
        self.integer(field)?.ok_or_else(|| missing(field))
    }

    /// An optional time (RFC 3339).
    ///
    /// # Errors
    /// `invalid` if it is none.
    pub fn time(self, field: &'static str) -> Result<Option<Micros>, Refusal> {
        self.string(field)?
            .map(|text| {
                parse_rfc3339(text)
                    .map_err(|_| Refusal::invalid(field, "This field is a time as 2026-11-21T09:30:00Z (RFC 3339)."))
            })
            .transpose()
    }

    /// One of a few words.
    ///
    /// # Errors
    /// `invalid` if it is another one.
    pub fn word<T>(
        self,
        field: &'static str,
        known: impl Fn(&str) -> Option<T>,
        allowed: &str,
    ) -> Result<Option<T>, Refusal> {
        self.string(field)?
            .map(|text| {
                known(text).ok_or_else(|| Refusal::invalid(field, &format!("This field is one of: {allowed}.")))
            })
            .transpose()
    }
}

/// A text within its limit, not empty after trimming, kept byte for byte.
///
/// # Errors
/// `invalid` or `too_large`.
pub fn bounded(field: &'static str, text: &str, chars_max: usize) -> Result<String, Refusal> {
    if text.trim().is_empty() {
        return Err(Refusal::invalid(field, "This field must not be empty."));
    }
    if text.chars().count() > chars_max {
        return Err(Refusal::new(Code::TooLarge).field(field).detail(&format!("At most {chars_max} characters.")));
    }
    Ok(text.to_owned())
}
