//! A mail as it becomes a note: whose words, when, between whom, as far as it can be read.
//! Does not know: how a mail is read, where it came from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CLOCK_AHEAD_MAX, Logged, Medium, Participant, late, wrong_with};
use crate::features::channels::Words;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{FileId, ItemId, Micros, Refusal, ThingId, UserId};
use crate::kernel::engine::Data;
use crate::kernel::engine::fields::Fields;

/// What is kept of a mail beside its words.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mail {
    /// Its `Message-ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Its subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What the site's mail server found out about its sender (`Authentication-Results`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<String>,
}

/// A mail as it becomes a note.
pub struct FromMail {
    /// When what is in it was written.
    pub held_at: Micros,
    /// That time could not be read reliably.
    pub held_at_guessed: bool,
    /// Between whom, at least one.
    pub with: Vec<Participant>,
    /// All of its text.
    pub text: String,
    /// What goes with it: its parts, and the mail itself.
    pub files: Vec<FileId>,
    /// What is kept beside it.
    pub mail: Mail,
}

impl FromMail {
    /// What is recorded. A text over `chars_max` Unicode scalar values is cut; a time that has not come yet becomes `now`; whoever is not
    /// on the care team is kept by name.
    ///
    /// # Errors
    /// `invalid`, field `with` or `text`.
    pub fn decide(
        self,
        id: ThingId,
        item: ItemId,
        now: Micros,
        late_after_minutes: u32,
        chars_max: usize,
        member: impl Fn(UserId) -> bool,
    ) -> Result<Logged, Refusal> {
        let Self { held_at, held_at_guessed, mut with, text, files, mail } = self;
        if with.is_empty() || with.iter().any(|one| one.name.trim().is_empty()) {
            return Err(wrong_with());
        }
        for one in &mut with {
            one.user = one.user.filter(|user| member(*user));
        }
        let ahead = held_at > now.saturating_add(CLOCK_AHEAD_MAX);
        let held = if ahead { now } else { held_at };
        let cut = text.char_indices().nth(chars_max).map(|(at, _)| at);
        let mut data = Data::new();
        data.insert("text".into(), text.get(..cut.unwrap_or(text.len())).unwrap_or_default().into());
        let late_minutes = late(held, now, late_after_minutes);
        Ok(Logged {
            id,
            item,
            note: None,
            medium: Medium::Email,
            held_at: rfc3339(held),
            held_at_guessed: (held_at_guessed || ahead).then_some(true),
            ended_at: None,
            with,
            words: Words::parse(Fields(&data), chars_max)?,
            text_cut: cut.map(|_| true),
            decisions: Vec::new(),
            tasks: Vec::new(),
            class: None,
            late: late_minutes.is_some(),
            files,
            late_minutes,
            mail: Some(mail),
        })
    }
}
