//! What a message asks of its readers, and the rules of their answers, pure: who has answered what, and which step comes next.
//! Closed-loop communication: whoever is asked to check back says in their own words what they understood, and the author confirms it
//! or writes again. Does not know: time, the database, frames, who may (policy decided that before).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::message::Standing;
use super::words::Form;
use crate::kernel::base::{Code, EntryId, Micros, Refusal, ThingId, UserId};
use crate::kernel::engine::fields::Fields;

/// What a message asks of everyone who reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Say that you have seen it.
    Acknowledge,
    /// Say in your words what you understood.
    CheckBack,
}

impl Ask {
    /// As on the wire.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledge",
            Self::CheckBack => "check_back",
        }
    }

    /// Reads `ask`.
    ///
    /// # Errors
    /// `invalid` for another word.
    pub fn parse(fields: Fields<'_>) -> Result<Option<Self>, Refusal> {
        let known = |text: &str| [Self::Acknowledge, Self::CheckBack].into_iter().find(|ask| ask.text() == text);
        fields.word("ask", known, "acknowledge, check_back")
    }
}

/// What is kept of a message beside its name, as the small number of its thing: bit 0 the form, the bits above it what it asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marks {
    /// Text or SBAR.
    pub form: Form,
    /// What it asks, if anything.
    pub ask: Option<Ask>,
}

impl Marks {
    /// The number kept with the thing.
    #[must_use]
    pub const fn number(self) -> i16 {
        let ask = match self.ask {
            None => 0,
            Some(Ask::Acknowledge) => 1,
            Some(Ask::CheckBack) => 2,
        };
        self.form.number() + (ask << 1)
    }

    /// From the number kept with the thing.
    #[must_use]
    pub const fn from_number(number: i16) -> Self {
        let ask = match number >> 1 {
            1 => Some(Ask::Acknowledge),
            2 => Some(Ask::CheckBack),
            _ => None,
        };
        Self { form: Form::from_number(number & 1), ask }
    }
}

/// How far one reader has come with an ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Has seen it: that is all that was asked.
    Acknowledged,
    /// Has said what they understood; the author has not confirmed it.
    CheckedBack,
    /// The author has confirmed what they understood.
    Confirmed,
}

impl Step {
    /// As on the wire.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::CheckedBack => "checked_back",
            Self::Confirmed => "confirmed",
        }
    }
}

/// The answer of one reader: the newest check-back where there were several.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Who answered.
    pub user: UserId,
    /// How far it has come.
    pub step: Step,
    /// The entry of the acknowledgement or check-back.
    pub entry: EntryId,
    /// Its place in the channel.
    pub seq: i64,
    /// When it was made.
    pub at: Micros,
    /// When the author confirmed it.
    pub confirmed_at: Option<Micros>,
}

/// Body of `message.acknowledged`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Acknowledged {
    /// This acknowledgement.
    pub id: EntryId,
    /// What is acknowledged.
    pub message: ThingId,
}

/// Body of `message.checked_back`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct CheckedBack {
    /// This check-back.
    pub id: EntryId,
    /// What it answers.
    pub message: ThingId,
    /// What was understood.
    pub text: String,
}

/// Body of `message.confirmed`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Confirmed {
    /// This confirmation.
    pub id: EntryId,
    /// On which message.
    pub message: ThingId,
    /// The check-backs that were understood right.
    pub check_backs: Vec<EntryId>,
}

/// The steps that can come next between the author and a reader whose answer so far is `held`.
fn next(ask: Option<Ask>, held: Option<Step>) -> &'static [Step] {
    match (ask, held) {
        (Some(Ask::Acknowledge), None) => &[Step::Acknowledged],
        (Some(Ask::CheckBack), None) => &[Step::CheckedBack],
        // Who was understood wrong is told so in words, and reads back again.
        (Some(Ask::CheckBack), Some(Step::CheckedBack)) => &[Step::CheckedBack, Step::Confirmed],
        _ => &[],
    }
}

fn bad_transition(allowed: &[Step], detail: &str) -> Refusal {
    let allowed: Vec<&str> = allowed.iter().map(|step| step.text()).collect();
    Refusal::new(Code::BadTransition).detail(detail).with("allowed", allowed.into())
}

