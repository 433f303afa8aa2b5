//! What a patient and a team may be, case by case, and the law of the one lead.

use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::kernel::base::Code;

const NOW: Micros = 1_000_000;

fn user(n: u8) -> UserId {
    UserId(Uuid::from_bytes([n; 16]))
}

fn data(value: Value) -> Data {
    value.as_object().cloned().unwrap()
}

fn adding(n: u8, held: &[Responsibility]) -> Add {
    Add {
        patient: PatientId::ZERO,
        user: user(n),
        role: "Nurse".into(),
        responsibilities: held.to_vec(),
        family: false,
        until: None,
        reason: None,
    }
}

fn changing(n: u8, held: Option<&[Responsibility]>) -> Change {
    Change {
        patient: PatientId::ZERO,
        user: user(n),
        role: None,
        responsibilities: held.map(<[Responsibility]>::to_vec),
        family: None,
        until: None,
        reason: None,
    }
}

#[test]
fn a_patient_is_read() {
    let identity = identity(&data(json!({"name": "Ruth Okafor", "birth_date": "1951-08", "language": "en",
        "identifiers": [{"system": "urn:x", "value": "1"}, {"system": "urn:x", "value": "1"}]})))
    .unwrap();
    assert_eq!((identity.name.as_str(), identity.identifiers.len()), ("Ruth Okafor", 1));
}

#[test]
fn a_patient_that_is_none_is_refused_by_field() {
    let cases = [
        (json!({}), "name"),
        (json!({"name": " "}), "name"),
        (json!({"name": "R", "birth_date": "14.8.1951"}), "birth_date"),
        (json!({"name": "R", "birth_date": "1951-02-30"}), "birth_date"),
        (json!({"name": "R", "birth_date": 1951}), "birth_date"),
        (json!({"name": "R", "identifiers": {"system": "a"}}), "identifiers"),
        (json!({"name": "R", "identifiers": [{"system": "a"}]}), "identifiers"),
        (json!({"name": "R", "identifiers": [{"system": "", "value": "1"}]}), "identifiers"),
        (json!({"name": "R", "gender": "F"}), "gender"),
    ];
    for (value, field) in cases {
        let refusal = identity(&data(value.clone())).err().unwrap_or_else(|| panic!("{value} was taken"));
        assert_eq!((refusal.code, refusal.field), (Code::Invalid, Some(field)), "{value}");
    }
}

#[test]
fn dates_are_those_of_fhir() {
    for good in ["1951", "1951-08", "1951-08-14", "2024-02-29"] {
        assert!(is_date(good), "{good}");
    }
    for bad in
        ["", "51", "1951-13", "1951-8-14", "1951-08-14T00:00:00Z", "+951", "-951-08-14", "2023-02-29", "1951/08/14"]
    {
        assert!(!is_date(bad), "{bad}");
    }
}

#[test]
fn family_holds_nothing_and_accounts_of_family_are_family() {
    let add = adding(1, &[]);
    assert!(decide_add(&Team::new(), &add, true, NOW).unwrap().family);
    let add = adding(1, &[Responsibility::Plan]);
    assert_eq!(decide_add(&Team::new(), &add, true, NOW).unwrap_err().field, Some("responsibilities"));
}

#[test]
fn the_lead_does_not_run_out_and_does_not_leave() {
    let lead = Member { lead: true, ..Member::default() };
    let team = Team::from([(user(1), lead)]);
    assert_eq!(decide_remove(&team, user(1)).unwrap_err().code, Code::Conflict);
    assert_eq!(decide_change(&team, &changing(1, Some(&[])), NOW).unwrap_err().code, Code::Conflict);
    let timed = Change { until: Some(Some(NOW + 1)), ..changing(1, None) };
    assert_eq!(decide_change(&team, &timed, NOW).unwrap_err().field, Some("until"));
    let timed = Add { until: Some(NOW + 1), ..adding(2, &[Responsibility::Lead]) };
    assert_eq!(decide_add(&team, &timed, false, NOW).unwrap_err().field, Some("until"));
}

#[test]
fn a_member_is_not_added_twice_nor_a_stranger_changed() {
    let team = Team::from([(user(1), Member { until: Some(NOW), ..Member::default() })]);
    assert_eq!(decide_add(&team, &adding(1, &[]), false, NOW).unwrap_err().code, Code::Conflict);
    assert_eq!(decide_change(&team, &changing(1, Some(&[])), NOW).unwrap_err().code, Code::NotFound, "run out");
    assert_eq!(decide_change(&team, &changing(2, Some(&[])), NOW).unwrap_err().code, Code::NotFound);
    assert_eq!(decide_remove(&team, user(2)).unwrap_err().code, Code::NotFound);
    assert_eq!(decide_change(&team, &changing(1, None), 0).unwrap_err().code, Code::Invalid, "nothing changes");
}

