//! Pages of the past, gaps, positions and counts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Ward, seqs};
use crate::kernel::base::Code;

#[tokio::test]
async fn pages_in_either_direction_cover_a_channel_once_with_its_gaps() {
    let ward = Ward::open().await;
    for n in 0..3 {
        ward.post(&ward.lead, ward.care_team, &n.to_string()).await;
    }
    ward.leave(&ward.nurse).await;
    for n in 0..4 {
        ward.post(&ward.lead, ward.care_team, &n.to_string()).await;
    }
    ward.join(&ward.nurse).await;
    for n in 0..5 {
        ward.post(&ward.lead, ward.care_team, &n.to_string()).await;
    }
    let newest = ward.listed(&ward.lead, ward.care_team).await["last_seq"].as_i64().unwrap();
    let whole = ward.history(&ward.nurse, ward.care_team, json!({})).await;
    assert_eq!(whole["more"], json!(false));
    let gap: Vec<[i64; 2]> = serde_json::from_value(whole["gaps"].clone()).unwrap();
    let [[from, to]] = gap[..] else { panic!("{gap:?}") };
    let expected: Vec<i64> = (1..=newest).filter(|seq| !(from..=to).contains(seq)).collect();
    assert_eq!((seqs(&whole), to - from), (expected.clone(), 3));

    for limit in 1..=newest {
        for forward in [true, false] {
            let mut seen = BTreeSet::new();
            let mut holes = BTreeSet::new();
            let mut cursor = if forward { 0 } else { newest + 1 };
            loop {
                let name = if forward { "after" } else { "before" };
                let page = ward.history(&ward.nurse, ward.care_team, json!({"limit": limit, name: cursor})).await;
                let read = seqs(&page);
                assert!(read.is_sorted() && read.len() as i64 <= limit);
                assert!(read.iter().all(|seq| seen.insert(*seq)), "nothing twice");
                for hole in page["gaps"].as_array().unwrap() {
                    let [first, last]: [i64; 2] = serde_json::from_value(hole.clone()).unwrap();
                    holes.extend(first..=last);
                }
                if page["more"] == json!(false) {
                    break;
                }
                cursor = if forward { *read.last().unwrap() } else { read[0] };
            }
            assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected, "limit {limit}");
            assert_eq!(holes.into_iter().collect::<Vec<_>>(), (from..=to).collect::<Vec<_>>(), "limit {limit}");
        }
    }
}

#[tokio::test]
async fn cursors_and_limits_out_of_bounds() {
    let ward = Ward::open().await;
    let refused = async |more: Value| {
        let data = super::with(json!({"channel": ward.care_team}), more);
        let refusal = ward.house.refused(&ward.nurse, "history", data).await;
        (refusal.code, refusal.field)
    };
    assert_eq!(refused(json!({"before": 5, "after": 1})).await, (Code::Invalid, Some("before")));
    assert_eq!(refused(json!({"limit": 201})).await, (Code::Invalid, Some("limit")));
    assert_eq!(refused(json!({"limit": 0})).await, (Code::Invalid, Some("limit")));
    assert_eq!(refused(json!({"channel": "you"})).await, (Code::Invalid, Some("channel")));
    for (more, count) in [
        (json!({"after": 1000}), 0),
        (json!({"before": 1}), 0),
        (json!({"before": -5}), 0),
        (json!({"before": i64::MIN}), 0),
        (json!({"before": i64::MAX}), 3),
        (json!({"after": i64::MAX}), 0),
        (json!({"after": -9}), 3),
    ] {
        let page = ward.history(&ward.nurse, ward.care_team, more.clone()).await;
        assert_eq!((seqs(&page).len(), &page["more"], &page["gaps"]), (count, &json!(false), &json!([])), "{more}");
        let me = super::with(json!({"channel": "me"}), more);
        ward.house.run(&ward.nurse, "history", me).await;
    }
}

