//! What an item may be, case by case, and the law of its number.

use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::kernel::base::Code as Refused;

const ID: &str = "0192f000-0000-7000-8000-000000000001";

fn data(value: Value) -> Data {
    value.as_object().cloned().unwrap()
}

fn open(rev: i64) -> Item {
    Item { kind: Some(Kind::Goal), standing: None, open: true, shared: false, rev }
}

fn changing(value: Value, rev: i64) -> Change {
    let mut data = data(value);
    data.insert("item".into(), ID.into());
    data.insert("rev".into(), rev.into());
    change(&data, 8000).unwrap()
}

#[test]
fn an_item_that_is_none_is_refused_by_field() {
    let good = json!({"patient": ID, "kind": "goal", "title": "Walk", "due": "2026-12-01", "codes": [{"display": "x"}],
        "owner": {"responsibility": "plan"}, "addresses": [ID, ID], "shared": true, "detail": "d"});
    let added = add(&data(good.clone()), 8000).unwrap();
    assert_eq!((added.kind, added.content.addresses.len(), added.shared), (Kind::Goal, 1, true));
    let cases = [
        ("kind", json!("wish"), Refused::Invalid),
        ("kind", Value::Null, Refused::Invalid),
        ("title", json!(" "), Refused::Invalid),
        ("title", Value::Null, Refused::Invalid),
        ("title", json!("x".repeat(501)), Refused::TooLarge),
        ("detail", json!("x".repeat(8001)), Refused::TooLarge),
        ("detail", json!(7), Refused::Invalid),
        ("due", json!("tomorrow"), Refused::Invalid),
        ("due", json!("2026-12"), Refused::Invalid),
        ("codes", json!([{"system": "urn:x"}]), Refused::Invalid),
        ("codes", json!([{"code": 7}]), Refused::Invalid),
        ("codes", json!({}), Refused::Invalid),
        ("owner", json!("me"), Refused::Invalid),
        ("owner", json!({"responsibility": "all"}), Refused::Invalid),
        ("addresses", json!(["x"]), Refused::Invalid),
        ("shared", json!("yes"), Refused::Invalid),
        ("patient", json!("x"), Refused::Invalid),
    ];
    for (field, value, code) in cases {
        let mut wrong = data(good.clone());
        wrong.insert(field.into(), value.clone());
        let refusal = add(&wrong, 8000).err().unwrap_or_else(|| panic!("{field} {value} was taken"));
        assert_eq!((refusal.code, refusal.field), (code, Some(field)), "{value}");
    }
}

#[test]
fn null_clears_and_absence_keeps() {
    let mut content = add(
        &data(json!({"patient": ID, "kind": "goal", "title": "Walk", "detail": "daily", "due": "2026-12-01", "codes": [{"code": "1"}]})),
        8000,
    )
    .unwrap()
    .content;
    let body = decide_change(&open(1), &changing(json!({"detail": null, "codes": null}), 1)).unwrap();
    // As it comes back from the log.
    let body: Changed = serde_json::from_str(&serde_json::to_string(&body).unwrap()).unwrap();
    body.lay_over(&mut content);
    assert_eq!((content.detail, content.codes.len(), content.due.as_deref()), (None, 0, Some("2026-12-01")));
}

#[test]
fn what_cannot_be_changed_says_so() {
    let change = changing(json!({"title": "Run"}), 1);
    let code = |item: Item| decide_change(&item, &change).err().map(|refusal| refusal.code);
    assert_eq!(code(Item { standing: Some(Standing::Whole), kind: None, ..open(1) }), Some(Refused::Forbidden));
    assert_eq!(code(Item { open: false, ..open(1) }), Some(Refused::PlanItemClosed));
    assert_eq!(code(open(2)), Some(Refused::Conflict));
    assert_eq!(decide_change(&open(1), &changing(json!({}), 1)).err().unwrap().code, Refused::Invalid);
    assert_eq!(decide_change(&open(1), &changing(json!({"kind": "barrier"}), 1)).err().unwrap().field, Some("kind"));
    assert_eq!(
        decide_change(&open(1), &changing(json!({"addresses": [ID]}), 1)).err().unwrap().field,
        Some("addresses")
    );
    let closing = close(&data(json!({"item": ID, "rev": 1}))).unwrap();
    assert_eq!((closing.status, closing.item), ("completed", ItemId(ID.parse::<Uuid>().unwrap())));
    assert_eq!(close(&data(json!({"item": ID, "rev": 1, "status": "won"}))).err().unwrap().field, Some("status"));
}

proptest! {
    /// Of two who saw the same item only one changes it, and the number counts what was accepted.
    #[test]
    fn a_number_is_used_once(seen in prop::collection::vec(1_i64..12, 0..40)) {
        let mut item = open(1);
        let mut accepted = 0;
        for rev in seen {
            match decide_write(&item, rev) {
                Ok(next) => {
                    prop_assert_eq!(next, item.rev + 1);
                    item.rev = next;
                    accepted += 1;
                }
                Err(refusal) => {
                    prop_assert_ne!(rev, item.rev);
                    prop_assert_eq!(refusal.code, Refused::Conflict);
                }
            }
        }
        prop_assert_eq!(item.rev, accepted + 1);
    }
}
