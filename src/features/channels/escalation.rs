//! When an ask that nobody answers is said again, and to whom, pure: those asked, then whoever is responsible, then the lead, then the
//! lead again and again. Does not know: the clock, the database, who stands where.
//! Invariants: no step is taken twice; only a real answer ends it, or that nobody is left who could give one.

use crate::kernel::base::{Micros, UserId};

/// Once a day is often enough.
const DAY: Micros = 86_400_000_000;
/// The deadline at which each of the first rounds comes, counted in deadlines; after these the pause doubles.
const PLANNED: i64 = 3;
/// The step that reaches the responsible.
pub const RESPONSIBLE: i64 = 1;
/// The first step that reaches the lead.
pub const LEAD: i64 = 2;

/// Who could answer now; nobody in it has answered or is the author.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reach {
    /// Everybody who was asked and is still there has answered, and somebody has.
    pub answered: bool,
    /// Who was asked.
    pub missing: Vec<UserId>,
    /// Who holds the responsibility for the item.
    pub responsible: Vec<UserId>,
    /// Who leads.
    pub lead: Vec<UserId>,
}

/// What is done at a deadline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// Those asked are asked again.
    Remind(Vec<UserId>),
    /// Somebody else is asked.
    Escalate {
        /// 1 the responsible, from 2 on the lead.
        step: i64,
        /// Who.
        to: Vec<UserId>,
    },
}

/// What comes after `rounds` deadlines, of which the highest step was `step`; nothing where it ends.
#[must_use]
pub fn next(rounds: i64, step: i64, reach: Reach) -> Option<Act> {
    let Reach { answered, missing, responsible, lead } = reach;
    if answered {
        return None;
    }
    if rounds == 0 && !missing.is_empty() {
        return Some(Act::Remind(missing));
    }
    if step < RESPONSIBLE && !responsible.is_empty() {
        return Some(Act::Escalate { step: RESPONSIBLE, to: responsible });
    }
    if !lead.is_empty() {
        return Some(Act::Escalate { step: step.max(RESPONSIBLE) + 1, to: lead });
    }
    (!missing.is_empty()).then_some(Act::Remind(missing))
}

/// When the next round is due, after `rounds` of them, the last one at `at` (the post itself where there was none). Rounds that were
/// missed are not made up for all at once.
#[must_use]
pub fn due(posted: Micros, every: Micros, rounds: i64, at: Micros) -> Micros {
    if rounds < PLANNED {
        let planned = posted.saturating_add(every.saturating_mul(rounds + 1));
        return if planned > at { planned } else { at.saturating_add(every) };
    }
    let doubled = every.saturating_mul(1 << (rounds - PLANNED + 1).min(20));
    at.saturating_add(doubled.min(DAY.max(every)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn people(from: u8, count: u8) -> Vec<UserId> {
        (from..from + count).map(|n| UserId::from_bytes([n; 16])).collect()
    }

    fn reach(missing: u8, responsible: u8, lead: u8) -> Reach {
        let (missing, responsible, lead) = (people(0, missing), people(10, responsible), people(20, lead));
        Reach { answered: false, missing, responsible, lead }
    }

    #[test]
    fn those_asked_then_the_responsible_then_the_lead() {
        let escalate = |step, to| Some(Act::Escalate { step, to });
        for (rounds, step, who, expected) in [
            (0, 0, reach(2, 1, 1), Some(Act::Remind(people(0, 2)))),
            (1, 0, reach(2, 1, 1), escalate(1, people(10, 1))),
            (2, 1, reach(2, 1, 1), escalate(2, people(20, 1))),
            (3, 2, reach(2, 1, 1), escalate(3, people(20, 1))),
            // Nobody is responsible: the lead at once.
            (1, 0, reach(2, 0, 1), escalate(2, people(20, 1))),
            // Those asked have left.
            (0, 0, reach(0, 1, 1), escalate(1, people(10, 1))),
            // Nobody above is there: those asked again.
            (1, 0, reach(2, 0, 0), Some(Act::Remind(people(0, 2)))),
            (1, 0, reach(0, 0, 0), None),
        ] {
            assert_eq!(next(rounds, step, who), expected, "round {rounds}, step {step}");
        }
        assert_eq!(next(0, 0, Reach { answered: true, ..reach(0, 1, 1) }), None);
    }

    #[test]
    fn deadlines_come_at_once_twice_and_three_times_then_ever_more_seldom() {
        let minute = 60_000_000;
        let (mut at, mut times) = (0, Vec::new());
        for rounds in 0..12 {
            at = due(0, 5 * minute, rounds, at);
            times.push(at / minute);
        }
        assert_eq!(times[..6], [5, 10, 15, 25, 45, 85]);
        assert_eq!((times[10] - times[9], times[11] - times[10]), (1280, 1440), "at most once a day");
        assert_eq!(due(0, 5 * minute, 40, 0), DAY);
        assert_eq!(due(0, 2 * DAY, 9, 0), 2 * DAY);
        // A server that was down for an hour goes on one deadline later.
        assert_eq!(due(0, 5 * minute, 1, 60 * minute), 65 * minute);
    }

    proptest! {
        /// Whoever comes and goes: steps rise, whoever is told is there, time goes forward, and it ends by an answer or for want of people.
        #[test]
        fn steps_rise_and_only_an_answer_ends_it(every in 1_i64..2 * DAY, seen in prop::collection::vec((0_u8..3, 0_u8..3, 0_u8..3, 0_i64..2 * DAY), 1..20), answered_at in 0_usize..20) {
            let (mut rounds, mut step, mut at, mut due_at) = (0, 0, 0, due(0, every, 0, 0));
            for (n, (missing, responsible, lead, late)) in seen.into_iter().enumerate() {
                let who = Reach { answered: n >= answered_at, ..reach(missing, responsible, lead) };
                prop_assert!(due_at > at);
                at = due_at + late;
                match next(rounds, step, who.clone()) {
                    None => {
                        let somebody = missing > 0 || lead > 0 || (responsible > 0 && step < RESPONSIBLE);
                        prop_assert!(who.answered || !somebody);
                        break;
                    }
                    Some(Act::Remind(to)) => prop_assert!(!who.answered && !to.is_empty() && to == who.missing),
                    Some(Act::Escalate { step: taken, to }) => {
                        prop_assert!(!who.answered && taken > step && !to.is_empty());
                        prop_assert_eq!(to, if taken == RESPONSIBLE { who.responsible } else { who.lead });
                        prop_assert!(rounds > 0 || who.missing.is_empty());
                        step = taken;
                    }
                }
                rounds += 1;
                due_at = due(0, every, rounds, at);
            }
        }
    }
}