#[tokio::test]
async fn positions_move_forward_and_unread_counts_what_others_wrote() {
    let ward = Ward::open().await;
    ward.post(&ward.nurse, ward.care_team, "own").await;
    for _ in 0..3 {
        ward.post(&ward.lead, ward.care_team, "a").await;
    }
    let shown = async || {
        let one = ward.listed(&ward.nurse, ward.care_team).await;
        [one["last_seq"].as_i64().unwrap(), one["read_seq"].as_i64().unwrap(), one["unread"].as_i64().unwrap()]
    };
    let [last, read, unread] = shown().await;
    assert_eq!([read, unread], [0, 3]);
    let position = |seq: i64| json!({"channel": ward.care_team, "seq": seq});
    for seq in [-1, last + 1] {
        let refused = ward.house.refused(&ward.nurse, "read", position(seq)).await;
        assert_eq!((refused.code, refused.field), (Code::Invalid, Some("seq")));
    }
    assert_eq!(ward.house.run(&ward.nurse, "read", position(last - 1)).await, position(last - 1));
    assert_eq!(shown().await, [last, last - 1, 1]);
    assert_eq!(ward.house.run(&ward.nurse, "read", position(1)).await, position(last - 1), "never backwards");
    assert_eq!(shown().await, [last, last - 1, 1]);
    let told = ward.house.run(&ward.nurse, "history", json!({"channel": "me"})).await;
    let reads: Vec<&Value> =
        told["events"].as_array().unwrap().iter().filter(|event| event["event"] == json!("read")).collect();
    assert_eq!(reads.len(), 1);
    assert_eq!(reads[0]["data"], position(last - 1));
    // An amendment is no new message.
    let id = ward.post(&ward.lead, ward.care_team, "a").await;
    ward.house.run(&ward.lead, "message.amend", json!({"message": id, "text": "b"})).await;
    assert_eq!(shown().await[2], 2);
}

#[tokio::test]
async fn unread_does_not_count_what_was_said_while_away() {
    let ward = Ward::open().await;
    ward.post(&ward.lead, ward.care_team, "a").await;
    ward.leave(&ward.nurse).await;
    for _ in 0..5 {
        ward.post(&ward.lead, ward.care_team, "away").await;
    }
    ward.join(&ward.nurse).await;
    ward.post(&ward.lead, ward.care_team, "a").await;
    assert_eq!(ward.listed(&ward.nurse, ward.care_team).await["unread"], json!(2));
}

#[tokio::test]
async fn channel_me_is_paged_like_any_other() {
    let ward = Ward::open().await;
    let channel = ward.channel("staff", &[]).await;
    for _ in 0..7 {
        let data = json!({"channel": channel, "item": ward.unsorted, "text": "a", "mentions": [ward.nurse.user]});
        ward.house.run(&ward.lead, "message.post", data).await;
    }
    let page = async |more: Value| {
        let page = ward.house.run(&ward.nurse, "history", super::with(json!({"channel": "me"}), more)).await;
        (seqs(&page), page["more"].as_bool().unwrap())
    };
    let (all, more) = page(json!({})).await;
    let newest = *all.last().unwrap();
    assert!(!more && newest >= 7);
    assert_eq!(all, (1..=newest).collect::<Vec<_>>());
    assert_eq!(page(json!({"limit": 3})).await, ((newest - 2..=newest).collect(), true));
    assert_eq!(page(json!({"limit": 3, "before": 4})).await, (vec![1, 2, 3], false));
    assert_eq!(page(json!({"limit": 3, "before": 5})).await, (vec![2, 3, 4], true));
    assert_eq!(page(json!({"limit": 3, "after": 1})).await, (vec![2, 3, 4], true));
    assert_eq!(page(json!({"after": newest - 1})).await, (vec![newest], false));
}

#[tokio::test]
async fn the_largest_page_is_whole() {
    let ward = Ward::open().await;
    for n in 0..200 {
        ward.post(&ward.lead, ward.care_team, &n.to_string()).await;
    }
    let page = ward.history(&ward.nurse, ward.care_team, json!({"limit": 200})).await;
    assert_eq!((seqs(&page).len(), &page["more"]), (200, &json!(true)));
}
