//! Check-ins over a whole engine: opened and closed by the clock, answered once, with what waited for them.

mod waiting;

use serde_json::{Value, json};

use super::sql;
use crate::features::channels::{Ward, with};
use crate::kernel::base::world::MINUTE;
use crate::kernel::base::{ChannelId, Code, Micros, ThingId, UserId};
use crate::kernel::engine::rebuild;
use crate::kernel::policy::{PersonKind, Subject};
use crate::testing::{id_of, key};

const DAY: Micros = 24 * 60 * MINUTE;

/// A daily check-in from this minute on, an hour to answer.
async fn schedule(ward: &Ward, channel: ChannelId, more: Value) -> Value {
    let data = json!({"channel": channel, "rrule": "FREQ=DAILY", "zone": "UTC", "questions": ["How is the pain?", "What blocks?"], "close_minutes": 60});
    ward.house.run(&ward.lead, "checkin.schedule", with(data, more)).await
}

/// Lets the clock run, and does what is due.
async fn after(ward: &Ward, time: Micros) {
    ward.house.advance(time);
    ward.house.ring().await;
}

fn answer(ward: &Ward, checkin: ThingId) -> Value {
    json!({"checkin": checkin, "item": ward.wound, "answers": ["Better", "Nothing"]})
}

async fn get(ward: &Ward, who: &Subject, channel: ChannelId) -> Value {
    ward.house.run(who, "checkin.get", json!({ "channel": channel })).await
}

async fn opened(ward: &Ward, channel: ChannelId) -> ThingId {
    id_of(&get(ward, &ward.lead, channel).await["open"], "id")
}

/// The data of each event of that name in a channel, ascending.
async fn events(ward: &Ward, channel: ChannelId, name: &str) -> Vec<Value> {
    let page = ward.history(&ward.lead, channel, json!({"limit": 200})).await;
    let events = page["events"].as_array().unwrap().iter().filter(|event| event["event"] == name);
    events.map(|event| event["data"].clone()).collect()
}

fn sorted(mut users: Vec<UserId>) -> Value {
    users.sort_unstable();
    json!(users)
}

#[tokio::test]
async fn a_check_in_opens_at_its_time_and_ends_with_who_stayed_silent() {
    let ward = Ward::open().await;
    let channel = ward.care_team;
    let scheduled = schedule(&ward, channel, json!({})).await;
    after(&ward, DAY - 2 * MINUTE).await;
    assert!(get(&ward, &ward.nurse, channel).await["open"].is_null(), "not yet");
    after(&ward, 2 * MINUTE).await;
    let shown = get(&ward, &ward.nurse, channel).await;
    let both = sorted(vec![ward.lead.user, ward.nurse.user]);
    assert_eq!((&shown["open"]["expected"], &shown["open"]["counts"]), (&both, &json!({"expected": 2, "answered": 0})));
    assert_eq!(shown["schedule"]["questions"], shown["open"]["questions"]);
    let checkin = opened(&ward, channel).await;
    let told = ward.house.run(&ward.nurse, "history", json!({"channel": "me", "limit": 1})).await["events"][0].clone();
    let reminder = json!({"checkin": checkin, "channel": channel, "patient": ward.patient, "why": "checkin"});
    assert_eq!((&told["event"], &told["data"]), (&json!("reminder"), &reminder));
    let given = ward.house.run(&ward.nurse, "checkin.answer", answer(&ward, checkin)).await;
    assert!(given["seq"].as_i64() > scheduled["seq"].as_i64());
    assert_eq!(ward.house.code(&ward.nurse, "checkin.answer", answer(&ward, checkin)).await, Code::Conflict);
    let shown = get(&ward, &ward.lead, channel).await;
    assert_eq!(
        (&shown["open"]["answered"][0]["user"], &shown["open"]["silent"]),
        (&json!(ward.nurse.user), &json!([ward.lead.user]))
    );
    after(&ward, 61 * MINUTE).await;
    let closed = events(&ward, channel, "checkin.closed").await.remove(0);
    assert_eq!((&closed["answered"], &closed["silent"]), (&json!([ward.nurse.user]), &json!([ward.lead.user])));
    let late = ward.house.refused(&ward.lead, "checkin.answer", answer(&ward, checkin)).await;
    assert_eq!((late.code, late.more["allowed"].clone()), (Code::BadTransition, json!([])));
    assert!(get(&ward, &ward.lead, channel).await["open"].is_null());
    after(&ward, DAY).await;
    assert_eq!(events(&ward, channel, "checkin.opened").await.len(), 2, "and again the next day");
}

