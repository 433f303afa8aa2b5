//! The life of a note as a table: opened, then documented or dismissed, then confirmed or disputed by those who took part.
//! Does not know: the database, who may. Invariants: the words of a note are no part of its life, nothing here changes them; a dismissed
//! marker is at its end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Medium, Participant, participants, wrong_with};
use crate::features::channels::Words;
use crate::kernel::base::{ChannelId, Code, EntryId, ItemId, Refusal, ThingId, UserId};
use crate::kernel::engine::Data;
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::shape::Reason;

/// Where a note stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A marker: taken elsewhere, and not documented yet.
    Open,
    /// It says what was said.
    Documented,
    /// Somebody who took part says that it was so, and nobody says otherwise.
    Confirmed,
    /// Somebody who took part says that it was not so.
    Disputed,
    /// A marker that came to nothing.
    Dismissed,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Open, Self::Documented, Self::Confirmed, Self::Disputed, Self::Dismissed];

    /// The number kept with the named thing.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Open => 0,
            Self::Documented => 1,
            Self::Confirmed => 2,
            Self::Disputed => 3,
            Self::Dismissed => 4,
        }
    }

    /// From the number kept with the named thing.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// As on the wire.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Documented => "documented",
            Self::Confirmed => "confirmed",
            Self::Disputed => "disputed",
            Self::Dismissed => "dismissed",
        }
    }
}

/// What is done to a note.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Says what was said.
    Document,
    /// Gives a marker up.
    Dismiss,
    /// Says that it was so.
    Confirm,
    /// Says that it was not so.
    Dispute,
    /// Adds to what is written.
    Addend,
}

/// What can be done, and where it leads. Confirming leads to disputed while somebody else disputes still: [`standing`].
const TABLE: [(State, Step, State); 11] = [
    (State::Open, Step::Document, State::Documented),
    (State::Open, Step::Dismiss, State::Dismissed),
    (State::Documented, Step::Confirm, State::Confirmed),
    (State::Documented, Step::Dispute, State::Disputed),
    (State::Documented, Step::Addend, State::Documented),
    (State::Confirmed, Step::Confirm, State::Confirmed),
    (State::Confirmed, Step::Dispute, State::Disputed),
    (State::Confirmed, Step::Addend, State::Confirmed),
    (State::Disputed, Step::Confirm, State::Confirmed),
    (State::Disputed, Step::Dispute, State::Disputed),
    (State::Disputed, Step::Addend, State::Disputed),
];

/// The states a note can come to from here, itself left out.
fn next(state: State) -> Vec<State> {
    let mut next: Vec<State> = Vec::new();
    for (_, _, to) in TABLE.into_iter().filter(|(from, _, to)| *from == state && to != from) {
        if !next.contains(&to) {
            next.push(to);
        }
    }
    next
}

fn bad_transition(allowed: &[State], detail: &str) -> Refusal {
    let allowed: Vec<&str> = allowed.iter().map(|state| state.text()).collect();
    Refusal::new(Code::BadTransition).detail(detail).with("allowed", allowed.into())
}

/// Where a step leads.
///
/// # Errors
/// `bad_transition` if it cannot be taken from here.
pub fn take(state: State, step: Step) -> Result<State, Refusal> {
    let found = TABLE.into_iter().find(|(from, by, _)| *from == state && *by == step);
    found.map(|(_, _, to)| to).ok_or_else(|| {
        let detail = match state {
            State::Open => "This discussion is not documented yet: document it with `note.log`, or dismiss it.",
            State::Dismissed => "This marker was dismissed.",
            State::Documented | State::Confirmed | State::Disputed => "This discussion is documented already.",
        };
        bad_transition(&next(state), detail)
    })
}

/// What somebody who took part says of a note.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was so.
    Confirmed,
    /// It was not so.
    Disputed,
}

impl Verdict {
    /// The step that says so.
    #[must_use]
    pub const fn step(self) -> Step {
        match self {
            Self::Confirmed => Step::Confirm,
            Self::Disputed => Step::Dispute,
        }
    }
}

/// What each person said last, of all that was said in order.
#[must_use]
pub fn last_of_each(said: &[(UserId, Verdict)]) -> Vec<(UserId, Verdict)> {
    let mut last: Vec<(UserId, Verdict)> = Vec::new();
    for (user, verdict) in said {
        last.retain(|(known, _)| known != user);
        last.push((*user, *verdict));
    }
    last
}

/// Where a documented note stands by what was said of it: one who disputes it outweighs all who confirm.
#[must_use]
pub fn standing(said: &[(UserId, Verdict)]) -> State {
    let last = last_of_each(said);
    let any = |verdict| last.iter().any(|(_, held)| *held == verdict);
    match (any(Verdict::Disputed), any(Verdict::Confirmed)) {
        (true, _) => State::Disputed,
        (false, true) => State::Confirmed,
        (false, false) => State::Documented,
    }
}