#[derive(Clone, Debug)]
enum Step {
    Add(u8, Vec<Responsibility>, bool),
    Change(u8, Option<Vec<Responsibility>>),
    Remove(u8),
}

fn any_step() -> impl Strategy<Value = Step> {
    let held = || proptest::sample::subsequence(Responsibility::ALL.to_vec(), 0..=3);
    prop_oneof![
        (0_u8..5, held(), any::<bool>()).prop_map(|(n, held, family)| Step::Add(n, held, family)),
        (0_u8..5, proptest::option::of(held())).prop_map(|(n, held)| Step::Change(n, held)),
        (0_u8..5).prop_map(Step::Remove),
    ]
}

/// What the projection of an accepted entry does.
fn put(team: &mut Team, who: UserId, member: Member) {
    if member.lead
        && let Some(former) = former_lead(team, who)
        && let Some(former) = team.get_mut(&former)
    {
        former.lead = false;
    }
    team.insert(who, member);
}

proptest! {
    /// At most one lead until one is named, then exactly one, whatever is asked.
    #[test]
    fn there_is_one_lead_for_ever_once_named(steps in prop::collection::vec(any_step(), 0..60)) {
        let mut team = Team::new();
        let mut named = false;
        for step in steps {
            match step {
                Step::Add(n, held, family) => {
                    if let Ok(member) = decide_add(&team, &Add { family, ..adding(n, &held) }, false, NOW) {
                        put(&mut team, user(n), member);
                    }
                }
                Step::Change(n, held) => {
                    if let Ok(member) = decide_change(&team, &changing(n, held.as_deref()), NOW) {
                        put(&mut team, user(n), member);
                    }
                }
                Step::Remove(n) => {
                    if decide_remove(&team, user(n)).is_ok() {
                        team.remove(&user(n));
                    }
                }
            }
            let leads = team.values().filter(|member| member.lead).count();
            named |= leads > 0;
            prop_assert!(leads <= 1);
            prop_assert_eq!(leads == 1, named);
            prop_assert!(team.values().all(|member| !member.family || Responsibility::of(member).is_empty()));
        }
    }

    /// What passes is held by the other one afterwards and by nobody twice over, and there is one lead before and after.
    #[test]
    fn what_passes_is_neither_lost_nor_doubled(
        held in prop::collection::vec(proptest::sample::subsequence(Responsibility::ALL.to_vec(), 0..=3), 2..4),
        leads in 0_usize..4, wanted in proptest::sample::subsequence(Responsibility::ALL.to_vec(), 0..=3),
        until in prop::option::of(NOW..NOW + 2), family in any::<bool>(),
    ) {
        let mut team = Team::new();
        for (n, held) in held.iter().enumerate() {
            let held: Vec<_> = held.iter().copied().filter(|one| *one != Responsibility::Lead || n == leads).collect();
            team.insert(user(n as u8), with_responsibilities(Member::default(), &held));
        }
        if let (1, Some(taker)) = (team.values().filter(|member| member.lead).count(), team.get_mut(&user(1))) {
            taker.until = until.filter(|_| !taker.lead);
            taker.family = family && Responsibility::of(taker).is_empty();
        }
        let (before, of) = (team.clone(), |team: &Team, what: Responsibility| {
            team.values().filter(|member| what.is_held_by(member)).count()
        });
        let Ok(passed) = decide_pass(&team, [user(0), user(1)], &wanted, NOW) else {
            prop_assert!(team[&user(1)].family || (team[&user(1)].until.is_some() && wanted.contains(&Responsibility::Lead)));
            return Ok(());
        };
        if passed.moved.is_empty() {
            return Ok(());
        }
        put(&mut team, user(1), passed.taker);
        prop_assert_eq!(of(&team, Responsibility::Lead), of(&before, Responsibility::Lead), "between both entries");
        put(&mut team, user(0), passed.giver);
        for what in Responsibility::ALL {
            let both = what.is_held_by(&before[&user(0)]) && what.is_held_by(&before[&user(1)]);
            prop_assert_eq!(of(&team, what) + usize::from(both && wanted.contains(&what)), of(&before, what));
            prop_assert_eq!(passed.moved.contains(&what), what.is_held_by(&before[&user(0)]) && wanted.contains(&what));
            prop_assert!(!passed.moved.contains(&what) || what.is_held_by(&team[&user(1)]));
        }
    }
}
