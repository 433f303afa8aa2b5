//! What of a board is asked for, and how tasks stand in its columns. Pure.
//! Does not know: time, the database, who may see what.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::features::tasks::State;
use crate::kernel::base::{ItemId, Micros, PatientId, Refusal, UserId};
use crate::kernel::engine::Data;
use crate::kernel::engine::fields::Fields;
use crate::kernel::policy::Holder;

/// Tasks of a column that are not over: more than anybody looks through, and an answer still fits a screen's memory.
pub const OPEN_MAX: usize = 200;
/// Tasks of a column that are over: the newest; the record holds all.
pub const ENDED_MAX: usize = 50;
/// How long a task stands on the board after its end.
pub const ENDED_SHOWN: Micros = 14 * 24 * 3_600_000_000;

/// Whose board.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// All work at a patient.
    Patient(PatientId),
    /// The caller's, at all their patients.
    Mine,
}

/// The command `board.get`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question {
    /// Whose board.
    pub scope: Scope,
    /// Of this holder only.
    pub owner: Option<Holder>,
    /// About this only.
    pub item: Option<ItemId>,
    /// Due before that only.
    pub due_before: Option<Micros>,
    /// Tasks of this column only.
    pub state: Option<State>,
}

impl Question {
    /// Whose markers and handoffs are asked for, if not everybody's; `user` asks.
    #[must_use]
    pub const fn holder(&self, user: UserId) -> Option<Holder> {
        match self.scope {
            Scope::Mine => Some(Holder::User(user)),
            Scope::Patient(_) => self.owner,
        }
    }

    /// Reads the command.
    ///
    /// # Errors
    /// `invalid`, naming the field.
    pub fn parse(data: &Data) -> Result<Self, Refusal> {
        let fields = Fields(data);
        let scope = match (fields.id("patient")?, fields.boolean("mine")?.unwrap_or(false)) {
            (Some(patient), false) => Scope::Patient(patient),
            (None, true) => Scope::Mine,
            _ => return Err(Refusal::invalid("patient", "Name a patient, or say `mine: true`: one of the two.")),
        };
        let owner = fields.get("owner").map(|value| Holder::read("owner", value)).transpose()?.flatten();
        if owner.is_some() && scope == Scope::Mine {
            return Err(Refusal::invalid("owner", "What is yours needs no owner. Name a patient instead."));
        }
        let states: Vec<&str> = State::ALL.iter().copied().map(State::text).collect();
        Ok(Self {
            scope,
            owner,
            item: fields.id("item")?,
            due_before: fields.time("due_before")?,
            state: fields.word("state", State::from_text, &states.join(", "))?,
        })
    }
}

/// A task with what its place on the board depends on.
#[derive(Clone)]
pub struct Card {
    /// Its column.
    pub state: State,
    /// When it ended, if it did for good.
    pub ended: Option<Micros>,
    /// As it is shown.
    pub task: Value,
}

/// A column.
pub struct Column {
    /// Its name.
    pub state: State,
    /// As they stand in it.
    pub tasks: Vec<Value>,
    /// How many more there are.
    pub more: usize,
}

/// Every column in order, with the tasks in the order they are given. Of those that are over only the newest are shown.
#[must_use]
pub fn columns(cards: &[Card]) -> Vec<Column> {
    let of = |state: State| cards.iter().filter(|card| card.state == state).collect();
    State::ALL.iter().map(|state| column(*state, of(*state))).collect()
}

fn column(state: State, mut cards: Vec<&Card>) -> Column {
    let most = if state.is_final() { ENDED_MAX } else { OPEN_MAX };
    let more = cards.len().saturating_sub(most);
    if state.is_final() && more > 0 {
        let mut ends: Vec<(Option<Micros>, usize)> = cards.iter().map(|card| card.ended).zip(0..).collect();
        ends.sort_unstable();
        let shown: BTreeSet<usize> = ends.split_off(more).into_iter().map(|(_, n)| n).collect();
        cards = shown.into_iter().map(|n| cards[n]).collect();
    }
    cards.truncate(most);
    Column { state, tasks: cards.into_iter().map(|card| card.task.clone()).collect(), more }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::kernel::base::Code;

    fn parse(data: Value) -> Result<Question, Refusal> {
        Question::parse(data.as_object().unwrap())
    }

    #[test]
    fn a_board_is_a_patients_or_ones_own() {
        let id = Uuid::from_u128(1);
        let wrong = |data: Value| {
            let refusal = parse(data).err().unwrap();
            assert_eq!(refusal.code, Code::Invalid);
            refusal.field.unwrap()
        };
        assert_eq!(wrong(json!({})), "patient");
        assert_eq!(wrong(json!({"mine": false})), "patient");
        assert_eq!(wrong(json!({"patient": id, "mine": true})), "patient");
        assert_eq!(wrong(json!({"mine": true, "owner": id})), "owner");
        for (field, value) in [
            ("patient", json!(3)),
            ("mine", json!("yes")),
            ("owner", json!("me")),
            ("item", json!(0)),
            ("due_before", json!("soon")),
            ("state", json!("done")),
        ] {
            let mut data = json!({"patient": id});
            data[field] = value;
            assert_eq!(wrong(data), field);
        }
        assert_eq!(parse(json!({"mine": true})).unwrap().scope, Scope::Mine);
        let asked =
            parse(json!({"patient": id, "mine": false, "state": "in-progress", "owner": {"responsibility": "plan"}}));
        assert_eq!(asked.unwrap().state, State::from_text("in-progress"));
    }

    proptest! {
        /// Every task stands in its column or is counted there, in the order given; of those that are over the ones that ended last stay.
        #[test]
        fn nothing_is_lost_between_the_columns(given in prop::collection::vec((0..State::ALL.len(), 0..1000_i64), 0..900)) {
            let cards: Vec<Card> = given.iter().enumerate().map(|(n, (state, ended))| {
                let state = State::ALL[*state];
                Card { state, ended: state.is_final().then_some(*ended), task: json!(n) }
            }).collect();
            let columns = columns(&cards);
            prop_assert_eq!(columns.iter().map(|column| column.state).collect::<Vec<_>>(), State::ALL.to_vec());
            for column in columns {
                let all: Vec<&Card> = cards.iter().filter(|card| card.state == column.state).collect();
                prop_assert_eq!(column.tasks.len() + column.more, all.len());
                let most = if column.state.is_final() { ENDED_MAX } else { OPEN_MAX };
                prop_assert!(column.tasks.len() <= most);
                let numbers: Vec<u64> = column.tasks.iter().map(|task| task.as_u64().unwrap()).collect();
                prop_assert!(numbers.is_sorted());
                let ended = |shown: bool| {
                    let cards = all.iter().filter(|card| column.tasks.contains(&card.task) == shown);
                    cards.map(|card| card.ended).collect::<Vec<_>>()
                };
                let kept = ended(false).into_iter().max() <= ended(true).into_iter().min();
                prop_assert!(!column.state.is_final() || column.more == 0 || kept);
            }
        }
    }
}
