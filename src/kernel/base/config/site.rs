//! What a site tells its own people: the number to call in an emergency, and messages that are written again and again.

use serde::{Deserialize, Serialize};

/// Templates of one site; more would not be found in a menu.
const TEMPLATES_MAX: usize = 100;

/// `[site]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Site {
    /// What patients and families are told to call when it cannot wait.
    pub emergency_number: Option<String>,
    /// `[[site.templates]]`
    pub templates: Vec<Template>,
}

/// The beginning of a message: a text, or the four parts of SBAR.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Template {
    /// What it is found by.
    pub name: String,
    /// The text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub text: Option<String>,
    /// What is happening.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub situation: Option<String>,
    /// What led to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub background: Option<String>,
    /// What is thought of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub assessment: Option<String>,
    /// What is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub recommendation: Option<String>,
}

impl Site {
    /// Whether it can be shown.
    pub(super) fn check(&self, text_chars: usize) -> Result<(), String> {
        if self.templates.len() > TEMPLATES_MAX {
            return Err(format!("[site] takes {TEMPLATES_MAX} templates at most."));
        }
        self.templates.iter().try_for_each(|template| template.check(text_chars))
    }
}

impl Template {
    fn check(&self, text_chars: usize) -> Result<(), String> {
        let Self { name, text, situation, background, assessment, recommendation } = self;
        if name.trim().is_empty() {
            return Err("A template in [[site.templates]] has no name.".into());
        }
        let parts = [situation, background, assessment, recommendation];
        if text.is_some() == parts.iter().any(|part| part.is_some()) {
            return Err(format!("The template \"{name}\" in [[site.templates]] needs either text or parts of SBAR."));
        }
        let chars = parts.iter().copied().chain([text]).flatten().map(|part| part.chars().count()).max();
        if chars.is_some_and(|chars| chars > text_chars) {
            return Err(format!("The template \"{name}\" in [[site.templates]] is longer than a message may be."));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::kernel::base::config::Config;

    #[test]
    fn a_template_is_a_text_or_sbar() {
        let taken = |text: &str| Config::parse(text).map(drop);
        let of = |rest: &str| format!("[[site.templates]]\nname = \"Ride\"\n{rest}");
        assert!(taken(&of("text = \"Who drives?\"")).is_ok());
        assert!(taken(&of("situation = \"No ride\"\nrecommendation = \"Ask the family\"")).is_ok());
        for wrong in ["", "text = \"a\"\nsituation = \"b\"", "txt = \"a\""] {
            assert!(taken(&of(wrong)).is_err(), "{wrong}");
        }
        let long = format!("text = \"{}\"", "x".repeat(8001));
        assert!(taken(&of(&long)).unwrap_err().contains("Ride"));
    }
}
