//! Who is next in line: the order of claims, those who left, and who is shown what.

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::tests::Ward;
use super::*;
use crate::kernel::base::world::MINUTE;
use crate::kernel::policy::{Member, PersonKind, Subject};

const NOW: Micros = 1000;
const HOUR: Micros = 60 * MINUTE;

fn id(n: u8) -> Uuid {
    Uuid::from_bytes([n; 16])
}

fn content(owner: Option<Holder>) -> Content {
    Content {
        title: "Walk".into(),
        detail: None,
        codes: Vec::new(),
        owner,
        due: Some("2027-01-01".into()),
        addresses: Vec::new(),
        source: None,
        notes: Vec::new(),
    }
}

fn row(open: bool) -> ItemRow {
    ItemRow {
        id: ItemId(id(9)),
        patient: PatientId::ZERO,
        kind: Some(1),
        standing: None,
        status: "active".into(),
        open,
        shared: false,
        rev: 1,
        place: 1,
        view: Vec::new(),
    }
}

fn holder(n: u8) -> Holder {
    match n {
        0 => Holder::of(Responsibility::Lead),
        1 => Holder::of(Responsibility::Plan),
        _ => Holder::User(UserId(id(n))),
    }
}

prop_compose! {
    fn a_claim()(source in any::<u8>(), on in 8..10_u8, held in 0..6_u8, due in prop::option::of(1..5_i64), weight in 0..3_usize) -> Claim {
        Claim {
            source: ThingId(id(source)), item: ItemId(id(on)), patient: PatientId::ZERO, channel: ChannelId::ZERO, seq: 1,
            holder: holder(held), due, weight: Weight::ALL[weight], why: Why::Task,
        }
    }
}

prop_compose! {
    fn a_team()(members in prop::collection::vec((2..6_u8, any::<[bool; 2]>(), prop::option::of(999..1002_i64)), 0..4)) -> Access {
        let mut access = Access::new(PatientId::ZERO);
        for (user, [lead, plan], until) in members {
            access.members.insert(UserId(id(user)), Member { lead, plan, until, ..Member::default() });
        }
        access
    }
}

proptest! {
    /// Whoever is next is somebody who is there; nothing that comes before them waits for somebody who is; and the plan's own owner is
    /// asked only when nothing waits.
    #[test]
    fn the_first_claim_somebody_stands_for_is_next(claims in prop::collection::vec(a_claim(), 0..8), owner in prop::option::of(0..6_u8), access in a_team()) {
        let owner = owner.map(holder);
        let next = Claims::from(claims.clone()).next(&row(true), &content(owner), &access, NOW);
        let there = |holder: Holder| match holder {
            Holder::User(user) => access.member(user, NOW).is_some(),
            Holder::Responsibility { responsibility } => !access.holders(responsibility, NOW).is_empty(),
        };
        let led = there(holder(0));
        let mut waiting: Vec<Claim> = claims.into_iter().filter(|claim| claim.item == row(true).id && (led || there(claim.holder))).collect();
        waiting.sort_by_key(|claim| (claim.weight, claim.due.is_none(), claim.due, claim.source));
        let Some(next) = next else {
            prop_assert!(waiting.is_empty() && !owner.is_some_and(|owner| led || there(owner)));
            return Ok(());
        };
        prop_assert_eq!(next.user.is_some(), next.responsibility.is_none());
        let said = next.user.map(Holder::User).or(next.responsibility.map(Holder::of)).unwrap();
        prop_assert!(there(said));
        let (wanted, source) = waiting.first().map_or_else(|| (owner.unwrap(), None), |claim| (claim.holder, Some(claim.source)));
        prop_assert_eq!(said, if there(wanted) { wanted } else { holder(0) });
        prop_assert!(next.id == source && (next.why == Why::Owner) == source.is_none());
    }

    #[test]
    fn nobody_is_next_for_what_is_over(claims in prop::collection::vec(a_claim(), 0..8), access in a_team()) {
        prop_assert!(Claims::from(claims).next(&row(false), &content(Some(holder(0))), &access, NOW).is_none());
    }
}

#[test]
fn numbers_and_words_agree() {
    assert!(Weight::ALL.into_iter().all(|one| Weight::from_number(one.number()) == Some(one)));
    assert!(Why::ALL.into_iter().all(|one| Why::from_number(one.number()) == Some(one)));
}

