//! Audit: no answer without its row, no end of rows for one who knocks, an unbroken chain.

use serde_json::json;

use super::{Ground, to};
use crate::kernel::base::{ChannelId, Code};
use crate::kernel::policy::audit::Draft;

const WINDOW: i64 = 10_000_001;

#[tokio::test]
async fn writes_reads_and_refusals_have_their_row_before_the_answer() {
    let ground = Ground::new().await;
    let (nurse, stranger) = (ground.nurse().await, ground.nurse().await);
    let channel = ground.channel(&nurse).await;
    let jobs = [
        (&nurse, "toy.note", "done"),
        (&nurse, "toy.refuse", "conflict"),
        (&nurse, "toy.page", "done"),
        (&stranger, "toy.note", "not_found"),
        (&stranger, "toy.page", "not_found"),
    ];
    for (n, (subject, op, outcome)) in jobs.into_iter().enumerate() {
        let before = ground.audited().await.len();
        let answer = ground.run(subject, op, to(channel, "MARKER")).await;
        let lines = ground.audited().await;
        assert_eq!(lines.len(), before + 1, "{op} {n}");
        let line = lines.last().unwrap();
        assert_eq!(super::toy::outcome(&answer), outcome);
        assert_eq!((line["action"].as_str(), line["outcome"].as_str()), (Some(op), Some(outcome)));
        assert_eq!(line["actor"], json!(subject.user));
        assert_eq!((&line["channel"], &line["category"]), (&json!(channel), &json!("toy")), "{op} {n}");
        assert!(line["patient"].is_string());
        assert!(!line.to_string().contains("MARKER"));
    }
    let lines = ground.audited().await;
    assert_eq!(lines[1]["seq"], json!([2, 2]));
    assert_eq!(lines[3]["seq"], json!([1, 2]));
    ground.entries(channel).await;
}

#[tokio::test]
async fn a_failed_command_has_its_row_too() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let channel = ground.channel(&nurse).await;
    assert_eq!(ground.run(&nurse, "toy.fault", to(channel, "")).await.unwrap_err().code, Code::Internal);
    // The next transaction fails as well and must not take the row with it.
    assert_eq!(ground.run(&nurse, "toy.panic", to(channel, "")).await.unwrap_err().code, Code::Internal);
    ground.run(&nurse, "toy.note", to(channel, "")).await.expect("done");
    assert_eq!(ground.outcomes("toy.fault").await, ["internal"]);
    assert_eq!(ground.outcomes("toy.panic").await, ["internal"]);
}

#[tokio::test]
async fn identical_refusals_are_counted() {
    let ground = Ground::new().await;
    let (nurse, stranger) = (ground.nurse().await, ground.nurse().await);
    let (a, b) = (ground.channel(&nurse).await, ground.channel(&nurse).await);
    for channel in [a, b] {
        let job = (&stranger, "toy.page", to(channel, ""));
        ground.together(&vec![job; 5]).await;
        ground.run(&stranger, "toy.note", to(channel, "")).await.unwrap_err();
    }
    // Each patient is named; further knocks within the window are not written.
    assert_eq!(ground.outcomes("toy.page").await, ["not_found"; 2]);
    assert_eq!(ground.outcomes("toy.note").await, ["not_found"; 2]);
    ground.world.advance(WINDOW);
    ground.run(&nurse, "toy.note", to(a, "")).await.expect("done");
    let lines = ground.audited().await;
    let counts: Vec<_> = lines.iter().filter(|line| line.get("count").is_some()).collect();
    assert_eq!(counts.len(), 2, "{counts:?}");
    assert!(counts.iter().all(|line| line["count"] == 4 && line["action"] == "toy.page"));
    // A new window begins with a row.
    ground.run(&stranger, "toy.page", to(a, "")).await.unwrap_err();
    assert_eq!(ground.outcomes("toy.page").await.len(), 5);
    ground.entries(a).await;
}

#[tokio::test]
async fn ids_that_never_were_are_counted_together() {
    let ground = Ground::new().await;
    let stranger = ground.nurse().await;
    for _ in 0..20 {
        let nowhere = ChannelId(ground.world.id());
        ground.run(&stranger, "toy.page", to(nowhere, "")).await.unwrap_err();
        ground.run(&stranger, "toy.note", to(nowhere, "")).await.unwrap_err();
    }
    assert_eq!(ground.audited().await.len(), 2);
}

#[tokio::test]
async fn strangers_are_counted_by_network() {
    let ground = Ground::new().await;
    let knock = async |address: String| {
        let draft = Draft::of_stranger(Some(address.parse().unwrap()), "sign_in", Code::Unauthenticated.text());
        ground.engine.audit(vec![draft]).await.expect("written");
    };
    for n in 1..=50 {
        knock(format!("2001:db8:0:1::{n:x}")).await;
        knock("192.0.2.1".into()).await;
        knock("::ffff:192.0.2.1".into()).await;
    }
    knock("2001:db8:0:2::1".into()).await;
    knock("192.0.2.2".into()).await;
    assert_eq!(ground.audited().await.len(), 4);
}

#[tokio::test]
async fn a_rolled_back_refusal_is_neither_lost_nor_counted_twice() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let channel = ground.channel(&nurse).await;
    let refuse = (&nurse, "toy.refuse", to(channel, ""));
    let answers =
        ground.together(&[refuse.clone(), refuse.clone(), (&nurse, "toy.fault", to(channel, "")), refuse]).await;
    assert!(answers.iter().all(Result::is_err));
    assert_eq!(ground.outcomes("toy.refuse").await, ["conflict"], "a row before the first answer");
    ground.world.advance(WINDOW);
    ground.run(&nurse, "toy.note", to(channel, "")).await.expect("done");
    let lines = ground.audited().await;
    let counted = lines.iter().find(|line| line.get("count").is_some()).expect("a count");
    assert_eq!((&counted["action"], &counted["count"]), (&json!("toy.refuse"), &json!(2)));
}

#[tokio::test]
async fn counts_are_written_before_the_engine_stops() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let channel = ground.channel(&nurse).await;
    for _ in 0..3 {
        ground.run(&nurse, "toy.refuse", to(channel, "")).await.unwrap_err();
    }
    let ground = ground.restarted().await;
    let lines = ground.audited().await;
    assert_eq!(lines.last().unwrap()["count"], 2);
    ground.entries(channel).await;
}

#[tokio::test]
async fn what_cannot_be_audited_is_refused() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let channel = ground.channel(&nurse).await;
    ground.sql("CREATE TRIGGER no_audit BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END").await;
    for op in ["toy.page", "toy.note", "toy.refuse"] {
        let refusal = ground.run(&nurse, op, to(channel, "")).await.unwrap_err();
        assert_eq!(refusal.code, Code::Internal, "{op}");
    }
    let both = [(&nurse, "toy.page", to(channel, "")), (&nurse, "toy.note", to(channel, ""))];
    assert!(ground.together(&both).await.iter().all(Result::is_err));
    assert_eq!(ground.told(channel), [1]);
    ground.sql("DROP TRIGGER no_audit").await;
    let page = ground.run(&nurse, "toy.page", to(channel, "")).await.expect("done");
    assert_eq!(page["seqs"], json!([1]), "nothing was written unaudited");
    ground.entries(channel).await;
}
