//! Group commit: order of answers, entries and news.

use serde_json::json;

use super::{Ground, to};

#[tokio::test]
async fn a_batch_is_answered_and_told_in_its_order() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let (a, b) = (ground.channel(&nurse).await, ground.channel(&nurse).await);
    let batches = ground.outlet.told.lock().expect("held by no one").len();
    let answers = ground
        .together(&[
            (&nurse, "toy.note", to(a, "1")),
            (&nurse, "toy.note", to(b, "2")),
            (&nurse, "toy.refuse", to(a, "-")),
            (&nurse, "toy.many", json!({ "channel": b, "others": [a, b, a], "text": "3" })),
            (&nurse, "toy.note", to(a, "4")),
        ])
        .await;
    let places: Vec<Option<i64>> = answers
        .iter()
        .map(|answer| answer.as_ref().ok().map(|answer| answer["seq"].as_i64().expect("a seq")))
        .collect();
    assert_eq!(places, [Some(2), Some(2), None, Some(3), Some(5)]);
    assert_eq!(ground.told(a), [1, 2, 3, 4, 5]);
    assert_eq!(ground.told(b), [1, 2, 3, 4]);
    let order: Vec<_> = {
        let told = ground.outlet.told.lock().expect("held by no one");
        assert_eq!(told.len(), batches + 1, "one commit");
        told.last().expect("news").facts.iter().map(|fact| (fact.channel, fact.seq)).collect()
    };
    assert_eq!(order, [(a, 2), (b, 2), (b, 3), (a, 3), (b, 4), (a, 4), (a, 5)]);
    let entries = ground.entries(a).await;
    let texts: Vec<_> = entries[1..].iter().map(|fact| fact.read::<serde_json::Value>().expect("a body")).collect();
    assert_eq!(texts.iter().map(|body| body["text"].as_str().unwrap()).collect::<Vec<_>>(), ["1", "3", "3", "4"]);
    assert_eq!(answers[4].as_ref().unwrap()["head"], crate::kernel::crypto::base64(&entries[4].head));
}

#[tokio::test]
async fn what_a_reply_says_is_on_disk_before_it_comes() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let channel = ground.channel(&nurse).await;
    for n in 0..20 {
        let answer = ground.run(&nurse, "toy.note", to(channel, "x")).await.expect("done");
        let mut tx = ground.read().await;
        let head = crate::kernel::log::sql::head(&mut tx, channel).await.unwrap().unwrap();
        assert_eq!((answer["seq"].as_i64(), head.seq), (Some(n + 2), n + 2));
    }
}

#[tokio::test]
async fn times_never_go_back() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let channel = ground.channel(&nurse).await;
    ground.world.advance(-3_600_000_000);
    ground.run(&nurse, "toy.note", to(channel, "x")).await.expect("done");
    let entries = ground.entries(channel).await;
    assert!(entries.is_sorted_by_key(|fact| fact.at));
    assert!(ground.audited().await.is_sorted_by_key(|line| line["time_us"].as_i64()));
}

#[tokio::test]
async fn a_fact_for_a_person_is_numbered_without_gaps() {
    let ground = Ground::new().await;
    let (nurse, other) = (ground.nurse().await, ground.nurse().await);
    let tell = || json!({ "user": other.user });
    let fault = json!({ "channel": ground.channel(&nurse).await });
    let answers = ground
        .together(&[
            (&nurse, "toy.tell", tell()),
            (&nurse, "toy.tell", tell()),
            (&nurse, "toy.fault", fault),
            (&nurse, "toy.tell", tell()),
        ])
        .await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
    let ground = ground.restarted().await;
    ground.run(&nurse, "toy.tell", tell()).await.expect("done");
    let told = ground.outlet.told.lock().unwrap();
    assert_eq!(told.iter().flat_map(|news| &news.personal).map(|fact| fact.seq).collect::<Vec<_>>(), [4]);
}

#[tokio::test]
async fn what_is_queued_is_done_before_the_engine_stops() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let channel = ground.channel(&nurse).await;
    let data = to(channel, "x").as_object().cloned().unwrap();
    let begun: Vec<_> = (0..600).map(|_| ground.engine.run(nurse.clone(), "toy.note", data.clone())).collect();
    let clone = ground.engine.clone();
    let ground = ground.restarted().await;
    for answer in begun {
        assert!(answer.await.is_ok());
    }
    assert_eq!(ground.entries(channel).await.len(), 601);
    let late = clone.run(nurse, "toy.note", data).await;
    assert_eq!(late.unwrap_err().code, crate::kernel::base::Code::Busy);
}

#[tokio::test]
async fn ops_of_the_program_itself_are_unknown_to_peers() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let unknown = ground.run(&nurse, "toy.inside", json!({})).await.unwrap_err();
    assert_eq!(unknown, ground.run(&nurse, "no.such", json!({})).await.unwrap_err());
    let inside = ground.engine.run_internal(nurse, "toy.inside", serde_json::Map::new()).await;
    assert_eq!(inside.unwrap(), json!({}));
}