impl Ward {
    /// Lays a claim as a kind would, on the item `whole`.
    async fn claimed(&self, claim: Claim) {
        let mut tx = self.house.engine.shared().db.write().await.unwrap();
        sql::put_claim(&mut tx, &claim).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn next(&self, who: &Subject) -> Value {
        let items = self.items(who).await;
        items.into_iter().find(|item| item["standing"] == "whole").unwrap()["next"].clone()
    }

    fn claim(&self, channel: ChannelId, seq: i64, holder: Holder) -> Claim {
        Claim {
            source: ThingId(self.house.world.id()),
            item: self.whole,
            patient: self.patient,
            channel,
            seq,
            holder,
            due: None,
            weight: Weight::Routine,
            why: Why::Task,
        }
    }
}

#[tokio::test]
async fn next_in_line_is_what_the_caller_may_know_of() {
    let ward = Ward::open().await;
    let nurse = ward.member(PersonKind::Practitioner, json!(["barriers"])).await;
    let daughter = ward.member(PersonKind::RelatedPerson, json!([])).await;
    let family = ward.shared_channel().await;
    assert_eq!(ward.next(&ward.lead).await, Value::Null, "nobody has been asked");
    let later = Claim { due: Some(7 * HOUR), ..ward.claim(family, 1, Holder::User(ward.lead.user)) };
    ward.claimed(later).await;
    let sooner = Claim { due: Some(HOUR), why: Why::Note, ..ward.claim(ward.care_team, 1, Holder::User(nurse.user)) };
    ward.claimed(sooner).await;
    let shown = json!({"user": nurse.user, "due": "1970-01-01T01:00:00.000000Z", "why": "note", "id": sooner.source});
    assert_eq!(ward.next(&ward.lead).await, shown);
    let of_family =
        json!({"user": ward.lead.user, "due": "1970-01-01T07:00:00.000000Z", "why": "task", "id": later.source});
    assert_eq!(ward.next(&daughter).await, of_family);
    // The same source claims anew, now for whoever answers for barriers, at once.
    let barriers = Holder::of(Responsibility::Barriers);
    ward.claimed(Claim { holder: barriers, weight: Weight::Stat, ..later }).await;
    let held =
        json!({"responsibility": "barriers", "due": "1970-01-01T07:00:00.000000Z", "why": "task", "id": later.source});
    assert_eq!(ward.next(&ward.lead).await, held);
    // Whoever left is not asked: what was theirs is the lead's.
    let away = json!({"patient": ward.patient, "user": nurse.user});
    ward.house.run(&ward.lead, "team.remove", away).await;
    let next = ward.next(&ward.lead).await;
    assert_eq!((&next["responsibility"], &next["id"]), (&json!("lead"), &json!(later.source)));
    let mut tx = ward.house.engine.shared().db.write().await.unwrap();
    sql::end_claim(&mut tx, later.source).await.unwrap();
    tx.commit().await.unwrap();
    let next = ward.next(&ward.lead).await;
    assert_eq!((&next["responsibility"], &next["id"]), (&json!("lead"), &json!(sooner.source)));
    assert_eq!(ward.next(&daughter).await, Value::Null);
}

#[tokio::test]
async fn a_claim_from_a_time_away_is_not_shown() {
    let ward = Ward::open().await;
    let nurse = ward.member(PersonKind::Practitioner, json!([])).await;
    let away = json!({"patient": ward.patient, "user": nurse.user});
    ward.house.run(&ward.lead, "team.remove", away).await;
    ward.house.advance(MINUTE);
    ward.post(&ward.lead, ward.care_team, ward.whole).await;
    let seq = ward.events(&ward.lead, ward.care_team).await.len();
    ward.claimed(ward.claim(ward.care_team, i64::try_from(seq).unwrap(), Holder::User(ward.lead.user))).await;
    let back = json!({"patient": ward.patient, "user": nurse.user, "role": "Nurse"});
    ward.house.run(&ward.lead, "team.add", back).await;
    assert_eq!(ward.next(&nurse).await, Value::Null);
    assert_eq!(ward.next(&ward.lead).await["user"], json!(ward.lead.user));
}

#[tokio::test]
async fn an_item_rests_with_its_owner_while_nothing_waits() {
    let ward = Ward::open().await;
    let added = ward.add(json!({"owner": {"responsibility": "plan"}, "due": "2027-01-01"})).await;
    let item = &added["id"];
    let shown = async || {
        let items = ward.items(&ward.lead).await;
        items.into_iter().find(|one| one["id"] == *item).unwrap()["next"].clone()
    };
    // Nobody holds it: the lead is asked.
    assert_eq!(shown().await, json!({"responsibility": "lead", "due": "2027-01-01", "why": "owner"}));
    ward.member(PersonKind::Practitioner, json!(["plan"])).await;
    assert_eq!(shown().await, json!({"responsibility": "plan", "due": "2027-01-01", "why": "owner"}));
    let stale = json!({"item": item, "rev": 7, "title": "Swim"});
    let refusal = ward.house.refused(&ward.lead, "plan_item.change", stale).await;
    assert_eq!(refusal.more["current"]["next"], shown().await);
    ward.house.run(&ward.lead, "plan_item.close", json!({"item": item, "rev": 1})).await;
    assert_eq!(shown().await, Value::Null);
}
