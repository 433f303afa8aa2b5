//! The rules of check-ins, pure: what a schedule says, who may answer and how often, and how a check-in ends.
//! Does not know: the database, frames, who may (policy decided that before). Time is handed in.
//!
//! | state | `answer` | close |
//! | --- | --- | --- |
//! | open | open; once a person who is expected | closed |
//! | closed | refused | refused |

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::features::channels::{Sbar, Words};
use crate::kernel::base::world::{MINUTE, rfc3339};
use crate::kernel::base::{ChannelId, Code, EntryId, ItemId, Micros, Recurrence, Refusal, ThingId, UserId};
use crate::kernel::engine::Data;
use crate::kernel::engine::fields::{Fields, bounded};
use crate::kernel::engine::shape::{Reason, Text, Time};

/// How few questions make a check-in, and how many people still answer.
const QUESTIONS: std::ops::RangeInclusive<usize> = 2..=5;
/// The shortest and the longest time to answer: five minutes, a week.
const CLOSE_MINUTES: std::ops::RangeInclusive<i64> = 5..=10_080;
/// Who may be listed at most: a named channel has no more.
const MEMBERS_MAX: usize = 200;
/// Missed times are counted up to here: a server that was away for longer says "at least so many".
const MISSED_MAX: u32 = 100;

/// How a channel checks in: when, what is asked, of whom, and how long.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Schedule {
    /// When (RFC 5545, daily or slower), on the wall clock of the zone.
    #[schemars(length(max = 500))]
    pub rrule: String,
    /// An IANA name.
    pub zone: String,
    /// What is asked.
    #[schemars(with = "Vec<Reason>", length(min = 2, max = 5))]
    pub questions: Vec<String>,
    /// How long there is to answer.
    #[schemars(range(min = 5, max = 10_080))]
    pub close_minutes: i64,
    /// Who is expected; absent: every member of staff who reads the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<UserId>>,
}

impl Schedule {
    /// The rule, begun at that time.
    ///
    /// # Errors
    /// `invalid`, field `rrule` or `zone`.
    pub fn recurrence(&self, start: Micros) -> Result<Recurrence, Refusal> {
        Recurrence::parse("rrule", &self.rrule, &self.zone, start)
    }
}

/// The command `checkin.schedule`: none ends what there was.
pub struct Plan {
    /// Where.
    pub channel: ChannelId,
    /// From here on.
    pub schedule: Option<Schedule>,
}

impl Plan {
    /// Reads the command.
    ///
    /// # Errors
    /// `invalid` or `too_large`, naming the field.
    pub fn parse(data: &Data) -> Result<Self, Refusal> {
        let fields = Fields(data);
        let channel = fields.required_id("channel")?;
        if !data.contains_key("rrule") {
            return Err(Refusal::invalid("rrule", "This field is a rule of RFC 5545, or null to end the schedule."));
        }
        let Some(rrule) = fields.string("rrule")? else { return Ok(Self { channel, schedule: None }) };
        let questions = fields.strings("questions")?;
        if !QUESTIONS.contains(&questions.len()) {
            return Err(Refusal::invalid("questions", "Ask two to five questions."));
        }
        let close_minutes = fields.required_integer("close_minutes")?;
        if !CLOSE_MINUTES.contains(&close_minutes) {
            return Err(Refusal::invalid("close_minutes", "Leave five minutes to a week for the answers."));
        }
        let members: BTreeSet<UserId> = fields.ids("members")?.into_iter().collect();
        if members.len() > MEMBERS_MAX {
            return Err(Refusal::invalid("members", "At most 200 people."));
        }
        let members = fields.get("members").map(|_| members.into_iter().collect());
        let zone = fields.string("zone")?.unwrap_or("UTC").to_owned();
        Ok(Self {
            channel,
            schedule: Some(Schedule { rrule: rrule.to_owned(), zone, questions, close_minutes, members }),
        })
    }