/// Whether a reader may take a step now.
fn step(standing: &Standing, held: Option<&Answer>, to: Step) -> Result<(), Refusal> {
    standing.stands()?;
    let allowed = next(standing.ask, held.map(|answer| answer.step));
    if allowed.contains(&to) {
        return Ok(());
    }
    Err(bad_transition(
        allowed,
        match (standing.ask, held) {
            (None, _) => "This message does not ask for an answer.",
            (Some(_), Some(_)) => "You have answered this message.",
            (Some(Ask::Acknowledge), None) => "This message asks to be acknowledged.",
            (Some(Ask::CheckBack), None) => {
                "This message asks for a check-back: say in your words what you understood."
            }
        },
    ))
}

/// A reader has seen it.
///
/// # Errors
/// `conflict` if retracted; `bad_transition` if nothing or something else was asked, or it was answered before.
pub fn acknowledge(standing: &Standing, id: EntryId, held: Option<&Answer>) -> Result<Acknowledged, Refusal> {
    step(standing, held, Step::Acknowledged)?;
    Ok(Acknowledged { id, message: standing.message })
}

/// A reader says what they understood; again as long as the author has not confirmed it.
///
/// # Errors
/// As [`acknowledge`].
pub fn check_back(
    standing: &Standing,
    id: EntryId,
    held: Option<&Answer>,
    text: String,
) -> Result<CheckedBack, Refusal> {
    step(standing, held, Step::CheckedBack)?;
    Ok(CheckedBack { id, message: standing.message, text })
}

