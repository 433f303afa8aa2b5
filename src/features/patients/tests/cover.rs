//! Who stands in for whom: in its time they act with the responsibility and are who is reached by it, and nobody else loses anything.

use serde_json::{Value, json};

use super::Ward;
use crate::kernel::base::Code;
use crate::kernel::base::world::{MINUTE, rfc3339};
use crate::kernel::engine::rebuild;
use crate::kernel::policy::{PersonKind, Responsibility, Subject};

async fn cover(ward: &Ward, by: &Subject, more: Value) -> Result<Value, (Code, Option<&'static str>)> {
    let mut data = json!({"patient": ward.patient, "responsibility": "plan",
                          "until": rfc3339(ward.house.world.now() + 60 * MINUTE)});
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ward.house.try_run(by, "team.cover", data).await.map_err(|refusal| (refusal.code, refusal.field))
}

async fn may_plan(ward: &Ward, who: &Subject) -> bool {
    let data = json!({"patient": ward.patient, "kind": "goal", "title": "Walks"});
    ward.house.try_run(who, "plan_item.add", data).await.is_ok()
}

#[tokio::test]
async fn whoever_stands_in_acts_with_it_in_that_time_alone() {
    let ward = Ward::open().await;
    let (planner, nurse) = (ward.nurse().await, ward.nurse().await);
    ward.add(&planner, json!({"responsibilities": ["plan"]})).await;
    ward.add(&nurse, json!({})).await;
    let from = ward.house.world.now() + 10 * MINUTE;
    cover(&ward, &planner, json!({"user": nurse.user, "from": rfc3339(from)})).await.unwrap();
    assert!(!may_plan(&ward, &nurse).await, "not yet");
    ward.house.advance(11 * MINUTE);
    assert!(may_plan(&ward, &nurse).await && may_plan(&ward, &planner).await);
    let now = ward.house.world.now();
    assert_eq!(ward.access().await.holders(Responsibility::Plan, now), [nurse.user]);
    let listed = ward.house.run(&nurse, "team.list", json!({"patient": ward.patient})).await;
    let members = listed["members"].as_array().unwrap();
    let away = members.iter().find(|member| member["user"] == json!(planner.user)).unwrap();
    assert_eq!(away["covers"][0]["user"], json!(nurse.user));

    rebuild(ward.house.engine.shared()).await.unwrap();
    assert_eq!(ward.access().await.holders(Responsibility::Plan, now), [nurse.user], "the log alone says so");

    ward.house.advance(60 * MINUTE);
    assert!(!may_plan(&ward, &nurse).await, "no longer");
    let now = ward.house.world.now();
    assert_eq!(ward.access().await.holders(Responsibility::Plan, now), [planner.user]);
}

#[tokio::test]
async fn a_cover_ends_when_it_is_taken_back_or_the_stand_in_leaves() {
    let ward = Ward::open().await;
    let (planner, nurse) = (ward.nurse().await, ward.nurse().await);
    ward.add(&planner, json!({"responsibilities": ["plan"]})).await;
    ward.add(&nurse, json!({})).await;
    cover(&ward, &ward.lead, json!({"absent": planner.user, "user": nurse.user})).await.unwrap();
    assert!(may_plan(&ward, &nurse).await);
    cover(&ward, &planner, json!({})).await.unwrap();
    assert!(!may_plan(&ward, &nurse).await);
    cover(&ward, &planner, json!({"user": nurse.user})).await.unwrap();
    ward.house.run(&ward.lead, "team.remove", ward.about(&nurse, json!({}))).await;
    let now = ward.house.world.now();
    assert_eq!(ward.access().await.holders(Responsibility::Plan, now), [planner.user]);
}

#[tokio::test]
async fn who_may_name_a_cover_and_who_stands_in() {
    let ward = Ward::open().await;
    let (planner, nurse) = (ward.nurse().await, ward.nurse().await);
    let daughter = ward.house.person("daughter", PersonKind::RelatedPerson).await;
    ward.add(&planner, json!({"responsibilities": ["plan"]})).await;
    ward.add(&nurse, json!({})).await;
    ward.add(&daughter, json!({})).await;
    let stranger = ward.nurse().await;
    let refused = async |by: &Subject, more: Value| cover(&ward, by, more).await.unwrap_err();
    let other = json!({"absent": planner.user, "user": nurse.user});
    assert_eq!(refused(&nurse, other.clone()).await.0, Code::Forbidden);
    assert_eq!(refused(&daughter, other.clone()).await.0, Code::Forbidden);
    assert_eq!(refused(&stranger, other).await, (Code::NotFound, None));
    assert_eq!(refused(&planner, json!({"user": daughter.user})).await, (Code::NotFound, Some("user")));
    assert_eq!(refused(&planner, json!({"user": stranger.user})).await, (Code::NotFound, Some("user")));
    assert_eq!(refused(&planner, json!({"user": planner.user})).await, (Code::Invalid, Some("user")));
    assert_eq!(refused(&planner, json!({"user": nurse.user, "until": null})).await, (Code::Invalid, Some("until")));
    let past = rfc3339(ward.house.world.now() - MINUTE);
    assert_eq!(refused(&planner, json!({"user": nurse.user, "until": past})).await, (Code::Invalid, Some("until")));
    let barriers = json!({"user": nurse.user, "responsibility": "barriers"});
    assert_eq!(refused(&planner, barriers).await, (Code::Invalid, Some("responsibility")));
    cover(&ward, &planner, json!({"user": nurse.user})).await.unwrap();
    // Family is not told who stands in for whom.
    let listed = ward.house.run(&daughter, "team.list", json!({"patient": ward.patient})).await;
    assert!(listed["members"].as_array().unwrap().iter().all(|member| member.get("covers").is_none()));
}