#[tokio::test]
async fn an_answer_names_an_open_item_and_every_question() {
    let ward = Ward::open().await;
    schedule(&ward, ward.care_team, json!({})).await;
    after(&ward, DAY).await;
    let checkin = opened(&ward, ward.care_team).await;
    let refused = async |more: Value| {
        let refusal = ward.house.refused(&ward.nurse, "checkin.answer", with(answer(&ward, checkin), more)).await;
        (refusal.code, refusal.field)
    };
    assert_eq!(refused(json!({"item": null})).await, (Code::PlanItemRequired, Some("item")));
    assert_eq!(refused(json!({"answers": ["Better"]})).await, (Code::Invalid, Some("answers")));
    ward.close(ward.wound).await;
    assert_eq!(refused(json!({})).await, (Code::PlanItemClosed, Some("item")));
    let keyed = with(
        answer(&ward, checkin),
        json!({"item": ward.unsorted, "key": key(&ward.house.world), "sbar": {"situation": "Pain at night"}}),
    );
    let first = ward.house.run(&ward.nurse, "checkin.answer", keyed.clone()).await;
    let again = ward.house.run(&ward.nurse, "checkin.answer", keyed).await;
    assert_eq!((&again["seq"], &again["repeat"]), (&first["seq"], &json!(true)));
    let said = ward.newest(ward.care_team).await;
    assert_eq!(
        (&said["data"]["sbar"]["situation"], &said["data"]["item"]),
        (&json!("Pain at night"), &json!(ward.unsorted))
    );
}

#[tokio::test]
async fn who_may_not_see_a_check_in_finds_none_and_family_is_not_asked() {
    let ward = Ward::open().await;
    let shared = ward.channel("shared", &[]).await;
    for channel in [ward.care_team, shared] {
        schedule(&ward, channel, json!({})).await;
    }
    after(&ward, DAY).await;
    let (staff, family) = (opened(&ward, ward.care_team).await, opened(&ward, shared).await);
    let missing = ThingId(ward.house.world.id());
    for who in [&ward.outsider, &ward.daughter] {
        ward.same_as_missing(who, "checkin.answer", answer(&ward, staff), answer(&ward, missing)).await;
    }
    assert_eq!(ward.house.code(&ward.daughter, "checkin.answer", answer(&ward, family)).await, Code::Forbidden);
    let expected = &get(&ward, &ward.daughter, shared).await["open"]["expected"];
    assert_eq!(*expected, sorted(vec![ward.lead.user, ward.nurse.user]));
    let data = json!({"channel": ward.care_team, "rrule": null});
    assert_eq!(ward.house.code(&ward.nurse, "checkin.schedule", data.clone()).await, Code::Forbidden);
    assert_eq!(ward.house.code(&ward.outsider, "checkin.schedule", data).await, Code::NotFound);
    let plan = json!({"channel": ward.plan, "rrule": null});
    assert_eq!(ward.house.code(&ward.lead, "checkin.schedule", plan).await, Code::Forbidden);
}

