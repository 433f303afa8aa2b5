//! What the ops of check-ins take and answer, as types for the published documents, and what `checkin.get` shows.

use schemars::JsonSchema;
use serde::Serialize;

use super::model::Schedule;
use crate::features::channels::Sbar;
use crate::kernel::base::{ChannelId, ItemId, PatientId, ThingId, UserId};
use crate::kernel::engine::shape::{Reason, Text, Time};

/// From here on a channel checks in by this schedule; `rrule` null ends it.
#[derive(JsonSchema)]
pub struct ScheduleCheckin {
    /// Where.
    pub channel: ChannelId,
    /// When (RFC 5545, daily or slower), on the wall clock of the zone; null ends the schedule.
    #[schemars(required, length(max = 500))]
    pub rrule: Option<String>,
    /// An IANA name; UTC unless said otherwise.
    pub zone: Option<String>,
    /// Two to five.
    #[schemars(with = "Option<Vec<Reason>>")]
    pub questions: Option<Vec<String>>,
    /// How long there is to answer.
    #[schemars(range(min = 5, max = 10_080))]
    pub close_minutes: Option<i64>,
    /// Who is expected; every member of staff who reads the channel unless said otherwise.
    pub members: Option<Vec<UserId>>,
}

/// Answers a check-in, once.
#[derive(JsonSchema)]
pub struct AnswerCheckin {
    /// Which.
    pub checkin: ThingId,
    /// About what.
    pub item: Option<ItemId>,
    /// One for each question.
    #[schemars(with = "Vec<Text>")]
    pub answers: Vec<String>,
    /// What there is to say besides.
    pub sbar: Option<Sbar>,
}

/// Asks how a channel checks in.
#[derive(JsonSchema)]
pub struct OfChannel {
    /// Which.
    pub channel: ChannelId,
}

/// How a channel checks in, and the check-in that can be answered now.
#[derive(Serialize, JsonSchema)]
pub struct Checkin {
    /// None, if it has none.
    pub schedule: Option<Standing>,
    /// None between two of them.
    pub open: Option<Open>,
}

/// The schedule of a channel.
#[derive(Serialize, JsonSchema)]
pub struct Standing {
    /// What was accepted.
    #[serde(flatten)]
    pub schedule: Schedule,
    /// When the next one opens; null if the rule has ended.
    #[schemars(with = "Option<Time>")]
    pub next: Option<String>,
}

/// A check-in that can be answered.
#[derive(Serialize, JsonSchema)]
pub struct Open {
    /// Which.
    pub id: ThingId,
    /// When it opened.
    #[schemars(with = "Time")]
    pub at: String,
    /// Until when it can be answered.
    #[schemars(with = "Time")]
    pub closes_at: String,
    /// What is asked.
    #[schemars(with = "Vec<Reason>")]
    pub questions: Vec<String>,
    /// Who is to answer.
    pub expected: Vec<UserId>,
    /// Who has.
    pub answered: Vec<Given>,
    /// Who has not.
    pub silent: Vec<UserId>,
    /// How many of each.
    pub counts: Counts,
}

/// An answer that was given.
#[derive(Serialize, JsonSchema)]
pub struct Given {
    /// By whom.
    pub user: UserId,
    /// When.
    #[schemars(with = "Time")]
    pub at: String,
    /// The entry that says it.
    pub seq: i64,
}

/// How many people are to answer, and how many have.
#[derive(Serialize, JsonSchema)]
pub struct Counts {
    /// Are to.
    pub expected: usize,
    /// Have.
    pub answered: usize,
}

/// A check-in that can be answered, as the board shows it.
#[derive(Serialize, JsonSchema)]
pub struct Due {
    /// Which.
    pub id: ThingId,
    /// At whose record.
    pub patient: PatientId,
    /// Where.
    pub channel: ChannelId,
    /// Where it stands there.
    pub seq: i64,
    /// When it opened.
    #[schemars(with = "Time")]
    pub at: String,
    /// Until when it can be answered.
    #[schemars(with = "Time")]
    pub closes_at: String,
    /// Who has not answered.
    pub silent: Vec<UserId>,
}