/// Somebody says whether it was so; gives the state the note has from then on.
///
/// # Errors
/// `bad_transition` before it is documented, and for whoever said the same last.
pub fn judge(state: State, said: &[(UserId, Verdict)], user: UserId, verdict: Verdict) -> Result<State, Refusal> {
    take(state, verdict.step())?;
    if last_of_each(said).contains(&(user, verdict)) {
        let allowed = match verdict {
            Verdict::Confirmed => State::Disputed,
            Verdict::Disputed => State::Confirmed,
        };
        return Err(bad_transition(&[allowed], "You have said this of the note before."));
    }
    let mut said = said.to_vec();
    said.push((user, verdict));
    Ok(standing(&said))
}

/// Marks that a discussion was taken elsewhere, until it is documented.
#[derive(JsonSchema)]
pub struct Open {
    /// Where.
    pub channel: ChannelId,
    /// About what.
    pub item: Option<ItemId>,
    /// How people talk.
    medium: Option<Medium>,
    /// With whom.
    #[schemars(length(min = 1))]
    with: Option<Vec<Participant>>,
}

/// Body of `note.opened`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Opened {
    /// The note.
    pub id: ThingId,
    /// The plan item it is about.
    pub item: ItemId,
    /// How people talk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medium: Option<Medium>,
    /// With whom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<Participant>,
    /// After how many minutes whoever opened it is reminded; then after twice as many, and so on, up to a day.
    pub remind_minutes: u32,
}

impl Open {
    /// Reads `note.open`.
    ///
    /// # Errors
    /// `invalid` or `too_large`, naming the field.
    pub fn parse(data: &Data) -> Result<Self, Refusal> {
        let fields = Fields(data);
        if fields.get("text").is_some() || fields.get("sbar").is_some() {
            return Err(Refusal::invalid("text", "A marker has no words: document the discussion with `note.log`."));
        }
        Ok(Self {
            channel: fields.required_id("channel")?,
            item: fields.id("item")?,
            medium: Medium::optional(fields)?,
            with: fields.get("with").map(|_| participants(fields)).transpose()?,
        })
    }

    /// What is recorded once the item is found. `member` says who is on the care team now.
    ///
    /// # Errors
    /// `invalid`, field `with`.
    pub fn decide(
        self,
        id: ThingId,
        item: ItemId,
        remind_minutes: u32,
        member: impl Fn(UserId) -> bool,
    ) -> Result<Opened, Refusal> {
        let with = self.with.unwrap_or_default();
        if !with.iter().filter_map(|one| one.user).all(member) {
            return Err(wrong_with());
        }
        Ok(Opened { id, item, medium: self.medium, with, remind_minutes })
    }
}

/// The longest pause between two reminders, in minutes.
const PAUSE_MINUTES_MAX: u32 = 24 * 60;

/// The pause after the reminder of that number, from 0 before the first.
#[must_use]
pub fn pause_minutes(first: u32, reminders: u32) -> u32 {
    first.max(1).saturating_mul(1_u32.checked_shl(reminders).unwrap_or(u32::MAX)).min(PAUSE_MINUTES_MAX.max(first))
}

/// Body of `note.reminded`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Reminded {
    /// This reminder.
    pub id: EntryId,
    /// Of which marker.
    pub note: ThingId,
    /// Whom.
    pub to: Vec<UserId>,
    /// The how many-th it is, from 1.
    pub step: u32,
    /// After how many minutes the next one follows.
    pub remind_minutes: u32,
}

/// Body of `note.dismissed`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Dismissed {
    /// This entry.
    pub id: EntryId,
    /// The marker.
    pub note: ThingId,
    /// Why nothing came of it.
    #[schemars(with = "Reason")]
    pub reason: String,
}

/// Body of `note.confirmed`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Confirmed {
    /// This entry.
    pub id: EntryId,
    /// The note.
    pub note: ThingId,
    /// Where the note stands from here on.
    pub state: State,
}

/// Body of `note.disputed`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Disputed {
    /// This entry.
    pub id: EntryId,
    /// The note.
    pub note: ThingId,
    /// What was not so.
    #[schemars(with = "Reason")]
    pub reason: String,
    /// Where the note stands from here on.
    pub state: State,
}

/// Body of `note.addended`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Addended {
    /// This addendum.
    pub id: EntryId,
    /// The note.
    pub note: ThingId,
    /// `text` or `sbar`.
    #[serde(flatten)]
    pub words: Words,
}

