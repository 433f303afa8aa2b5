//! Properties of the rules: which states are reached and left, what a refusal changes, and that entries add up to the task.

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::kernel::policy::Responsibility;

const NOW: Micros = 1_790_000_000_000_000;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn user(n: u128) -> UserId {
    UserId(id(n))
}

fn task(state: State, owner: Holder) -> Task {
    let body = json!({
        "id": id(9), "item": id(2), "item_version": 1, "title": "Call the pharmacy", "owner": owner, "state": state,
        "checklist": [{"text": "Find the number", "done": false}],
    });
    let origin = Origin { patient: PatientId(id(1)), channel: ChannelId(id(3)), seq: 4, by: user(5), at: NOW };
    Task::created(serde_json::from_value(body).unwrap(), &origin)
}

fn step(op: &str, more: Value) -> Step {
    let mut data = json!({"task": id(9), "rev": 1});
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Step::parse(op, data.as_object().unwrap(), 8000).unwrap_or_else(|refusal| panic!("{op}: {refusal:?}"))
}

/// As `change::step` does it, without what needs a database.
fn run(task: &Task, mut step: Step, actor: UserId) -> Result<Task, Refusal> {
    is_current(task, step.rev)?;
    if let Command::Column { column, owner } = step.command {
        step.command = leading_to(task, column, owner, actor)?;
    }
    decide(task, &step, None, actor, NOW)
}

const OPS: &[(&str, Change)] = &[
    ("task.accept", Change::Accept),
    ("task.decline", Change::Decline),
    ("task.start", Change::Start),
    ("task.hold", Change::Hold),
    ("task.complete", Change::Complete),
    ("task.fail", Change::Fail),
    ("task.cancel", Change::Cancel),
];

#[test]
fn every_state_is_reached_and_only_the_ends_are_not_left() {
    let mut reached = vec![State::Requested, State::Ready];
    for _ in State::ALL {
        let next: Vec<State> = reached.iter().flat_map(|state| state.reachable()).collect();
        reached.extend(next);
    }
    let ends = [State::Completed, State::Cancelled, State::Failed];
    for state in State::ALL {
        assert!(reached.contains(state), "{} is reached", state.text());
        assert_eq!(state.is_final(), ends.contains(state), "{}", state.text());
        assert_eq!(state.reachable().is_empty(), ends.contains(state), "{} is left", state.text());
        // From wherever one is, every end that is not a failure of the work itself can be come to.
        assert!(state.is_open() || state.is_final() || *state == State::Rejected);
    }
}

#[test]
fn each_command_leads_where_the_table_says_and_nowhere_else() {
    let owner = Holder::User(user(6));
    for state in State::ALL {
        let held = task(*state, owner);
        for (op, change) in OPS {
            let row = TABLE.iter().find(|(done, from, _)| done == change && from.contains(state));
            match (run(&held, step(op, json!({"reason": "a"})), user(6)), row) {
                (Ok(after), Some((_, _, to))) => {
                    assert!(after == Task { state: *to, ..held.clone() }, "{op}");
                }
                (Err(refusal), None) => {
                    let allowed: Vec<&str> = state.reachable().into_iter().map(State::text).collect();
                    assert_eq!((refusal.code, &refusal.more["allowed"]), (Code::BadTransition, &json!(allowed)));
                }
                (decided, _) => panic!("{op} from {}: {:?}", state.text(), decided.err()),
            }
        }
    }
}

#[test]
fn what_is_stopped_is_stopped_for_a_reason() {
    let held = task(State::Accepted, Holder::User(user(6)));
    for (op, change) in OPS {
        let refused = run(&held, step(op, json!({"reason": " "})), user(6)).err().map(|refusal| refusal.code);
        let asked = [Change::Decline, Change::Hold, Change::Fail, Change::Cancel].contains(change);
        let expected = match (asked, *change) {
            (true, _) => Some(Code::ReasonRequired),
            (_, Change::Accept) => Some(Code::BadTransition),
            _ => None,
        };
        assert_eq!(refused, expected, "{op}");
    }
}

#[test]
fn assigned_to_oneself_is_accepted() {
    let mine = json!({"owner": user(6)});
    let plan = json!({"owner": {"responsibility": "plan"}});
    for state in State::ALL {
        let held = task(*state, Holder::User(user(7)));
        let (own, other) = (
            run(&held, step("task.assign", mine.clone()), user(6)),
            run(&held, step("task.assign", plan.clone()), user(6)),
        );
        if state.is_final() {
            assert_eq!(own.err().map(|refusal| refusal.code), Some(Code::BadTransition));
            assert_eq!(other.err().map(|refusal| refusal.code), Some(Code::BadTransition));
        } else {
            assert!(own.is_ok_and(|after| after.state == State::Accepted && after.owner == Holder::User(user(6))));
            let holder = Holder::of(Responsibility::Plan);
            assert!(other.is_ok_and(|after| after.state == State::Requested && after.owner == holder));
        }
    }
    let held = task(State::Requested, Holder::User(user(7)));
    let same = run(&held, step("task.assign", json!({"owner": user(7)})), user(6));
    assert_eq!(same.err().and_then(|refusal| refusal.field), Some("owner"));
}

