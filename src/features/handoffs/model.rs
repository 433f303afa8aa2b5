//! The rules of handoffs, pure: what is offered, the states and the steps between them, and when it is brought before whom again.
//! Does not know: the database, who may (policy decided that before), what a task is beyond its id.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::entries::{Actions, Cause, Ipass, Offered, Severity};
use crate::kernel::base::limits::REASON_CHARS_MAX;
use crate::kernel::base::world::MINUTE;
use crate::kernel::base::{Code, Micros, PatientId, Refusal, ThingId, UserId};
use crate::kernel::engine::Data;
use crate::kernel::engine::fields::{Fields, bounded};
use crate::kernel::policy::Responsibility;

/// Actions of one handoff: far more than anybody reads out at the end of a shift.
pub const ACTIONS_MAX: usize = 100;
/// A day: nobody is reminded less often.
const DAY_MINUTES: u32 = 1440;

/// Where a handoff stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits for the receiver.
    Offered,
    /// The receiver has it.
    Accepted,
    /// The receiver does not take it; it waits for the offerer.
    Declined,
    /// It is offered no more.
    Withdrawn,
    /// It was declined, and a later offer stands in its place.
    Replaced,
}

/// What leads from one state to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// The receiver takes it.
    Accept,
    /// The receiver does not.
    Decline,
    /// The offerer or the lead takes it back.
    Withdraw,
    /// The offerer offers the same anew.
    Replace,
}

/// Every way there is.
pub const WAYS: [(State, Step, State); 5] = [
    (State::Offered, Step::Accept, State::Accepted),
    (State::Offered, Step::Decline, State::Declined),
    (State::Offered, Step::Withdraw, State::Withdrawn),
    (State::Declined, Step::Withdraw, State::Withdrawn),
    (State::Declined, Step::Replace, State::Replaced),
];

impl State {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Offered, Self::Accepted, Self::Declined, Self::Withdrawn, Self::Replaced];

    /// The number in the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Offered => 0,
            Self::Accepted => 1,
            Self::Declined => 2,
            Self::Withdrawn => 3,
            Self::Replaced => 4,
        }
    }

    /// From the number in the database.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// As on the wire.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Accepted => "accepted",
            Self::Declined => "declined",
            Self::Withdrawn => "withdrawn",
            Self::Replaced => "replaced",
        }
    }

    /// Somebody still has to do something about it.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Offered | Self::Declined)
    }

    /// Where a step leads.
    ///
    /// # Errors
    /// `bad_transition`, with the states that can be reached.
    pub fn after(self, step: Step) -> Result<Self, Refusal> {
        let ways = WAYS.into_iter().filter(|(from, ..)| *from == self);
        if let Some((.., to)) = ways.clone().find(|(_, taken, _)| *taken == step) {
            return Ok(to);
        }
        let allowed: Vec<&str> = ways.map(|(.., to)| to.text()).collect();
        Err(Refusal::new(Code::BadTransition)
            .detail(match self {
                Self::Offered => "This handoff is not answered yet.",
                Self::Declined => "This handoff was declined. Offer it anew, or take it back.",
                Self::Accepted | Self::Withdrawn | Self::Replaced => "This handoff is over.",
            })
            .with("allowed", allowed.into()))
    }

    /// Why it is brought before somebody again while it stands so; none where it is over.
    #[must_use]
    pub const fn cause(self) -> Option<Cause> {
        match self {
            Self::Offered => Some(Cause::Unanswered),
            Self::Declined => Some(Cause::Declined),
            Self::Accepted | Self::Withdrawn | Self::Replaced => None,
        }
    }
}

/// How long it then rests after it was escalated so many times: what was given twice, then ever twice as long, a day at most.
#[must_use]
pub fn rest(minutes: i64, escalated: i64) -> Micros {
    let doublings = u32::try_from(escalated.saturating_sub(1).clamp(0, 11)).unwrap_or_default();
    (minutes << doublings).min(i64::from(DAY_MINUTES)) * MINUTE
}

/// Whether the receiver is reminded at this step, before whoever leads is told.
#[must_use]
pub fn reminds_receiver(state: State, step: i64) -> bool {
    state == State::Offered && step == 1
}

/// Offers your work at a patient to a colleague.
#[derive(JsonSchema)]
pub struct Offer {
    /// At which patient.
    pub patient: PatientId,
    /// To whom: staff of the care team.
    pub to: UserId,
    /// What they have to know.
    pub ipass: Ipass,
    /// Open tasks of yours at this patient; all of them if absent.
    pub tasks: Option<Vec<ThingId>>,
    /// Responsibilities of yours; all of them if absent.
    pub responsibilities: Option<Vec<Responsibility>>,
    /// Minutes until whoever has to act is reminded; as the server is set if absent.
    #[schemars(range(min = 1, max = DAY_MINUTES))]
    pub respond_minutes: Option<u32>,
}

impl Offer {
    /// Reads the command; a text has at most `chars_max` Unicode scalar values.
    ///
    /// # Errors
    /// `invalid` or `too_large`, naming the field.
    pub fn parse(data: &Data, chars_max: usize) -> Result<Self, Refusal> {
        let fields = Fields(data);
        Ok(Self {
            patient: fields.required_id("patient")?,
            to: fields.required_id("to")?,
            ipass: ipass(fields, chars_max)?,
            tasks: fields.get("tasks").map(|_| fields.ids("tasks")).transpose()?.map(each_once),
            responsibilities: responsibilities(fields)?,
            respond_minutes: fields.integer("respond_minutes")?.map(minutes).transpose()?,
        })
    }
}