/// The author confirms one check-back, or all that wait. Named by its entry, so that nobody confirms words they have not read.
///
/// # Errors
/// `conflict` if retracted; `not_found`, field `check_back`, if it is nobody's newest; `bad_transition` if nothing waits.
pub fn confirm(
    standing: &Standing,
    id: EntryId,
    answers: &[Answer],
    named: Option<EntryId>,
) -> Result<Confirmed, Refusal> {
    standing.stands()?;
    let checked_back = |answer: &&Answer| answer.step != Step::Acknowledged;
    let mut wanted: Vec<&Answer> = answers.iter().filter(checked_back).collect();
    if let Some(named) = named {
        wanted.retain(|answer| answer.entry == named);
        if wanted.is_empty() {
            return Err(Refusal::not_found().field("check_back"));
        }
    }
    let check_backs: Vec<EntryId> =
        wanted.into_iter().filter(|answer| answer.step == Step::CheckedBack).map(|answer| answer.entry).collect();
    if check_backs.is_empty() {
        let allowed = if named.is_some() { &[] } else { next(standing.ask, None) };
        return Err(bad_transition(allowed, "No check-back waits to be confirmed."));
    }
    Ok(Confirmed { id, message: standing.message, check_backs })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::kernel::base::ItemId;

    fn standing(ask: Option<Ask>, retracted: bool) -> Standing {
        let (message, item) = (ThingId(Uuid::from_u128(1)), ItemId(Uuid::from_u128(2)));
        Standing { message, form: Form::Text, retracted, item, ask }
    }

    fn entry(n: u128) -> EntryId {
        EntryId(Uuid::from_u128(n))
    }

    #[test]
    fn the_number_keeps_form_and_ask() {
        for form in [Form::Text, Form::Sbar] {
            for ask in [None, Some(Ask::Acknowledge), Some(Ask::CheckBack)] {
                assert_eq!(Marks::from_number(Marks { form, ask }.number()), Marks { form, ask });
            }
            // What was kept before messages could ask.
            assert_eq!(Marks::from_number(form.number()), Marks { form, ask: None });
        }
    }

    #[test]
    fn a_refusal_says_what_is_possible() {
        let allowed = |refusal: Refusal| {
            assert_eq!(refusal.code, Code::BadTransition);
            refusal.to_json()["allowed"].clone()
        };
        let silent = acknowledge(&standing(None, false), entry(1), None).err().unwrap();
        assert_eq!(allowed(silent), json!([]));
        let other = acknowledge(&standing(Some(Ask::CheckBack), false), entry(1), None).err().unwrap();
        assert_eq!(allowed(other), json!(["checked_back"]));
        let other = check_back(&standing(Some(Ask::Acknowledge), false), entry(1), None, "a".into()).err().unwrap();
        assert_eq!(allowed(other), json!(["acknowledged"]));
        let early = confirm(&standing(Some(Ask::CheckBack), false), entry(1), &[], None).err().unwrap();
        assert_eq!(allowed(early), json!(["checked_back"]));
        let retracted = acknowledge(&standing(Some(Ask::Acknowledge), true), entry(1), None).err().unwrap();
        assert_eq!(retracted.code, Code::Conflict);
    }

    #[derive(Clone, Copy, Debug)]
    enum Act {
        Acknowledge(u8),
        CheckBack(u8),
        /// Of this person's newest check-back.
        Confirm(u8),
        ConfirmAll,
    }

    fn acts() -> impl Strategy<Value = Act> {
        prop_oneof![
            (0_u8..3).prop_map(Act::Acknowledge),
            (0_u8..3).prop_map(Act::CheckBack),
            (0_u8..3).prop_map(Act::Confirm),
            Just(Act::ConfirmAll),
        ]
    }

    /// The answers after an act that went through.
    fn run(ask: Option<Ask>, answers: &mut Vec<Answer>, act: Act, n: u128) -> Result<(), Refusal> {
        let standing = standing(ask, false);
        let user = |person: u8| UserId(Uuid::from_u128(u128::from(person)));
        let put = |answers: &mut Vec<Answer>, person: u8, step| {
            answers.retain(|answer| answer.user != user(person));
            answers.push(Answer { user: user(person), step, entry: entry(n), seq: 1, at: 1, confirmed_at: None });
        };
        let held = |answers: &[Answer], person: u8| answers.iter().copied().find(|answer| answer.user == user(person));
        match act {
            Act::Acknowledge(person) => {
                acknowledge(&standing, entry(n), held(answers, person).as_ref())?;
                put(answers, person, Step::Acknowledged);
            }
            Act::CheckBack(person) => {
                check_back(&standing, entry(n), held(answers, person).as_ref(), "a".into())?;
                put(answers, person, Step::CheckedBack);
            }
            Act::Confirm(_) | Act::ConfirmAll => {
                let named = match act {
                    Act::Confirm(person) => Some(held(answers, person).map_or(entry(0), |answer| answer.entry)),
                    _ => None,
                };
                let confirmed = confirm(&standing, entry(n), answers, named)?;
                for answer in answers.iter_mut().filter(|answer| confirmed.check_backs.contains(&answer.entry)) {
                    answer.step = Step::Confirmed;
                }
            }
        }
        Ok(())
    }

    proptest! {
        /// Whatever is tried in whatever order: an acknowledgement comes once and only where asked, nothing follows a confirmation, and
        /// only what was checked back is confirmed.
        #[test]
        fn answers_keep_the_order_of_a_closed_loop(ask in prop::option::of(prop_oneof![Just(Ask::Acknowledge), Just(Ask::CheckBack)]), acts in prop::collection::vec(acts(), 0..16)) {
            let mut answers = Vec::new();
            let mut model: HashMap<u8, Step> = HashMap::new();
            for (act, n) in acts.into_iter().zip(100..) {
                let done = run(ask, &mut answers, act, n).is_ok();
                let waiting: Vec<u8> = model.iter().filter(|(_, step)| **step == Step::CheckedBack).map(|(who, _)| *who).collect();
                let expected = match act {
                    Act::Acknowledge(who) => ask == Some(Ask::Acknowledge) && model.insert(who, Step::Acknowledged).is_none(),
                    Act::CheckBack(who) => {
                        let free = ask == Some(Ask::CheckBack) && model.get(&who) != Some(&Step::Confirmed);
                        if free { model.insert(who, Step::CheckedBack); }
                        free
                    }
                    Act::Confirm(who) => waiting.contains(&who) && model.insert(who, Step::Confirmed).is_some(),
                    Act::ConfirmAll => {
                        model.extend(waiting.iter().map(|who| (*who, Step::Confirmed)));
                        !waiting.is_empty()
                    }
                };
                prop_assert_eq!(done, expected, "{:?}", act);
                prop_assert_eq!(answers.len(), model.len());
            }
        }
    }
}
