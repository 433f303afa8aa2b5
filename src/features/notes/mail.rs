//! A note made of a mail: the words somebody wrote elsewhere, by whoever brought them in.
//! Does not know: how a mail is read, where it came from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LOGGED;
use super::model::{self, Logged, Medium, Participant};
use crate::features::channels::Words;
use crate::features::files;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{FileId, Micros, Refusal, Stop, ThingId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Link, Write};
use crate::kernel::log::Fact;
use crate::kernel::policy::Permit;

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
    /// What is kept beside it.
    pub mail: Mail,
    /// Files of the caller in the channel: what came with it, and the mail as it came.
    pub files: Vec<FileId>,
}

/// Documents a mail by whoever runs the command, who may document in the channel of `permit`. Whoever calls has checked the key, and has
/// recorded nothing before.
///
/// # Errors
/// `invalid`, field `with` or `text`, or the database's.
pub async fn log_from_mail(cx: &mut Write<'_>, permit: &Permit, link: Link, mail: FromMail) -> Result<Fact, Stop> {
    let shared = cx.ledger().shared().clone();
    let access = cx.ledger().access(permit.patient()).await?.ok_or_else(Refusal::not_found)?;
    let (id, now) = (ThingId(cx.new_id()), cx.now());
    let FromMail { held_at, held_at_guessed, mut with, text, mail, files } = mail;
    let taken = files::take(cx, permit, &files).await?;
    if with.is_empty() {
        return Err(Refusal::invalid("with", "A mail is between people.").into());
    }
    for one in &mut with {
        one.user = one.user.filter(|user| access.member(*user, now).is_some());
    }
    let ahead = held_at > now.saturating_add(model::CLOCK_AHEAD_MAX);
    let held = if ahead { now } else { held_at };
    let chars_max = shared.config.limits.text_chars;
    let cut = text.char_indices().nth(chars_max).map(|(at, _)| at);
    let mut data = Data::new();
    data.insert("text".into(), text.get(..cut.unwrap_or(text.len())).unwrap_or_default().into());
    let logged = Logged {
        id,
        item: link.item(),
        medium: Medium::Email,
        held_at: rfc3339(held),
        held_at_guessed: (held_at_guessed || ahead).then_some(true),
        ended_at: None,
        with,
        words: Words::parse(Fields(&data), chars_max)?,
        text_cut: cut.map(|_| true),
        decisions: Vec::new(),
        class: None,
        late: model::is_late(held, now, shared.config.notes.late_after_minutes),
        mail: Some(mail),
        files,
    };
    cx.record_with(permit.channel(), LOGGED, kind::NOTE, Some(link.item()), id.0, &logged, &taken.commitments).await
}
