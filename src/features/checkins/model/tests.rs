//! Check-ins as rules: what a schedule must say, who answers once, what a closed one refuses, and which of several missed times counts.

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::kernel::base::world::parse_rfc3339;

const NOW: &str = "2026-11-28T10:20:30.5Z";
const DAY: Micros = 24 * 60 * MINUTE;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn now() -> Micros {
    parse_rfc3339(NOW).unwrap()
}

fn with(mut data: Value, more: &Value) -> Data {
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    data.as_object().unwrap().clone()
}

fn scheduled(more: &Value) -> Result<Scheduled, Refusal> {
    let data = json!({"channel": id(1), "rrule": "FREQ=DAILY;BYHOUR=8;BYMINUTE=0", "zone": "UTC", "questions": ["How is the pain?", "What blocks?"], "close_minutes": 60});
    Plan::parse(&with(data, more))?.decide(EntryId(id(9)), now(), true, |user| user == UserId(id(5)))
}

fn answer(answers: usize) -> Answer {
    let data = json!({"checkin": id(7), "answers": vec!["Well"; answers]});
    Answer::parse(data.as_object().unwrap(), 100).unwrap()
}

#[test]
fn a_schedule_says_when_what_and_how_long() {
    let fields = [
        (json!({"questions": ["One?"]}), "questions"),
        (json!({"questions": ["1", "2", "3", "4", "5", "6"]}), "questions"),
        (json!({"questions": ["One?", " "]}), "questions"),
        (json!({"close_minutes": 4}), "close_minutes"),
        (json!({"close_minutes": null}), "close_minutes"),
        (json!({"rrule": "FREQ=HOURLY"}), "rrule"),
        (json!({"rrule": "FREQ=DAILY;UNTIL=20261128T110000Z;BYHOUR=9"}), "rrule"),
        (json!({"zone": "Mars/Olympus"}), "rrule"),
        (json!({"members": []}), "members"),
        (json!({"members": [id(6)]}), "members"),
    ];
    for (more, field) in fields {
        let refusal = scheduled(&more).err().unwrap_or_else(|| panic!("{more} was taken"));
        assert_eq!((refusal.code, refusal.field), (Code::Invalid, Some(field)), "{more}");
    }
    assert_eq!(scheduled(&json!({})).unwrap().next.as_deref(), Some("2026-11-29T08:00:00.000000Z"));
}

#[test]
fn a_schedule_keeps_what_was_accepted_and_its_end_says_nothing_more() {
    let kept = serde_json::to_value(scheduled(&json!({"members": [id(5), id(5)]})).unwrap()).unwrap();
    let expected = json!({"id": id(9), "rrule": "FREQ=DAILY;BYHOUR=8;BYMINUTE=0", "zone": "UTC", "questions": ["How is the pain?", "What blocks?"],
        "close_minutes": 60, "members": [id(5)], "start": "2026-11-28T10:20:00.000000Z", "next": "2026-11-29T08:00:00.000000Z"});
    assert_eq!(kept, expected);
    let read: Scheduled = serde_json::from_value(kept).unwrap();
    assert_eq!(read.schedule.unwrap().members, Some(vec![UserId(id(5))]));
    let end = || Plan::parse(json!({"channel": id(1), "rrule": null}).as_object().unwrap()).unwrap();
    let ended = serde_json::to_value(end().decide(EntryId(id(9)), now(), true, |_| false).unwrap()).unwrap();
    assert_eq!(ended, json!({"id": id(9)}));
    assert!(serde_json::from_value::<Scheduled>(ended).unwrap().schedule.is_none());
    assert_eq!(end().decide(EntryId(id(9)), now(), false, |_| false).err().unwrap().code, Code::Conflict);
}