    /// What is recorded. `standing` says whether there is a schedule, `reads` who of the staff reads the channel now.
    ///
    /// # Errors
    /// `invalid`, field `rrule`, `zone` or `members`; `conflict` if there is nothing to end.
    pub fn decide(
        self,
        id: EntryId,
        now: Micros,
        standing: bool,
        reads: impl Fn(UserId) -> bool,
    ) -> Result<Scheduled, Refusal> {
        let Some(schedule) = self.schedule else {
            return match standing {
                true => Ok(Scheduled { id, schedule: None, start: None, next: None, dropped: 0 }),
                false => Err(Refusal::conflict("This channel has no schedule.")),
            };
        };
        let members = schedule.members.as_deref();
        if members.is_some_and(|members| members.is_empty() || !members.iter().all(|user| reads(*user))) {
            return Err(Refusal::invalid(
                "members",
                "List members of staff who read this channel, or leave this field out.",
            ));
        }
        // What the rule leaves open is taken from its start: whole minutes are what people write on a calendar.
        let start = now - now.rem_euclid(MINUTE);
        let next = schedule.recurrence(start)?.next_after(now);
        let next = next.ok_or_else(|| Refusal::invalid("rrule", "This rule brings no check-in within ten years."))?;
        let (start, next) = (Some(rfc3339(start)), Some(rfc3339(next)));
        Ok(Scheduled { id, schedule: Some(schedule), start, next, dropped: 0 })
    }
}

/// Body of `checkin.scheduled`: without a rule, the schedule has ended.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Scheduled {
    /// This entry.
    pub id: EntryId,
    /// From here on.
    #[serde(flatten)]
    pub schedule: Option<Schedule>,
    /// From when the rule is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub start: Option<String>,
    /// When the first check-in opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub next: Option<String>,
    /// Messages that waited and could not be posted any more.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: usize,
}

fn is_zero<T: Default + PartialEq>(count: &T) -> bool {
    *count == T::default()
}

/// Body of `checkin.opened`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Opened {
    /// The check-in.
    pub id: ThingId,
    /// What is asked.
    #[schemars(with = "Vec<Reason>")]
    pub questions: Vec<String>,
    /// Who is to answer.
    pub expected: Vec<UserId>,
    /// For when it was planned.
    #[schemars(with = "Time")]
    pub due: String,
    /// Until when it can be answered.
    #[schemars(with = "Time")]
    pub closes_at: String,
    /// When the next one opens; absent if the rule has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub next: Option<String>,
    /// Earlier ones that did not take place, as the server was away; at most 100 are counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed: u32,
    /// Messages that waited for it and could not be posted any more.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: usize,
}

/// Body of `checkin.answered`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Answered {
    /// The answer.
    pub id: EntryId,
    /// The check-in.
    pub checkin: ThingId,
    /// The plan item it is about.
    pub item: ItemId,
    /// One for each question.
    #[schemars(with = "Vec<Text>")]
    pub answers: Vec<String>,
    /// What there is to say besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sbar: Option<Sbar>,
}

/// Body of `checkin.closed`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Closed {
    /// This entry.
    pub id: EntryId,
    /// The check-in.
    pub checkin: ThingId,
    /// Who answered, in the order they did.
    pub answered: Vec<UserId>,
    /// Who was expected and did not.
    pub silent: Vec<UserId>,
}

/// When a schedule that is due opens, and when again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turn {
    /// The newest time that has come.
    pub due: Micros,
    /// The first one that has not.
    pub next: Option<Micros>,
    /// Times before `due` at which nothing opened.
    pub missed: u32,
}

impl Turn {
    /// What is to be done at `now` of a rule whose first open time is `due`.
    #[must_use]
    pub fn of(rule: &Recurrence, due: Micros, now: Micros) -> Self {
        let (mut newest, mut missed) = (due, 0);
        while let Some(next) = rule.next_after(newest).filter(|next| *next <= now && missed < MISSED_MAX) {
            newest = next;
            missed += 1;
        }
        Self { due: newest, next: rule.next_after(now.max(newest)), missed }
    }