fn minutes(asked: i64) -> Result<u32, Refusal> {
    u32::try_from(asked).ok().filter(|minutes| (1..=DAY_MINUTES).contains(minutes)).ok_or_else(|| {
        Refusal::invalid("respond_minutes", "This field is a number of minutes: 1 to 1440, which is a day.")
    })
}

fn each_once(ids: Vec<ThingId>) -> Vec<ThingId> {
    let mut found: Vec<ThingId> = Vec::with_capacity(ids.len());
    for id in ids {
        if !found.contains(&id) {
            found.push(id);
        }
    }
    found
}

fn responsibilities(fields: Fields<'_>) -> Result<Option<Vec<Responsibility>>, Refusal> {
    const FIELD: &str = "responsibilities";
    let wrong = || Refusal::invalid(FIELD, "This field is a list of: lead, plan, barriers.");
    let Some(list) = fields.get(FIELD) else { return Ok(None) };
    let list = list.as_array().ok_or_else(wrong)?;
    let one = |value: &Value| value.as_str().and_then(Responsibility::from_text).ok_or_else(wrong);
    let mut found = list.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    found.sort_unstable();
    found.dedup();
    Ok(Some(found))
}

fn ipass(fields: Fields<'_>, chars_max: usize) -> Result<Ipass, Refusal> {
    const FIELD: &str = "ipass";
    let wrong = || {
        Refusal::invalid(
            FIELD,
            "This field holds illness_severity (stable, watcher, unstable), patient_summary, action_list, situation_awareness.",
        )
    };
    let given = fields.get(FIELD).and_then(Value::as_object).ok_or_else(wrong)?;
    let text = |name: &str| bounded(FIELD, given.get(name).and_then(Value::as_str).ok_or_else(wrong)?, chars_max);
    let severity = given.get("illness_severity").and_then(Value::as_str).and_then(Severity::from_text);
    let action_list = match given.get("action_list") {
        Some(Value::Array(list)) if list.len() <= ACTIONS_MAX => {
            let one = |value: &Value| bounded(FIELD, value.as_str().ok_or_else(wrong)?, REASON_CHARS_MAX);
            Actions::List(list.iter().map(one).collect::<Result<_, _>>()?)
        }
        _ => Actions::Text(text("action_list")?),
    };
    Ok(Ipass {
        illness_severity: severity.ok_or_else(wrong)?,
        patient_summary: text("patient_summary")?,
        action_list,
        situation_awareness: text("situation_awareness")?,
    })
}

/// What the offerer has at the patient when they offer.
pub struct Work {
    /// Their open tasks that can move to the receiver.
    pub tasks: Vec<ThingId>,
    /// Their open tasks that cannot: the receiver does not read them.
    pub stuck: Vec<ThingId>,
    /// What they answer for.
    pub held: Vec<Responsibility>,
    /// Handoffs of theirs that were declined and still stand.
    pub declined: Vec<Former>,
}

/// A handoff that was declined, by what it was to move.
pub struct Former {
    /// It.
    pub id: ThingId,
    /// The tasks.
    pub tasks: Vec<ThingId>,
    /// The responsibilities.
    pub responsibilities: Vec<Responsibility>,
}

/// Decides what is offered.
///
/// # Errors
/// `not_found`, field `tasks`, for a task that is not an open one of the offerer; `invalid` for one the receiver could not read, and
/// for a responsibility the offerer does not hold.
pub fn decide_offer(offer: Offer, id: ThingId, work: &Work, minutes: u32) -> Result<Offered, Refusal> {
    let Offer { patient, to, ipass, tasks, responsibilities, respond_minutes } = offer;
    let (tasks, left) = match tasks {
        None => (work.tasks.clone(), work.stuck.clone()),
        Some(named) => {
            if !named.iter().all(|task| work.tasks.contains(task) || work.stuck.contains(task)) {
                return Err(Refusal::not_found().field("tasks"));
            }
            if named.iter().any(|task| work.stuck.contains(task)) {
                let detail = "One of these tasks stands in a channel the receiver does not read. Leave it out.";
                return Err(Refusal::invalid("tasks", detail));
            }
            (named, Vec::new())
        }
    };
    let responsibilities = responsibilities.unwrap_or_else(|| work.held.clone());
    if !responsibilities.iter().all(|one| work.held.contains(one)) {
        return Err(Refusal::invalid("responsibilities", "You can hand over only what you answer for yourself."));
    }
    // What was declined is offered anew if all of it that is still the offerer's is in this offer.
    let covers = |former: &&Former| {
        former.tasks.iter().filter(|task| work.tasks.contains(task)).all(|task| tasks.contains(task))
            && former
                .responsibilities
                .iter()
                .filter(|one| work.held.contains(one))
                .all(|one| responsibilities.contains(one))
    };
    let replaces = work.declined.iter().filter(covers).map(|former| former.id).collect();
    let respond_minutes = respond_minutes.unwrap_or(minutes);
    Ok(Offered { id, patient, to, ipass, tasks, left, responsibilities, respond_minutes, replaces })
}

#[cfg(test)]
mod tests;