#[test]
fn of_several_missed_times_the_newest_counts() {
    let rule = Recurrence::parse("rrule", "FREQ=DAILY", "UTC", now()).unwrap();
    let start = now() - now().rem_euclid(1_000_000);
    let due = start + DAY;
    assert_eq!(Turn::of(&rule, due, due), Turn { due, next: Some(due + DAY), missed: 0 });
    let late = due + 3 * DAY + MINUTE;
    assert_eq!(Turn::of(&rule, due, late), Turn { due: due + 3 * DAY, next: Some(due + 4 * DAY), missed: 3 });
    let ages = due + 500 * DAY;
    assert_eq!((Turn::of(&rule, due, ages).missed, Turn::of(&rule, due, ages).next), (100, Some(ages + DAY)));
    let last = Recurrence::parse("rrule", "FREQ=DAILY;COUNT=2", "UTC", now()).unwrap();
    assert_eq!(Turn::of(&last, due, due + 9 * DAY), Turn { due, next: None, missed: 0 });
}

#[test]
fn an_answer_is_texts_and_may_be_sbar_too() {
    let parse = |more: Value| Answer::parse(&with(json!({"checkin": id(7), "answers": ["a", "b"]}), &more), 10);
    assert!(parse(json!({})).unwrap().sbar.is_none());
    assert!(parse(json!({"sbar": {"situation": "a"}})).unwrap().sbar.is_some());
    let code = |more| parse(more).err().map(|refusal| (refusal.code, refusal.field));
    assert_eq!(code(json!({"answers": "a"})), Some((Code::Invalid, Some("answers"))));
    assert_eq!(code(json!({"answers": ["a", 7]})), Some((Code::Invalid, Some("answers"))));
    assert_eq!(code(json!({"answers": ["a", " "]})), Some((Code::Invalid, Some("answers"))));
    assert_eq!(code(json!({"answers": ["123456", "78901"]})), Some((Code::TooLarge, Some("answers"))));
    assert_eq!(code(json!({"sbar": {"background": "a"}})), Some((Code::Invalid, Some("sbar"))));
    assert_eq!(code(json!({"checkin": null})), Some((Code::Invalid, Some("checkin"))));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Answer { user: u8, answers: usize },
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..6_u8, 2..4_usize).prop_map(|(user, answers)| Step::Answer { user, answers }),
        1 => Just(Step::Close),
    ];
    prop::collection::vec(step, 0..20)
}

proptest! {
    /// Whoever is expected answers once while it is open, nobody else ever does, and nothing leaves the closed state. Who answered and
    /// who stayed silent are together those who were expected.
    #[test]
    fn a_check_in_is_open_and_then_closed_for_good(steps in steps(), expected in prop::collection::btree_set(0..5_u8, 0..5)) {
        let user = |n: u8| UserId(id(u128::from(n)));
        let expected: Vec<UserId> = expected.into_iter().map(user).collect();
        let mut checkin = Standing { id: ThingId(id(7)), open: true, questions: 2, expected: expected.clone(), answered: Vec::new() };
        for step in steps {
            let was = checkin.clone();
            match step {
                Step::Answer { user: n, answers } => match checkin.answer(EntryId::ZERO, user(n), ItemId(id(2)), answer(answers)) {
                    Ok(answered) => {
                        prop_assert!(was.open && answers == 2 && expected.contains(&user(n)) && !was.answered.contains(&user(n)));
                        prop_assert_eq!((answered.checkin, answered.answers.len()), (checkin.id, 2));
                        checkin.answered.push(user(n));
                    }
                    Err(refusal) => {
                        let code = if !expected.contains(&user(n)) {
                            Code::Forbidden
                        } else if !was.open {
                            Code::BadTransition
                        } else if was.answered.contains(&user(n)) {
                            Code::Conflict
                        } else {
                            Code::Invalid
                        };
                        prop_assert_eq!(refusal.code, code);
                    }
                },
                Step::Close => match checkin.close(EntryId::ZERO) {
                    Ok(Closed { answered, silent, .. }) => {
                        prop_assert!(was.open);
                        let mut all: Vec<UserId> = answered.into_iter().chain(silent).collect();
                        all.sort_unstable();
                        prop_assert_eq!(&all, &expected);
                        checkin.open = false;
                    }
                    Err(refusal) => prop_assert_eq!((refusal.code, was.open), (Code::BadTransition, false)),
                },
            }
            prop_assert!(was.open || checkin == was, "closed is for good");
        }
    }
}
