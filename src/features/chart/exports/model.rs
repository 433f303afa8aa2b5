//! The states of an export and what leads from one to another. Pure: a table. Does not know rows, receivers or people.
//! Invariants: nothing is filed that was not attested; what is over stays over.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::kernel::base::{Code, Refusal};

/// How an export stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Somebody puts it together.
    Draft,
    /// A person stands for it; it waits for its turn, or for those who have to attest besides.
    Attested,
    /// It is on its way.
    Filing,
    /// The receiver has all of it.
    Filed,
    /// The receiver keeps it for review.
    Held,
    /// The receiver did not take it.
    Failed,
    /// Another one was filed in its place.
    Superseded,
    /// It was taken back before it was filed.
    Withdrawn,
}

/// What happens to an export.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// What it holds is changed.
    Change,
    /// A person stands for it.
    Attest,
    /// It is taken back.
    Withdraw,
    /// Its first parcel is made.
    Start,
    /// The receiver has all of it.
    Finish,
    /// The receiver keeps it for review.
    Hold,
    /// The receiver does not take it.
    Fail,
    /// It is tried again.
    Retry,
    /// Another one was filed in its place.
    Supersede,
}

impl State {
    /// Every state, in the order of its number in the database.
    pub const ALL: [Self; 8] = [
        Self::Draft,
        Self::Attested,
        Self::Filing,
        Self::Filed,
        Self::Held,
        Self::Failed,
        Self::Superseded,
        Self::Withdrawn,
    ];

    /// The number in the database.
    #[must_use]
    pub fn number(self) -> i16 {
        Self::ALL.iter().zip(0..).find_map(|(state, number)| (*state == self).then_some(number)).unwrap_or_default()
    }

    /// From the number in the database.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        usize::try_from(number).ok().and_then(|at| Self::ALL.get(at).copied())
    }

    /// As on the wire.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Attested => "attested",
            Self::Filing => "filing",
            Self::Filed => "filed",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Where a step leads; none where it cannot be taken.
    #[must_use]
    pub const fn to(self, step: Step) -> Option<Self> {
        Some(match (self, step) {
            (Self::Draft, Step::Change) => Self::Draft,
            // Who attests later adds to those who did.
            (Self::Draft | Self::Attested, Step::Attest) => Self::Attested,
            (Self::Draft | Self::Attested | Self::Failed, Step::Withdraw) => Self::Withdrawn,
            (Self::Attested, Step::Start) => Self::Filing,
            (Self::Filing | Self::Held, Step::Finish) => Self::Filed,
            (Self::Filing | Self::Held, Step::Hold) => Self::Held,
            (Self::Attested | Self::Filing | Self::Held, Step::Fail) => Self::Failed,
            (Self::Held, Step::Retry) => Self::Held,
            (Self::Filing, Step::Retry) => Self::Filing,
            // From the beginning: what the receiver has by now is not sent again.
            (Self::Failed, Step::Retry) => Self::Attested,
            (Self::Filed, Step::Supersede) => Self::Superseded,
            _ => return None,
        })
    }

    /// The states that can follow.
    #[must_use]
    pub fn followers(self) -> Vec<Self> {
        let steps = [Step::Attest, Step::Withdraw, Step::Start, Step::Finish, Step::Hold, Step::Fail];
        let steps = steps.into_iter().chain([Step::Retry, Step::Supersede]);
        let mut followers: Vec<Self> = Vec::new();
        for next in steps.filter_map(|step| self.to(step)).filter(|next| *next != self) {
            if !followers.contains(&next) {
                followers.push(next);
            }
        }
        followers
    }

    /// As [`State::to`].
    ///
    /// # Errors
    /// `bad_transition` with the states that can follow.
    pub fn after(self, step: Step) -> Result<Self, Refusal> {
        self.to(step).ok_or_else(|| {
            let allowed = self.followers().into_iter().map(|state| Value::from(state.text())).collect();
            Refusal::new(Code::BadTransition)
                .detail("The export does not stand so that this can be done. `allowed` is what can follow.")
                .with("allowed", allowed)
        })
    }

    /// Whether a receiver has it, or may have a part of it.
    #[must_use]
    pub const fn is_out(self) -> bool {
        matches!(self, Self::Filing | Self::Filed | Self::Held | Self::Superseded)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STEPS: [Step; 9] = [
        Step::Change,
        Step::Attest,
        Step::Withdraw,
        Step::Start,
        Step::Finish,
        Step::Hold,
        Step::Fail,
        Step::Retry,
        Step::Supersede,
    ];

    #[test]
    fn numbers_are_those_of_the_table() {
        for (at, state) in State::ALL.into_iter().enumerate() {
            assert_eq!(State::from_number(i16::try_from(at).unwrap()), Some(state));
            assert_eq!(usize::try_from(state.number()).unwrap(), at);
            assert_eq!(serde_json::to_value(state).unwrap(), state.text());
        }
        assert_eq!((State::from_number(-1), State::from_number(8)), (None, None));
    }

    #[test]
    fn a_refused_step_says_what_can_follow() {
        let refusal = State::Filed.after(Step::Attest).unwrap_err();
        assert_eq!((refusal.code, &refusal.more["allowed"]), (Code::BadTransition, &serde_json::json!(["superseded"])));
    }

    proptest! {
        /// Whatever is tried in whatever order: nothing is filed without an attestation, nothing changes after one, what is over stays.
        #[test]
        fn nothing_is_filed_unattested(tried in prop::collection::vec(prop::sample::select(&STEPS[..]), 0..40)) {
            let (mut state, mut attested, mut started) = (State::Draft, false, false);
            for step in tried {
                let Some(next) = state.to(step) else { continue };
                prop_assert!(!matches!(state, State::Superseded | State::Withdrawn), "{state:?} {step:?}");
                prop_assert!(step != Step::Change || !attested);
                prop_assert!(step != Step::Finish || started);
                attested |= step == Step::Attest;
                started |= step == Step::Start;
                prop_assert!(attested || matches!(next, State::Draft | State::Withdrawn), "{next:?}");
                prop_assert!(!next.is_out() || started);
                state = next;
            }
        }
    }
}
