//! Who reads which conversation, from where to where, and that the log alone says so.

use serde_json::{Value, json};

use super::{Ward, seqs};
use crate::kernel::base::{ChannelId, Code};
use crate::kernel::engine::rebuild;
use crate::kernel::policy::{PersonKind, Subject};
use crate::testing::key;

#[tokio::test]
async fn a_patient_starts_with_a_plan_and_a_conversation() {
    let ward = Ward::open().await;
    let list = ward.house.run(&ward.nurse, "channel.list", json!({})).await;
    let shown: Vec<_> = list["channels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| json!([one["id"], one["name"], one["kind"], one["audience"], one["archived"], one["patient"]]))
        .collect();
    let plan = json!([ward.plan, "Plan", "plan", "staff", false, ward.patient]);
    let care_team = json!([ward.care_team, "Care team", "conversation", "staff", false, ward.patient]);
    assert_eq!(shown, [plan, care_team]);
    let first = ward.history(&ward.nurse, ward.care_team, json!({"after": 0, "limit": 1})).await;
    let event = &first["events"][0];
    assert_eq!(event["event"], json!("channel.opened"));
    let body = json!({"id": ward.care_team, "patient": ward.patient, "name": "Care team", "audience": "staff"});
    assert_eq!(event["data"], body);
    assert_eq!(ward.house.run(&ward.daughter, "channel.list", json!({})).await["channels"], json!([]));
}

#[tokio::test]
async fn the_lead_opens_conversations_and_each_audience_finds_its_own() {
    let ward = Ward::open().await;
    let open = json!({"patient": ward.patient, "name": "a"});
    assert_eq!(ward.house.code(&ward.nurse, "channel.open", open.clone()).await, Code::Forbidden);
    let key = key(&ward.house.world);
    let keyed = super::with(open, json!({"purpose": "Who comes when", "key": key}));
    let reply = ward.house.run(&ward.lead, "channel.open", keyed.clone()).await;
    assert_eq!((&reply["seq"], &reply["channel"]), (&json!(1), &reply["id"]));
    assert_eq!(ward.house.run(&ward.lead, "channel.open", keyed).await["id"], reply["id"], "opened once");

    let readers = [&ward.lead, &ward.nurse, &ward.daughter, &ward.outsider];
    for (audience, members, expected) in [
        ("staff", vec![], [true, true, false, false]),
        ("shared", vec![], [true, true, true, false]),
        ("named", vec![&ward.nurse], [true, true, false, false]),
        ("named", vec![], [true, false, false, false]),
    ] {
        let channel = ward.channel(audience, &members).await;
        for (who, reads) in readers.iter().zip(expected) {
            let page = ward.house.try_run(who, "history", json!({ "channel": channel })).await;
            assert_eq!(page.map(|page| seqs(&page)).ok(), reads.then(|| vec![1]), "{audience}");
        }
    }
}

#[tokio::test]
async fn a_named_channel_lists_staff_of_the_team() {
    let ward = Ward::open().await;
    for members in [json!([ward.daughter.user]), json!([ward.outsider.user]), json!([ward.house.world.id()])] {
        let data = json!({"patient": ward.patient, "name": "a", "audience": "named", "members": members});
        let refused = ward.house.refused(&ward.lead, "channel.open", data).await;
        assert_eq!((refused.code, refused.field), (Code::Invalid, Some("members")));
    }
    let data = json!({"patient": ward.patient, "name": "a", "members": [ward.nurse.user]});
    assert_eq!(ward.house.refused(&ward.lead, "channel.open", data).await.field, Some("members"));
}

#[tokio::test]
async fn an_audience_narrows_and_never_widens() {
    let ward = Ward::open().await;
    let channel = ward.channel("shared", &[]).await;
    let change = |more: Value| super::with(json!({ "channel": channel }), more);
    let code = async |who: &Subject, more: Value| ward.house.code(who, "channel.change", change(more)).await;
    assert_eq!(code(&ward.nurse, json!({"audience": "staff"})).await, Code::Forbidden);
    ward.post(&ward.daughter, channel, "a").await;

    let reply = ward.house.run(&ward.lead, "channel.change", change(json!({"audience": "staff", "name": "b"}))).await;
    assert_eq!(reply["id"], json!(channel));
    assert_eq!(ward.house.code(&ward.daughter, "history", change(json!({}))).await, Code::NotFound);
    assert_eq!(ward.listed(&ward.nurse, channel).await["name"], json!("b"));
    let refused = ward.house.refused(&ward.lead, "channel.change", change(json!({"audience": "shared"}))).await;
    assert_eq!((refused.code, refused.field), (Code::Invalid, Some("audience")));

    ward.house.run(&ward.lead, "channel.change", change(json!({"audience": "named", "members": []}))).await;
    assert_eq!(ward.house.code(&ward.nurse, "history", change(json!({}))).await, Code::NotFound);
    assert_eq!(ward.listed(&ward.nurse, channel).await, Value::Null);
    assert_eq!(ward.history(&ward.lead, channel, json!({})).await["gaps"], json!([]));
    assert_eq!(code(&ward.lead, json!({"audience": "staff"})).await, Code::Invalid);
}

#[tokio::test]
async fn the_list_of_a_named_channel_changes_and_a_time_off_it_stays_closed() {
    let ward = Ward::open().await;
    let channel = ward.channel("named", &[]).await;
    let members = async |list: &[&Subject]| {
        let members: Vec<_> = list.iter().map(|one| one.user).collect();
        ward.house.run(&ward.lead, "channel.change", json!({"channel": channel, "members": members})).await
    };
    ward.post(&ward.lead, channel, "first").await;
    members(&[&ward.nurse]).await;
    // Never away from this patient: from the first entry.
    let page = ward.history(&ward.nurse, channel, json!({})).await;
    assert_eq!((seqs(&page), &page["gaps"]), (vec![1, 2, 3], &json!([])));
    members(&[]).await;
    ward.post(&ward.lead, channel, "while away").await;
    members(&[&ward.nurse]).await;
    let page = ward.history(&ward.nurse, channel, json!({})).await;
    assert_eq!((seqs(&page), &page["gaps"]), (vec![1, 2, 3, 4, 6], &json!([[5, 5]])));

    let back = ward.house.person("b", PersonKind::Practitioner).await;
    ward.join(&back).await;
    ward.leave(&back).await;
    ward.join(&back).await;
    members(&[&ward.nurse, &back]).await;
    let page = ward.history(&back, channel, json!({})).await;
    assert_eq!((seqs(&page), &page["gaps"]), (vec![7], &json!([[1, 6]])), "who left the patient starts anew");
    let told = ward.house.run(&back, "history", json!({"channel": "me"})).await;
    let last = told["events"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["event"], &last["data"]["channel"]), (&json!("invited"), &json!(channel)));
}

