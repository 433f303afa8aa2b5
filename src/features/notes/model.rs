//! The rules of notes, pure: what a note of a discussion outside must say, and when it comes late.
//! Does not know: the database, frames, who may (policy decided that before). Time is handed in.

pub mod life;
mod mail;

pub use mail::{FromMail, Mail};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::features::channels::{Class, Words};
use crate::features::files;
use crate::features::tasks::{NewTask, Work};
use crate::kernel::base::limits::TITLE_CHARS_MAX;
use crate::kernel::base::world::{MINUTE, rfc3339};
use crate::kernel::base::{ChannelId, FileId, ItemId, Micros, Refusal, ThingId, UserId};
use crate::kernel::engine::Data;
use crate::kernel::engine::fields::{Fields, bounded};
use crate::kernel::engine::shape::{Reason, Time, Title};

/// How far a client's clock may be ahead of ours.
pub(super) const CLOCK_AHEAD_MAX: Micros = 5 * MINUTE;

/// How people talked outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Medium {
    /// By telephone.
    Phone,
    /// In one place.
    InPerson,
    /// By video.
    Video,
    /// By e-mail.
    Email,
    /// By fax.
    Fax,
    /// By letter.
    Letter,
    /// Some other way.
    Other,
}

impl Medium {
    /// Every medium.
    pub const ALL: [Self; 7] =
        [Self::Phone, Self::InPerson, Self::Video, Self::Email, Self::Fax, Self::Letter, Self::Other];

    /// As on the wire.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::InPerson => "in_person",
            Self::Video => "video",
            Self::Email => "email",
            Self::Fax => "fax",
            Self::Letter => "letter",
            Self::Other => "other",
        }
    }

    const WORDS: &str = "phone, in_person, video, email, fax, letter, other";

    fn parse(fields: Fields<'_>) -> Result<Self, Refusal> {
        let missing = || Refusal::invalid("medium", &format!("This field is one of: {}.", Self::WORDS));
        Self::optional(fields)?.ok_or_else(missing)
    }

    fn optional(fields: Fields<'_>) -> Result<Option<Self>, Refusal> {
        let known = |text: &str| Self::ALL.into_iter().find(|medium| medium.text() == text);
        fields.word("medium", known, Self::WORDS)
    }
}

/// Somebody who took part.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Participant {
    /// How they are called.
    #[schemars(with = "Title")]
    pub name: String,
    /// As what they took part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Title>")]
    pub role: Option<String>,
    /// Their account, if they are on the care team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
}

impl Participant {
    /// Somebody of that name, as much of it as is kept.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.chars().take(TITLE_CHARS_MAX).collect(), role: None, user: None }
    }
}

/// A time as it is kept: RFC 3339 in UTC, as it was sent where it was sent so.
#[derive(Clone)]
struct Instant {
    at: Micros,
    text: String,
}

impl Instant {
    fn parse(fields: Fields<'_>, field: &'static str) -> Result<Option<Self>, Refusal> {
        let Some(at) = fields.time(field)? else { return Ok(None) };
        let sent = fields.string(field)?.unwrap_or_default();
        Ok(Some(Self { at, text: if is_utc(sent) { sent.to_owned() } else { rfc3339(at) } }))
    }
}

/// Whether a text that was read as a time has the form every reader knows: `2026-11-21T14:10:00Z`, with or without a fraction.
fn is_utc(text: &str) -> bool {
    let shape = |at: usize, c: u8| match at {
        4 | 7 => c == b'-',
        10 => c == b'T',
        13 | 16 => c == b':',
        _ => c.is_ascii_digit(),
    };
    let Some((seconds, rest)) = text.split_at_checked(19) else { return false };
    let fraction =
        rest.strip_suffix('Z').map(|rest| rest.strip_prefix('.').unwrap_or(if rest.is_empty() { "0" } else { "" }));
    seconds.bytes().enumerate().all(|(at, c)| shape(at, c))
        && fraction.is_some_and(|digits| (1..=9).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit()))
}

