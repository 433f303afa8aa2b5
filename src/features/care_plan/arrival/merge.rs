//! What becomes of an item whose source changed: nothing, the source's words, or a conflict for the lead. Pure.
//! Invariant: what was changed here is never written over without a person saying so.

use super::super::entries::{Code, Content};
use super::super::model::ACTIVE;
use crate::kernel::base::ItemId;

/// What both sides can say of an item: who it rests with and who sees it is ours alone.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct State {
    pub title: String,
    pub detail: Option<String>,
    pub codes: Vec<Code>,
    pub due: Option<String>,
    pub addresses: Vec<ItemId>,
    pub status: String,
    pub closed: bool,
}

/// A part of an item that both sides can change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Title,
    Detail,
    Codes,
    Due,
    Addresses,
    Status,
}

impl Part {
    const ALL: [Self; 6] = [Self::Title, Self::Detail, Self::Codes, Self::Due, Self::Addresses, Self::Status];
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// The source says nothing new, or what stands here already.
    Same,
    /// These parts as the source has them.
    Take(Vec<Part>),
    /// Both sides changed it.
    Conflict,
}

impl State {
    pub(super) fn of(content: &Content, status: &str, closed: bool, addresses: Vec<ItemId>) -> Self {
        Self {
            title: content.title.clone(),
            detail: content.detail.clone(),
            codes: content.codes.clone(),
            due: content.due.clone(),
            addresses,
            status: status.to_owned(),
            closed,
        }
    }

    /// In which parts two differ.
    pub(super) fn differs(&self, other: &Self) -> Vec<Part> {
        let differs = |part: &Part| match part {
            Part::Title => self.title != other.title,
            Part::Detail => self.detail != other.detail,
            Part::Codes => self.codes != other.codes,
            Part::Due => self.due != other.due,
            Part::Addresses => sorted(&self.addresses) != sorted(&other.addresses),
            Part::Status => self.status != other.status || self.closed != other.closed,
        };
        Part::ALL.into_iter().filter(differs).collect()
    }

    /// Whether somebody here changed it since it was as `base`. That a change of any part calls an open item `active` is no change by
    /// itself.
    fn is_edited(&self, base: &Self) -> bool {
        let by_itself = !self.closed && !base.closed && self.status == ACTIVE;
        self.differs(base).into_iter().any(|part| part != Part::Status || !by_itself)
    }
}

fn sorted(items: &[ItemId]) -> Vec<ItemId> {
    let mut items = items.to_vec();
    items.sort_unstable();
    items
}

/// Decides: `base` is what the source said when both sides last agreed to be apart no further; none where that is not known.
pub(super) fn decide(base: Option<&State>, ours: &State, theirs: &State) -> Verdict {
    let Some(base) = base else {
        return if theirs.differs(ours).is_empty() { Verdict::Same } else { Verdict::Conflict };
    };
    let changed = theirs.differs(base);
    let apart = theirs.differs(ours);
    let parts: Vec<Part> = changed.into_iter().filter(|part| apart.contains(part)).collect();
    match parts.as_slice() {
        [] => Verdict::Same,
        _ if ours.is_edited(base) => Verdict::Conflict,
        _ => Verdict::Take(parts),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a state is made of: states say something about patients and are not printed.
    type Drawn = (&'static str, Option<&'static str>, Vec<&'static str>, Option<&'static str>, Vec<u128>, &'static str);

    fn any_state() -> impl Strategy<Value = Drawn> {
        let few = || prop::sample::select(vec!["a", "b", "c"]);
        let status = prop::sample::select(vec![ACTIVE, "proposed", "on-hold", "completed"]);
        let codes = prop::collection::vec(few(), 0..2);
        (few(), prop::option::of(few()), codes, prop::option::of(few()), prop::collection::vec(0..3u128, 0..2), status)
    }

    fn made((title, detail, codes, due, addresses, status): &Drawn) -> State {
        let code = |code: &&str| Code { system: None, code: Some((*code).to_owned()), display: None };
        State {
            title: (*title).to_owned(),
            detail: detail.map(str::to_owned),
            codes: codes.iter().map(code).collect(),
            due: due.map(str::to_owned),
            addresses: addresses.iter().map(|item| ItemId(uuid::Uuid::from_u128(*item))).collect(),
            status: (*status).to_owned(),
            closed: *status == "completed",
        }
    }

    /// What stands here after a verdict.
    fn after(ours: &State, theirs: &State, verdict: &Verdict) -> State {
        let mut stands = ours.clone();
        let Verdict::Take(parts) = verdict else { return stands };
        for part in parts {
            match part {
                Part::Title => stands.title.clone_from(&theirs.title),
                Part::Detail => stands.detail.clone_from(&theirs.detail),
                Part::Codes => stands.codes.clone_from(&theirs.codes),
                Part::Due => stands.due.clone_from(&theirs.due),
                Part::Addresses => stands.addresses.clone_from(&theirs.addresses),
                Part::Status => {
                    stands.status.clone_from(&theirs.status);
                    stands.closed = theirs.closed;
                }
            }
        }
        stands
    }

    proptest! {
        #[test]
        fn what_was_changed_here_is_never_written_over(base in any_state(), ours in any_state(), theirs in any_state()) {
            let (base, ours, theirs) = (made(&base), made(&ours), made(&theirs));
            let verdict = decide(Some(&base), &ours, &theirs);
            if ours.is_edited(&base) {
                prop_assert!(after(&ours, &theirs, &verdict) == ours);
                // And nobody is kept in the dark: what the source changed, and what is otherwise here, is a conflict.
                let news = theirs.differs(&base).into_iter().any(|part| theirs.differs(&ours).contains(&part));
                prop_assert_eq!(verdict == Verdict::Conflict, news);
            }
        }

        #[test]
        fn what_was_not_changed_here_follows_the_source(base in any_state(), theirs in any_state()) {
            let (base, theirs) = (made(&base), made(&theirs));
            let verdict = decide(Some(&base), &base, &theirs);
            prop_assert!(verdict != Verdict::Conflict);
            prop_assert!(after(&base, &theirs, &verdict).differs(&theirs).is_empty());
        }

        #[test]
        fn an_unchanged_source_says_nothing(base in any_state(), ours in any_state()) {
            let (base, ours) = (made(&base), made(&ours));
            prop_assert_eq!(decide(Some(&base), &ours, &base), Verdict::Same);
            prop_assert_eq!(decide(None, &ours, &ours), Verdict::Same);
        }

        #[test]
        fn without_a_beginning_nothing_is_taken(ours in any_state(), theirs in any_state()) {
            prop_assert!(!matches!(decide(None, &made(&ours), &made(&theirs)), Verdict::Take(_)));
        }
    }
}