#[tokio::test]
async fn only_listed_people_who_still_read_are_expected() {
    let ward = Ward::open().await;
    let doctor = ward.house.person("doctor", PersonKind::Practitioner).await;
    ward.join(&doctor).await;
    let members = json!([ward.nurse.user, doctor.user]);
    schedule(&ward, ward.care_team, json!({ "members": members })).await;
    ward.leave(&doctor).await;
    after(&ward, DAY).await;
    let checkin = opened(&ward, ward.care_team).await;
    assert_eq!(events(&ward, ward.care_team, "checkin.opened").await[0]["expected"], json!([ward.nurse.user]));
    assert_eq!(ward.house.code(&ward.lead, "checkin.answer", answer(&ward, checkin)).await, Code::Forbidden);
    assert_eq!(ward.house.code(&doctor, "checkin.answer", answer(&ward, checkin)).await, Code::NotFound);
}

#[tokio::test]
async fn of_missed_times_the_newest_opens_and_the_one_before_ends_with_it() {
    let ward = Ward::open().await;
    schedule(&ward, ward.care_team, json!({"close_minutes": 7 * 24 * 60})).await;
    after(&ward, DAY).await;
    after(&ward, 4 * DAY + MINUTE).await;
    let all = events(&ward, ward.care_team, "checkin.opened").await;
    assert_eq!((all.len(), &all[0]["missed"], &all[1]["missed"]), (2, &Value::Null, &json!(3)));
    assert_eq!(events(&ward, ward.care_team, "checkin.closed").await.len(), 1, "one at a time");
    assert_eq!(all[1]["id"], json!(opened(&ward, ward.care_team).await));
    let data = json!({"channel": ward.care_team, "rrule": null});
    ward.house.run(&ward.lead, "checkin.schedule", data.clone()).await;
    assert_eq!(ward.house.code(&ward.lead, "checkin.schedule", data).await, Code::Conflict);
    after(&ward, 8 * DAY).await;
    assert_eq!(events(&ward, ward.care_team, "checkin.opened").await.len(), 2, "no more of them");
    assert_eq!(events(&ward, ward.care_team, "checkin.closed").await.len(), 2, "what was open still ends");
}

#[tokio::test]
async fn a_channel_that_is_archived_is_left_alone() {
    let ward = Ward::open().await;
    let channel = ward.channel("staff", &[]).await;
    schedule(&ward, channel, json!({})).await;
    ward.house.run(&ward.lead, "channel.archive", json!({ "channel": channel })).await;
    let before = ward.newest(channel).await;
    after(&ward, 3 * DAY).await;
    assert_eq!(ward.newest(channel).await, before);
    assert_eq!(ward.house.ring().await, 0, "and it is not tried again");
}

/// What the tables say.
async fn rows(ward: &Ward, channel: ChannelId) -> String {
    let mut tx = ward.house.engine.shared().db.read().await.unwrap();
    let newest = sql::newest(&mut tx, channel).await.unwrap().unwrap();
    let answers = sql::answers(&mut tx, newest.id).await.unwrap();
    format!("{:?} {newest:?} {answers:?}", sql::schedule(&mut tx, channel).await.unwrap())
}

#[tokio::test]
async fn a_rebuild_gives_the_same_and_opens_nothing_twice() {
    let ward = Ward::open().await;
    schedule(&ward, ward.care_team, json!({})).await;
    after(&ward, DAY).await;
    let checkin = opened(&ward, ward.care_team).await;
    ward.house.run(&ward.nurse, "checkin.answer", answer(&ward, checkin)).await;
    let before = (rows(&ward, ward.care_team).await, get(&ward, &ward.nurse, ward.care_team).await);
    rebuild(ward.house.engine.shared()).await.unwrap();
    assert_eq!((rows(&ward, ward.care_team).await, get(&ward, &ward.nurse, ward.care_team).await), before);
    assert_eq!(ward.house.ring().await, 0, "what was rung stays rung");
    after(&ward, 61 * MINUTE).await;
    assert_eq!(events(&ward, ward.care_team, "checkin.closed").await.len(), 1, "and what was set stays set");
}