    /// What is recorded: people have as long to answer as planned, counted from when it really opens.
    #[must_use]
    pub fn open(self, id: ThingId, schedule: &Schedule, expected: Vec<UserId>, now: Micros, dropped: usize) -> Opened {
        Opened {
            id,
            questions: schedule.questions.clone(),
            expected,
            due: rfc3339(self.due),
            closes_at: rfc3339(now.saturating_add(schedule.close_minutes.saturating_mul(MINUTE))),
            next: self.next.map(rfc3339),
            missed: self.missed,
            dropped,
        }
    }
}

/// The command `checkin.answer`.
pub struct Answer {
    /// Which check-in.
    pub checkin: ThingId,
    /// About what.
    pub item: Option<ItemId>,
    answers: Vec<String>,
    sbar: Option<Sbar>,
}

impl Answer {
    /// Reads the command; all texts together have at most `chars_max` Unicode scalar values, and as many again in the four parts.
    ///
    /// # Errors
    /// `invalid` or `too_large`, naming the field.
    pub fn parse(data: &Data, chars_max: usize) -> Result<Self, Refusal> {
        let fields = Fields(data);
        let wrong = || Refusal::invalid("answers", "This field is a list of texts, one for each question.");
        let list = fields.get("answers").and_then(serde_json::Value::as_array).ok_or_else(wrong)?;
        let answers: Result<Vec<String>, Refusal> =
            list.iter().map(|one| bounded("answers", one.as_str().ok_or_else(wrong)?, chars_max)).collect();
        let answers = answers?;
        if answers.iter().map(|one| one.chars().count()).sum::<usize>() > chars_max {
            let detail = format!("At most {chars_max} characters, all answers together.");
            return Err(Refusal::new(Code::TooLarge).field("answers").detail(&detail));
        }
        let sbar = match fields.get("sbar") {
            None => None,
            Some(_) => Words::parse(fields, chars_max)?.sbar().cloned(),
        };
        Ok(Self { checkin: fields.required_id("checkin")?, item: fields.id("item")?, answers, sbar })
    }
}

/// A check-in as the rules see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Which.
    pub id: ThingId,
    /// It can be answered.
    pub open: bool,
    /// How many questions it asks.
    pub questions: usize,
    /// Who is to answer.
    pub expected: Vec<UserId>,
    /// Who has, in the order they did.
    pub answered: Vec<UserId>,
}

impl Standing {
    fn stands(&self) -> Result<(), Refusal> {
        match self.open {
            true => Ok(()),
            false => Err(Refusal::new(Code::BadTransition)
                .detail("This check-in is closed.")
                .with("allowed", serde_json::Value::Array(Vec::new()))),
        }
    }

    /// That this person can answer now.
    ///
    /// # Errors
    /// `forbidden` to who is not expected, `bad_transition` once it is closed, `conflict` after their first answer.
    pub fn may_answer(&self, user: UserId) -> Result<(), Refusal> {
        if !self.expected.contains(&user) {
            return Err(Refusal::forbidden("This check-in does not ask you. Post a message."));
        }
        self.stands()?;
        if self.answered.contains(&user) {
            return Err(Refusal::conflict("You have answered this check-in. Say more in a message."));
        }
        Ok(())
    }

    /// Somebody answers.
    ///
    /// # Errors
    /// As [`Standing::may_answer`], and `invalid`, field `answers`, if there is not one for each question.
    pub fn answer(&self, id: EntryId, user: UserId, item: ItemId, answer: Answer) -> Result<Answered, Refusal> {
        self.may_answer(user)?;
        let Answer { answers, sbar, .. } = answer;
        if answers.len() != self.questions {
            return Err(Refusal::invalid("answers", "Give one answer for each question, in their order."));
        }
        Ok(Answered { id, checkin: self.id, item, answers, sbar })
    }

    /// It ends.
    ///
    /// # Errors
    /// `bad_transition` if it has.
    pub fn close(&self, id: EntryId) -> Result<Closed, Refusal> {
        self.stands()?;
        Ok(Closed { id, checkin: self.id, answered: self.answered.clone(), silent: self.silent() })
    }

    /// Who is expected and has not answered.
    #[must_use]
    pub fn silent(&self) -> Vec<UserId> {
        self.expected.iter().copied().filter(|user| !self.answered.contains(user)).collect()
    }
}

#[cfg(test)]
mod tests;
