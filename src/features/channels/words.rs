//! What people write: a plain text or SBAR, and the record class it belongs to. Shared by every kind of record that carries words.
//! Does not know: channels, entries, who writes. Text is kept byte for byte.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::base::{Code, Refusal};
use crate::kernel::engine::Data;
use crate::kernel::engine::fields::{Fields, bounded};
use crate::kernel::engine::shape::Text;

/// SBAR (situation, background, assessment, recommendation: Joint Commission, Institute for Healthcare Improvement).
/// Parts that were not written are absent, so that what is kept is what was sent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sbar {
    /// What is happening now.
    #[schemars(with = "Text")]
    pub situation: String,
    /// What led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<String>,
    /// What the writer thinks it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assessment: Option<String>,
    /// What the writer asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recommendation: Option<String>,
}

impl Sbar {
    /// The parts that say something, under their names.
    #[must_use]
    pub fn parts(&self) -> Vec<(&'static str, &str)> {
        let optional = [
            ("Background", &self.background),
            ("Assessment", &self.assessment),
            ("Recommendation", &self.recommendation),
        ];
        let mut parts = vec![("Situation", self.situation.as_str())];
        parts.extend(optional.into_iter().filter_map(|(name, part)| Some((name, part.as_deref()?))));
        parts.retain(|(_, part)| !part.trim().is_empty());
        parts
    }
}

/// In which of the two forms something is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// One plain text.
    Text,
    /// Four parts.
    Sbar,
}

impl Form {
    /// The number kept with a named thing.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Text => 0,
            Self::Sbar => 1,
        }
    }

    /// From the number kept with a named thing.
    #[must_use]
    pub const fn from_number(number: i16) -> Self {
        if number == 1 { Self::Sbar } else { Self::Text }
    }

    /// The member of `data` it stands in.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Sbar => "sbar",
        }
    }
}

/// Words of a message or a note: members `text` or `sbar` of a body, exactly one of them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("oneOf" = [
    {"required": ["text"], "properties": {"text": {"type": "string"}}},
    {"required": ["sbar"], "properties": {"sbar": {"type": "object"}}}
]))]
pub struct Words {
    /// One plain text, kept byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Text>")]
    text: Option<String>,
    /// Four parts, together within the limit of a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sbar: Option<Sbar>,
}

impl Words {
    /// Reads `text` or `sbar`, at most `chars_max` Unicode scalar values.
    ///
    /// # Errors
    /// `invalid` (field `text`) for both or neither, for an empty text or situation; `too_large`.
    pub fn parse(fields: Fields<'_>, chars_max: usize) -> Result<Self, Refusal> {
        let text = fields.text("text", chars_max)?;
        let sbar = fields.get("sbar").map(|value| parse_sbar(value, chars_max)).transpose()?;
        match (&text, &sbar) {
            (Some(_), Some(_)) => Err(Refusal::invalid("text", "Write either `text` or `sbar`, not both.")),
            (None, None) => Err(Refusal::invalid("text", "Write `text`, or `sbar` with its four parts.")),
            _ => Ok(Self { text, sbar }),
        }
    }

    /// The form it has.
    #[must_use]
    pub const fn form(&self) -> Form {
        if self.sbar.is_some() { Form::Sbar } else { Form::Text }
    }

    /// The four parts, if it has that form.
    #[must_use]
    pub const fn sbar(&self) -> Option<&Sbar> {
        self.sbar.as_ref()
    }

    /// The texts as they were written, one a part.
    #[must_use]
    pub fn texts(self) -> Vec<String> {
        let Self { text, sbar } = self;
        let parts = sbar.map(|sbar| {
            [Some(sbar.situation), sbar.background, sbar.assessment, sbar.recommendation].into_iter().flatten()
        });
        text.into_iter().chain(parts.into_iter().flatten()).collect()
    }

    /// One plain text: SBAR as its parts under their names.
    #[must_use]
    pub fn plain(&self) -> String {
        match (&self.sbar, &self.text) {
            (Some(sbar), _) => {
                let parts: Vec<String> =
                    sbar.parts().into_iter().map(|(name, part)| format!("{name}:\n{part}")).collect();
                parts.join("\n\n")
            }
            (None, text) => text.clone().unwrap_or_default(),
        }
    }
}