#[tokio::test]
async fn the_plan_channel_is_not_changed_and_archiving_is_for_good() {
    let ward = Ward::open().await;
    let (change, archive) = ("channel.change", "channel.archive");
    let plan = json!({"channel": ward.plan, "name": "a"});
    for op in [change, archive] {
        assert_eq!(ward.house.code(&ward.lead, op, plan.clone()).await, Code::Forbidden, "{op}");
    }
    let channel = ward.channel("staff", &[]).await;
    let data = json!({"channel": channel, "name": "a", "key": key(&ward.house.world)});
    assert_eq!(ward.house.code(&ward.nurse, archive, data.clone()).await, Code::Forbidden);
    let reply = ward.house.run(&ward.lead, archive, data.clone()).await;
    assert_eq!(reply["id"], json!(channel));
    assert_eq!(ward.house.run(&ward.lead, archive, data).await["repeat"], json!(true));
    let data = json!({"channel": channel, "name": "a"});
    for op in [change, archive] {
        assert_eq!(ward.house.code(&ward.lead, op, data.clone()).await, Code::Archived, "{op}");
    }
    assert_eq!(ward.listed(&ward.nurse, channel).await["archived"], json!(true));
}

/// Everything a person is shown of conversations.
async fn shown(ward: &Ward, who: &Subject, channels: &[ChannelId]) -> Value {
    let mut pages = Vec::new();
    for channel in channels {
        let page = ward.house.try_run(who, "history", json!({"channel": channel, "limit": 200})).await;
        pages.push(page.unwrap_or_else(|refusal| refusal.to_json()));
    }
    json!([ward.house.run(who, "channel.list", json!({})).await, pages])
}

#[tokio::test]
async fn the_log_alone_gives_the_projections_again() {
    let ward = Ward::open().await;
    let shared = ward.channel("shared", &[]).await;
    let named = ward.channel("named", &[&ward.nurse]).await;
    let archived = ward.channel("staff", &[]).await;
    let message = ward.post(&ward.nurse, shared, "a").await;
    let other = ward.post(&ward.daughter, shared, "b").await;
    ward.house.run(&ward.nurse, "message.relink", json!({"message": message, "item": ward.item(true).await})).await;
    ward.house.run(&ward.lead, "message.retract", json!({"message": other, "reason": "a"})).await;
    let change = json!({"channel": shared, "audience": "staff", "name": "c", "purpose": "d"});
    ward.house.run(&ward.lead, "channel.change", change).await;
    ward.house.run(&ward.lead, "channel.change", json!({"channel": named, "members": []})).await;
    ward.leave(&ward.nurse).await;
    ward.post(&ward.lead, shared, "c").await;
    ward.join(&ward.nurse).await;
    ward.house.run(&ward.lead, "channel.change", json!({"channel": named, "members": [ward.nurse.user]})).await;
    ward.house.run(&ward.lead, "channel.archive", json!({"channel": archived})).await;

    let channels = [ward.plan, ward.care_team, shared, named, archived];
    let people = [&ward.lead, &ward.nurse, &ward.daughter, &ward.outsider];
    let mut before = Vec::new();
    for who in people {
        before.push(shown(&ward, who, &channels).await);
    }
    let mut reader = ward.house.engine.reader(ward.lead.clone()).await.unwrap();
    let things = [reader.thing(message).await.unwrap(), reader.thing(other).await.unwrap()];
    drop(reader);
    rebuild(ward.house.engine.shared()).await.unwrap();
    let ward = Ward { house: ward.house.restarted().await, ..ward };
    for (who, before) in [&ward.lead, &ward.nurse, &ward.daughter, &ward.outsider].into_iter().zip(before) {
        assert_eq!(shown(&ward, who, &channels).await, before);
    }
    let mut reader = ward.house.engine.reader(ward.lead.clone()).await.unwrap();
    assert!(things == [reader.thing(message).await.unwrap(), reader.thing(other).await.unwrap()]);
}