/// Adds to a documented note.
#[derive(JsonSchema)]
pub struct Addend {
    /// Which.
    pub note: ThingId,
    #[schemars(flatten)]
    words: Words,
}

impl Addend {
    /// Reads `note.addend`.
    ///
    /// # Errors
    /// `invalid` or `too_large`, naming the field.
    pub fn parse(data: &Data, chars_max: usize) -> Result<Self, Refusal> {
        let fields = Fields(data);
        Ok(Self { note: fields.required_id("note")?, words: Words::parse(fields, chars_max)? })
    }

    /// What is recorded.
    #[must_use]
    pub fn decide(self, id: EntryId) -> Addended {
        Addended { id, note: self.note, words: self.words }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const STEPS: [Step; 5] = [Step::Document, Step::Dismiss, Step::Confirm, Step::Dispute, Step::Addend];

    fn user(n: u8) -> UserId {
        UserId(Uuid::from_u128(u128::from(n)))
    }

    #[test]
    fn every_state_is_reached_and_only_the_end_is_not_left() {
        let mut reached = vec![State::Open];
        while let Some((_, _, to)) =
            TABLE.into_iter().find(|(from, _, to)| reached.contains(from) && !reached.contains(to))
        {
            reached.push(to);
        }
        for state in State::ALL {
            assert!(reached.contains(&state), "{state:?} is not reached");
            assert_eq!(next(state).is_empty(), state == State::Dismissed, "{state:?}");
            assert_eq!(State::from_number(state.number()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.text());
        }
    }

    #[test]
    fn a_step_leads_to_one_state() {
        for (at, (from, step, _)) in TABLE.into_iter().enumerate() {
            assert!(TABLE.iter().skip(at + 1).all(|(other, by, _)| (*other, *by) != (from, step)), "{from:?} {step:?}");
        }
    }

    #[test]
    fn a_refusal_says_where_a_note_can_go() {
        let allowed = |state, step| {
            let refusal = take(state, step).err().unwrap();
            assert_eq!(refusal.code, Code::BadTransition);
            refusal.to_json()["allowed"].clone()
        };
        assert_eq!(allowed(State::Open, Step::Addend), serde_json::json!(["documented", "dismissed"]));
        assert_eq!(allowed(State::Documented, Step::Dismiss), serde_json::json!(["confirmed", "disputed"]));
        assert_eq!(allowed(State::Dismissed, Step::Document), serde_json::json!([]));
    }

    #[test]
    fn reminders_come_ever_more_rarely_and_at_least_daily() {
        let pauses: Vec<u32> = (0..8).map(|step| pause_minutes(30, step)).collect();
        assert_eq!(pauses, [30, 60, 120, 240, 480, 960, 1440, 1440]);
        assert_eq!(pause_minutes(30, 40), 1440);
    }

    proptest! {
        /// Whatever is tried in whatever order: words come only after the documentation, a verdict is said once until it is changed, and
        /// the state is what all entries together say.
        #[test]
        fn a_life_keeps_to_the_table(tries in prop::collection::vec((0_usize..5, 0_u8..3), 0..24)) {
            let (mut state, mut said, mut entries) = (State::Open, Vec::new(), Vec::new());
            for (step, who) in tries {
                let step = STEPS[step];
                let verdict = match step {
                    Step::Confirm => Some(Verdict::Confirmed),
                    Step::Dispute => Some(Verdict::Disputed),
                    _ => None,
                };
                let outcome = match verdict {
                    Some(verdict) => judge(state, &said, user(who), verdict),
                    None => take(state, step),
                };
                let documented = !matches!(state, State::Open | State::Dismissed);
                let expected = match (step, verdict) {
                    (Step::Document | Step::Dismiss, _) => state == State::Open,
                    (_, Some(verdict)) => documented && !last_of_each(&said).contains(&(user(who), verdict)),
                    _ => documented,
                };
                prop_assert_eq!(outcome.is_ok(), expected, "{:?} from {:?}", step, state);
                let Ok(to) = outcome else { continue };
                state = to;
                said.extend(verdict.map(|verdict| (user(who), verdict)));
                entries.push((step, user(who)));
            }
            // The replay of what went through.
            let judged: Vec<(UserId, Verdict)> = entries.iter().filter_map(|(step, who)| match step {
                Step::Confirm => Some((*who, Verdict::Confirmed)),
                Step::Dispute => Some((*who, Verdict::Disputed)),
                _ => None,
            }).collect();
            let replayed = match entries.first() {
                None => State::Open,
                Some((Step::Dismiss, _)) => State::Dismissed,
                Some(_) => standing(&judged),
            };
            prop_assert_eq!(state, replayed);
        }
    }
}