/// Documents a discussion that was held elsewhere.
#[derive(JsonSchema)]
pub struct Log {
    /// Where.
    pub channel: ChannelId,
    /// About what; what the marker is about if absent.
    pub item: Option<ItemId>,
    /// The open marker it closes.
    pub note: Option<ThingId>,
    /// How people talked.
    medium: Medium,
    /// When it began; at most five minutes ahead.
    #[schemars(with = "Time")]
    held_at: Instant,
    /// When it ended.
    #[schemars(with = "Option<Time>")]
    ended_at: Option<Instant>,
    /// Who took part besides the author.
    #[schemars(length(min = 1))]
    with: Vec<Participant>,
    #[schemars(flatten)]
    words: Words,
    /// What was decided.
    #[schemars(with = "Option<Vec<Reason>>")]
    decisions: Vec<String>,
    /// What is to be done about it: each becomes a task in the same commit.
    #[schemars(with = "Option<Vec<Work>>", length(max = 20))]
    pub tasks: Vec<NewTask>,
    /// Record class; the care record if absent.
    class: Option<Class>,
    /// Files uploaded to this channel, at most 20.
    #[schemars(with = "Option<Vec<FileId>>")]
    pub files: Vec<FileId>,
}

/// Body of `note.logged`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Logged {
    /// The note.
    pub id: ThingId,
    /// The plan item it is about.
    pub item: ItemId,
    /// The marker it closes; the note itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<ThingId>,
    /// How people talked.
    pub medium: Medium,
    /// When it began, RFC 3339 in UTC.
    #[schemars(with = "Time")]
    pub held_at: String,
    /// No time could be read: `held_at` is when it came in. Absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_at_guessed: Option<bool>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub ended_at: Option<String>,
    /// Who took part besides the author.
    pub with: Vec<Participant>,
    /// `text` or `sbar`.
    #[serde(flatten)]
    pub words: Words,
    /// The text was longer than what is kept. Absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_cut: Option<bool>,
    /// What was decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<String>,
    /// The tasks it made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<ThingId>,
    /// Record class; the care record if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Logged later than the site allows for, by the server's clock.
    pub late: bool,
    /// Files that go with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileId>,
    /// How many minutes after the end of the discussion, where it is late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_minutes: Option<i64>,
    /// The mail it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<Mail>,
}

/// How many minutes late a note is that is logged at `now`; none if it is in time.
fn late(ended: Micros, now: Micros, after_minutes: u32) -> Option<i64> {
    let delay = now.saturating_sub(ended);
    (delay > Micros::from(after_minutes).saturating_mul(MINUTE)).then_some(delay / MINUTE)
}

/// Members of `note.log` that are kept for later: naming one now must not be lost in silence.
const RESERVED: [&str; 1] = ["enc"];

impl Log {
    /// Reads the command; a text has at most `chars_max` Unicode scalar values.
    ///
    /// # Errors
    /// `invalid` or `too_large`, naming the field.
    pub fn parse(data: &Data, chars_max: usize) -> Result<Self, Refusal> {
        let fields = Fields(data);
        if let Some(field) = RESERVED.into_iter().find(|field| fields.get(field).is_some()) {
            return Err(Refusal::invalid(field, "This server does not take this field yet."));
        }
        Ok(Self {
            channel: fields.required_id("channel")?,
            item: fields.id("item")?,
            note: fields.id("note")?,
            medium: Medium::parse(fields)?,
            held_at: Instant::parse(fields, "held_at")?
                .ok_or_else(|| Refusal::invalid("held_at", "Say when the discussion was held."))?,
            ended_at: Instant::parse(fields, "ended_at")?,
            with: participants(fields)?,
            words: Words::parse(fields, chars_max)?,
            decisions: fields.strings("decisions")?,
            tasks: NewTask::parse_list(fields, "tasks", chars_max)?,
            class: Class::parse(fields)?,
            files: files::parse(fields)?,
        })
    }