#[test]
fn a_column_is_reached_by_its_command() {
    let held = task(State::Requested, Holder::User(user(6)));
    let to = |column: State| leading_to(&held, column, None, user(6)).ok();
    assert!(matches!(to(State::Accepted), Some(Command::Take(Change::Accept))));
    assert!(matches!(to(State::Rejected), Some(Command::Take(Change::Decline))));
    assert!(matches!(to(State::Requested), Some(Command::Place)));
    assert!(to(State::Ready).is_none());
    let held = task(State::OnHold, Holder::User(user(6)));
    // Asked of oneself would be accepted: that is another column.
    assert!(leading_to(&held, State::Requested, None, user(6)).is_err());
    assert!(
        matches!(leading_to(&held, State::Requested, None, user(7)), Ok(Command::Assign(Holder::User(asked))) if asked == user(6))
    );
    assert!(
        matches!(leading_to(&held, State::Accepted, None, user(7)), Ok(Command::Assign(Holder::User(own))) if own == user(7))
    );
}

#[test]
fn who_ticked_a_step_stays_with_it() {
    let given =
        |steps: &[(&str, bool)]| steps.iter().map(|(text, done)| ((*text).to_owned(), *done)).collect::<Vec<_>>();
    let first = ticked(&given(&[("a", true), ("b", false)]), &[], user(5), NOW);
    assert_eq!((first[0].by, first[1].by), (Some(user(5)), None));
    let second = ticked(&given(&[("c", false), ("b", true), ("a", true)]), &first, user(6), NOW + 1);
    assert_eq!(second.iter().map(|tick| tick.by).collect::<Vec<_>>(), [None, Some(user(6)), Some(user(5))]);
    assert_eq!(second[2].at, first[0].at);
    let third = ticked(&given(&[("a", false)]), &second, user(6), NOW);
    assert!(!third[0].done && third[0].by.is_none() && third[0].at.is_none());
}

fn any_state() -> impl Strategy<Value = State> {
    prop::sample::select(State::ALL.to_vec())
}

fn any_step() -> impl Strategy<Value = (String, Value)> {
    let reason = prop::option::of(Just("a"));
    prop_oneof![
        (prop::sample::select(OPS), reason)
            .prop_map(|((op, _), reason)| ((*op).to_owned(), json!({ "reason": reason }))),
        (5..8_u128).prop_map(|n| ("task.assign".to_owned(), json!({ "owner": user(n) }))),
        any_state().prop_map(|column| ("task.move".to_owned(), json!({"column": column, "reason": "a"}))),
        (0..3_u8, any::<bool>()).prop_map(|(n, done)| {
            let more = match n {
                0 => json!({"title": if done { "Call" } else { "Fax" }}),
                1 => json!({"due": if done { json!("2026-12-01") } else { Value::Null }, "priority": "stat"}),
                _ => json!({"checklist": [{"text": "Find the number", "done": done}, "Call"]}),
            };
            ("task.update".to_owned(), more)
        }),
    ]
}

proptest! {
    /// A refusal leaves a task as it is; each entry raises its number by one; the entries alone give the same task, and give back what
    /// was before; nothing leaves an end.
    #[test]
    fn entries_add_up_to_the_task(first in any_state(), steps in prop::collection::vec((any_step(), 5..8_u128, any::<bool>()), 0..25)) {
        let mut held = task(first, Holder::User(user(6)));
        let mut replayed = held.clone();
        for ((op, more), actor, stale) in steps {
            let mut step = step(&op, more);
            step.rev = if stale { held.rev - 1 } else { held.rev };
            let (change, reason) = (step.change(), step.reason.clone());
            match run(&held, step, user(actor)) {
                Err(refusal) if stale => prop_assert_eq!(refusal.code, Code::Conflict),
                Err(_) => prop_assert!(!stale),
                Ok(after) => {
                    prop_assert!(!stale && !held.state.is_final());
                    let entry = held.changed(EntryId(id(8)), &after, change, reason);
                    prop_assert_eq!(entry.rev, held.rev + 1);
                    let kept: Changed = serde_json::from_value(serde_json::to_value(&entry).unwrap()).unwrap();
                    prop_assert!(kept == entry, "an entry is read as it was written");
                    let mut back = after.clone();
                    back.apply(Changed { after: entry.before.clone(), rev: held.rev, ..entry.clone() });
                    prop_assert!(back == held, "before is how it was");
                    held.apply(entry);
                    prop_assert!(Task { rev: held.rev, ..after } == held, "after is how it is");
                    replayed.apply(kept);
                }
            }
            prop_assert!(replayed == held);
        }
    }

    /// The clock marks a task and is no rival of whoever is about to change it.
    #[test]
    fn a_mark_of_the_clock_leaves_the_number(state in any_state()) {
        let held = task(state, Holder::User(user(6)));
        let after = Task { overdue: true, ..held.clone() };
        let entry = held.changed(EntryId(id(8)), &after, Change::Overdue, None);
        prop_assert_eq!((entry.rev, entry.after.overdue, entry.before.overdue), (held.rev, Some(true), Some(false)));
    }
}
