//! The rules of handoffs, case by case, and the laws of their states.

use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::*;

fn thing(n: u128) -> ThingId {
    ThingId(Uuid::from_u128(n))
}

fn offer(more: Value) -> Result<Offer, Refusal> {
    let id = Uuid::from_u128;
    let mut data = json!({"patient": id(1), "to": id(2), "ipass": {
        "illness_severity": "watcher", "patient_summary": "Day 3 after surgery", "action_list": ["Recheck at 22:00"],
        "situation_awareness": "May need oxygen",
    }});
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Offer::parse(data.as_object().unwrap(), 8000)
}

fn work() -> Work {
    Work {
        tasks: vec![thing(10), thing(11)],
        stuck: vec![thing(12)],
        held: vec![Responsibility::Plan, Responsibility::Barriers],
        declined: vec![
            Former { id: thing(20), tasks: vec![thing(10), thing(99)], responsibilities: vec![Responsibility::Plan] },
            Former { id: thing(21), tasks: vec![thing(11)], responsibilities: vec![Responsibility::Lead] },
        ],
    }
}

fn offered(more: Value) -> Result<Offered, Refusal> {
    decide_offer(offer(more)?, thing(9), &work(), 30)
}

#[test]
fn what_the_receiver_must_know_is_said_in_full() {
    let whole =
        json!({"illness_severity": "stable", "patient_summary": "a", "action_list": "b", "situation_awareness": "c"});
    assert!(offer(json!({"ipass": whole})).is_ok());
    for name in ["illness_severity", "patient_summary", "action_list", "situation_awareness"] {
        for wrong in [json!(null), json!(" "), json!(7), json!([7])] {
            let mut ipass = whole.clone();
            ipass[name] = wrong;
            assert_eq!(offer(json!({ "ipass": ipass })).err().unwrap().field, Some("ipass"), "{name}");
        }
    }
    for wrong in [json!(null), json!("a"), json!({})] {
        assert_eq!(offer(json!({ "ipass": wrong })).err().unwrap().field, Some("ipass"));
    }
    for (field, wrong) in [
        ("to", json!(null)),
        ("tasks", json!("all")),
        ("responsibilities", json!(["charge"])),
        ("respond_minutes", json!(0)),
        ("respond_minutes", json!(1441)),
    ] {
        assert_eq!(offer(json!({ field: wrong })).err().unwrap().field, Some(field));
    }
}

#[test]
fn without_a_choice_all_of_it_is_offered() {
    let all = offered(json!({})).ok().unwrap();
    assert!(all.tasks == [thing(10), thing(11)] && all.left == [thing(12)]);
    assert_eq!(all.responsibilities, [Responsibility::Plan, Responsibility::Barriers]);
    assert!(all.respond_minutes == 30 && all.replaces == [thing(20), thing(21)]);
    let some = offered(json!({"tasks": [thing(11), thing(11)], "responsibilities": [], "respond_minutes": 5}));
    let some = some.ok().unwrap();
    assert!(some.tasks == [thing(11)] && some.left.is_empty() && some.responsibilities.is_empty());
    assert!(some.respond_minutes == 5 && some.replaces == [thing(21)], "the other one still waits for its task");
}

#[test]
fn only_what_is_ones_own_is_offered() {
    let foreign = offered(json!({"tasks": [thing(10), thing(13)]})).err().unwrap();
    assert_eq!((foreign.code, foreign.field), (Code::NotFound, Some("tasks")));
    let unread = offered(json!({"tasks": [thing(12)]})).err().unwrap();
    assert_eq!((unread.code, unread.field), (Code::Invalid, Some("tasks")));
    let lead = offered(json!({"responsibilities": ["lead"]})).err().unwrap();
    assert_eq!((lead.code, lead.field), (Code::Invalid, Some("responsibilities")));
}

#[test]
fn every_state_is_reached_and_left_but_the_ends() {
    let mut reached = vec![State::Offered];
    for _ in State::ALL {
        for (from, _, to) in WAYS {
            if reached.contains(&from) && !reached.contains(&to) {
                reached.push(to);
            }
        }
    }
    assert_eq!(reached.len(), State::ALL.len());
    for state in State::ALL {
        let left = WAYS.iter().any(|(from, ..)| *from == state);
        assert_eq!(left, state.is_open(), "{state:?}");
        assert_eq!(state.cause().is_some(), state.is_open(), "what is open is brought up again");
        assert_eq!(State::from_number(state.number()), Some(state));
        assert_eq!(serde_json::to_value(state).unwrap(), json!(state.text()));
    }
}

proptest! {
    /// A step is taken as the table says or refused with what could be; from an end there is no step.
    #[test]
    fn steps_go_by_the_table(steps in prop::collection::vec(0_usize..4, 0..8)) {
        let all = [Step::Accept, Step::Decline, Step::Withdraw, Step::Replace];
        let mut state = State::Offered;
        for step in steps.into_iter().map(|n| all[n]) {
            match state.after(step) {
                Ok(to) => {
                    prop_assert!(WAYS.contains(&(state, step, to)) && state.is_open());
                    state = to;
                }
                Err(refusal) => {
                    prop_assert_eq!(refusal.code, Code::BadTransition);
                    prop_assert!(!WAYS.iter().any(|(from, taken, _)| (*from, *taken) == (state, step)));
                }
            }
        }
    }

    /// It is brought up again for ever, ever more seldom, at least once a day; the lead is told before three times the first while is over.
    #[test]
    fn what_waits_is_not_forgotten(minutes in 1_i64..=1440) {
        let rests: Vec<Micros> = (0..40).map(|step| rest(minutes, step)).collect();
        prop_assert!(rests.windows(2).all(|pair| pair[0] <= pair[1]));
        prop_assert!(rests.iter().all(|rest| (MINUTE..=1440 * MINUTE).contains(rest)));
        prop_assert_eq!(rests[39], 1440 * MINUTE);
        prop_assert_eq!((rests[0], rests[1]), (minutes * MINUTE, minutes * MINUTE));
        prop_assert!(reminds_receiver(State::Offered, 1) && !reminds_receiver(State::Offered, 2));
        prop_assert!(!reminds_receiver(State::Declined, 1));
    }
}