    /// What is recorded once the item is found. `member` says who is on the care team now.
    ///
    /// # Errors
    /// `invalid`, field `held_at`, `ended_at` or `with`.
    pub fn decide(
        self,
        id: ThingId,
        item: ItemId,
        now: Micros,
        late_after_minutes: u32,
        member: impl Fn(UserId) -> bool,
    ) -> Result<Logged, Refusal> {
        let Self { note, medium, held_at, ended_at, with, words, decisions, class, files, .. } = self;
        let latest = now.saturating_add(CLOCK_AHEAD_MAX);
        if held_at.at > latest {
            return Err(Refusal::invalid("held_at", "This time is in the future."));
        }
        let ended = ended_at.as_ref().map_or(held_at.at, |ended| ended.at);
        if ended < held_at.at || ended > latest {
            return Err(Refusal::invalid("ended_at", "A discussion ends after it began, and not in the future."));
        }
        if !with.iter().filter_map(|one| one.user).all(member) {
            return Err(wrong_with());
        }
        let late_minutes = late(ended, now, late_after_minutes);
        Ok(Logged {
            id,
            item,
            note,
            medium,
            held_at: held_at.text,
            held_at_guessed: None,
            ended_at: ended_at.map(|ended| ended.text),
            with,
            words,
            text_cut: None,
            decisions,
            tasks: Vec::new(),
            class,
            late: late_minutes.is_some(),
            files,
            late_minutes,
            mail: None,
        })
    }
}

fn wrong_with() -> Refusal {
    Refusal::invalid(
        "with",
        "This field lists who took part, at least one: {\"name\": .., \"role\": .., \"user\": ..}; `user` is on the care team.",
    )
}

fn participants(fields: Fields<'_>) -> Result<Vec<Participant>, Refusal> {
    let list = fields.get("with").and_then(Value::as_array).filter(|list| !list.is_empty()).ok_or_else(wrong_with)?;
    list.iter().map(|one| participant(one).ok_or_else(wrong_with)).collect()
}