fn parse_sbar(value: &serde_json::Value, chars_max: usize) -> Result<Sbar, Refusal> {
    let wrong = || {
        Refusal::invalid(
            "sbar",
            "`sbar` is an object of four strings: situation (required), background, assessment, recommendation.",
        )
    };
    let members: &Data = value.as_object().ok_or_else(wrong)?;
    let part = |name: &'static str| match Fields(members).get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(|text| Some(text.to_owned())).ok_or_else(wrong),
    };
    let situation = bounded("sbar", &part("situation")?.ok_or_else(wrong)?, chars_max)?;
    let sbar = Sbar {
        situation,
        background: part("background")?,
        assessment: part("assessment")?,
        recommendation: part("recommendation")?,
    };
    let all = [Some(&sbar.situation), sbar.background.as_ref(), sbar.assessment.as_ref(), sbar.recommendation.as_ref()];
    if all.into_iter().flatten().map(|part| part.chars().count()).sum::<usize>() > chars_max {
        let detail = format!("At most {chars_max} characters, the four parts together.");
        return Err(Refusal::new(Code::TooLarge).field("sbar").detail(&detail));
    }
    Ok(sbar)
}

/// What retention and exports go by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Part of the health record; what is not said otherwise.
    #[default]
    CareRecord,
    /// Who comes when.
    Coordination,
    /// Nothing about the patient's health.
    Operational,
}

impl Class {
    /// Reads `class`.
    ///
    /// # Errors
    /// `invalid` for another word.
    pub fn parse(fields: Fields<'_>) -> Result<Option<Self>, Refusal> {
        let known = |text: &str| {
            let classes = [Self::CareRecord, Self::Coordination, Self::Operational];
            classes.into_iter().find(|class| class.text() == text)
        };
        fields.word("class", known, "care_record, coordination, operational")
    }

    /// As on the wire.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::CareRecord => "care_record",
            Self::Coordination => "coordination",
            Self::Operational => "operational",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(data: &serde_json::Value) -> Result<Words, Refusal> {
        Words::parse(Fields(data.as_object().unwrap()), 10)
    }

    fn refused(data: &serde_json::Value) -> (Code, Option<&'static str>) {
        let refusal = parse(data).err().unwrap();
        (refusal.code, refusal.field)
    }

    #[test]
    fn words_have_exactly_one_form() {
        assert_eq!(refused(&json!({})), (Code::Invalid, Some("text")));
        assert_eq!(refused(&json!({"text": "a", "sbar": {"situation": "b"}})), (Code::Invalid, Some("text")));
        assert_eq!(refused(&json!({"text": " \n"})), (Code::Invalid, Some("text")));
        assert_eq!(refused(&json!({"text": 7})), (Code::Invalid, Some("text")));
        assert!(parse(&json!({"text": "a", "sbar": null})).unwrap().form() == Form::Text);
    }

    #[test]
    fn sbar_needs_its_situation_and_strings() {
        assert_eq!(refused(&json!({"sbar": {"background": "b"}})), (Code::Invalid, Some("sbar")));
        assert_eq!(refused(&json!({"sbar": {"situation": " "}})), (Code::Invalid, Some("sbar")));
        assert_eq!(refused(&json!({"sbar": {"situation": "a", "background": 1}})), (Code::Invalid, Some("sbar")));
        assert_eq!(refused(&json!({"sbar": "a"})), (Code::Invalid, Some("sbar")));
        let words = parse(&json!({"sbar": {"situation": "a", "background": "", "recommendation": "c"}})).unwrap();
        assert_eq!(words.plain(), "Situation:\na\n\nRecommendation:\nc");
        let kept = serde_json::to_value(&words).unwrap();
        assert_eq!(kept, json!({"sbar": {"situation": "a", "background": "", "recommendation": "c"}}));
    }

    #[test]
    fn the_limit_holds_for_the_parts_together() {
        assert_eq!(refused(&json!({"text": "12345678901"})), (Code::TooLarge, Some("text")));
        assert_eq!(
            refused(&json!({"sbar": {"situation": "123456", "background": "12345"}})),
            (Code::TooLarge, Some("sbar"))
        );
        assert!(parse(&json!({"sbar": {"situation": "äöüäöü", "background": "1234"}})).is_ok());
    }

    proptest! {
        /// What was written within the limit is kept byte for byte; nothing else is taken.
        #[test]
        fn text_is_kept_byte_for_byte(text in "\\PC{0,14}|[ \\n\\t]{0,3}") {
            let parsed = parse(&json!({"text": text}));
            let fits = !text.trim().is_empty() && text.chars().count() <= 10;
            prop_assert_eq!(parsed.is_ok(), fits);
            if let Ok(words) = parsed {
                prop_assert_eq!(words.plain(), text);
            }
        }
    }
}