fn participant(value: &Value) -> Option<Participant> {
    let fields = Fields(value.as_object()?);
    let name = bounded("with", fields.string("name").ok()??, TITLE_CHARS_MAX).ok()?;
    let role = fields.string("role").ok()?.map(|role| bounded("with", role, TITLE_CHARS_MAX)).transpose().ok()?;
    Some(Participant { name, role, user: fields.id("user").ok()? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::kernel::base::world::parse_rfc3339;

    const NOW: &str = "2026-11-21T15:00:00Z";

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn log(more: Value) -> Result<Log, Refusal> {
        let with = json!([{"name": "Dr. Osei", "role": "nephrologist"}]);
        let mut data = json!({"channel": id(1), "item": id(2), "medium": "phone", "held_at": "2026-11-21T14:10:00Z", "with": with, "text": "a"});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Log::parse(data.as_object().unwrap(), 8000)
    }

    fn logged(more: Value) -> Result<Logged, Refusal> {
        let now = parse_rfc3339(NOW).unwrap();
        log(more)?.decide(ThingId(id(9)), ItemId(id(2)), now, 60, |user| user == UserId(id(5)))
    }

    fn field(more: Value) -> Option<&'static str> {
        let refusal = logged(more.clone()).err().unwrap_or_else(|| panic!("{more} was taken"));
        assert_eq!(refusal.code, crate::kernel::base::Code::Invalid);
        refusal.field
    }

    #[test]
    fn a_note_says_who_how_and_when() {
        for with in [json!(null), json!([]), json!("Dr. Osei"), json!(["Dr. Osei"]), json!([{"role": "nephrologist"}])]
        {
            assert_eq!(field(json!({ "with": with })), Some("with"));
        }
        assert_eq!(field(json!({"with": [{"name": " "}]})), Some("with"));
        assert_eq!(field(json!({"with": [{"name": "A", "user": "x"}]})), Some("with"));
        assert_eq!(field(json!({"with": [{"name": "A", "user": id(6)}]})), Some("with"));
        assert!(logged(json!({"with": [{"name": "A", "user": id(5)}, {"name": "B"}]})).is_ok());
        assert_eq!(field(json!({"medium": "pigeon"})), Some("medium"));
        assert_eq!(field(json!({"medium": null})), Some("medium"));
        assert_eq!(field(json!({"held_at": null})), Some("held_at"));
        assert_eq!(field(json!({"held_at": "yesterday"})), Some("held_at"));
        assert_eq!(field(json!({"decisions": "a"})), Some("decisions"));
        assert_eq!(field(json!({"files": [id(1), id(1)]})), Some("files"));
        assert_eq!(field(json!({"enc": "x"})), Some("enc"));
    }

    #[test]
    fn times_are_not_in_the_future_and_in_order() {
        assert_eq!(field(json!({"held_at": "2026-11-21T15:05:01Z"})), Some("held_at"));
        assert!(logged(json!({"held_at": "2026-11-21T15:05:00Z"})).is_ok());
        assert_eq!(field(json!({"ended_at": "2026-11-21T14:09:59Z"})), Some("ended_at"));
        assert_eq!(field(json!({"ended_at": "2026-11-21T15:05:01Z"})), Some("ended_at"));
    }

    #[test]
    fn times_are_kept_in_utc_as_sent() {
        let kept = |held_at: &str| logged(json!({ "held_at": held_at })).unwrap().held_at;
        assert_eq!(kept("2026-11-21T14:10:00Z"), "2026-11-21T14:10:00Z");
        assert_eq!(kept("2026-11-21T16:10:00+02:00"), "2026-11-21T14:10:00.000000Z");
        assert_eq!(kept("2026-11-21T14:10:00.25Z"), "2026-11-21T14:10:00.25Z");
        for odd in ["2026-11-21 14:10Z", "2026-11-21t14:10:00z", "2026-11-21T14:10Z", "2026-11-21T14:10:00Z[UTC]"] {
            assert_eq!(kept(odd), "2026-11-21T14:10:00.000000Z", "{odd}");
        }
    }

    #[test]
    fn late_counts_from_the_end() {
        assert!(!logged(json!({"held_at": "2026-11-21T14:00:00Z"})).unwrap().late);
        assert!(logged(json!({"held_at": "2026-11-21T13:59:59Z"})).unwrap().late);
        let long = json!({"held_at": "2026-11-21T11:00:00Z", "ended_at": "2026-11-21T14:00:00Z"});
        assert!(!logged(long).unwrap().late);
    }

    #[test]
    fn the_body_holds_what_was_accepted() {
        let body = logged(
            json!({"decisions": ["Dose unchanged"], "class": "care_record", "ended_at": "2026-11-21T14:20:00Z"}),
        );
        let expected = json!({"id": id(9), "item": id(2), "medium": "phone", "held_at": "2026-11-21T14:10:00Z", "ended_at": "2026-11-21T14:20:00Z",
            "with": [{"name": "Dr. Osei", "role": "nephrologist"}], "text": "a", "decisions": ["Dose unchanged"], "class": "care_record", "late": false});
        assert_eq!(serde_json::to_value(body.unwrap()).unwrap(), expected);
        let again: Logged = serde_json::from_value(expected).unwrap();
        assert!(again.medium == Medium::Phone && again.words.plain() == "a");
    }

    proptest! {
        /// A note that is taken never ends before it began, never lies ahead, and is late exactly past the limit.
        #[test]
        fn a_note_that_is_taken_lies_in_the_past(held in -200_i64..20, lasted in prop::option::of(-10_i64..100), limit in 0_u32..120) {
            let now = parse_rfc3339(NOW).unwrap();
            let held_at = now + held * MINUTE;
            let ended_at = lasted.map(|minutes| held_at + minutes * MINUTE);
            let log = log(json!({"held_at": rfc3339(held_at), "ended_at": ended_at.map(rfc3339)})).unwrap();
            let ended = ended_at.unwrap_or(held_at);
            let fits = held_at <= ended && held_at.max(ended) <= now + CLOCK_AHEAD_MAX;
            match log.decide(ThingId(id(9)), ItemId(id(2)), now, limit, |_| true) {
                Ok(logged) => {
                    prop_assert!(fits);
                    prop_assert_eq!(logged.late, now - ended > i64::from(limit) * MINUTE);
                }
                Err(_) => prop_assert!(!fits),
            }
        }
    }
}
