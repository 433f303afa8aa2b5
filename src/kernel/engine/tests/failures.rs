//! What is left after a statement fails, a commit fails, the disk is full, the storage fails, a feature or a listener panics.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::toy::outcome;
use super::{Ground, keyed, to};
use crate::kernel::base::{ChannelId, Code};
use crate::kernel::policy::Subject;
use crate::on_db;

async fn settled() -> (Ground, Subject, ChannelId) {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let channel = ground.channel(&nurse).await;
    (ground, nurse, channel)
}

#[tokio::test]
async fn only_the_faulty_command_of_a_batch_fails() {
    for faulty in ["toy.fault", "toy.fault_at_commit", "toy.refuse_late", "toy.panic", "toy.stray", "toy.claim_repeat"]
    {
        let (ground, nurse, channel) = settled().await;
        let stray = json!({ "channel": channel, "other": ground.channel(&nurse).await });
        let bad = if faulty == "toy.stray" { stray } else { to(channel, "bad") };
        let answers = ground
            .together(&[
                (&nurse, "toy.note", to(channel, "a")),
                (&nurse, faulty, bad.clone()),
                (&nurse, "toy.note", to(channel, "b")),
                (&nurse, "toy.page", to(channel, "")),
                (&nurse, faulty, bad),
                (&nurse, "toy.refuse", to(channel, "")),
                (&nurse, "toy.note", to(channel, "c")),
            ])
            .await;
        let outcomes: Vec<_> = answers.iter().map(outcome).collect();
        assert_eq!(outcomes, ["done", "internal", "done", "done", "internal", "conflict", "done"], "{faulty}");
        assert_eq!(ground.entries(channel).await.len(), 4, "{faulty}");
        assert_eq!(ground.told(channel), [1, 2, 3, 4], "{faulty}: told once, in order");
        assert_eq!(ground.outcomes("toy.note").await, ["done"; 3], "{faulty}");
    }
}

#[tokio::test]
async fn nothing_is_told_of_what_was_rolled_back() {
    for faulty in ["toy.fault", "toy.fault_at_commit", "toy.refuse_late", "toy.panic", "toy.storage"] {
        let (ground, nurse, channel) = settled().await;
        let before = ground.outlet.told.lock().unwrap().len();
        assert_eq!(outcome(&ground.run(&nurse, faulty, to(channel, "")).await), "internal");
        assert_eq!(ground.outlet.told.lock().unwrap().len(), before, "{faulty}");
        assert_eq!(ground.entries(channel).await.len(), 1, "{faulty}");
    }
}

#[tokio::test]
async fn a_failure_shows_nothing_of_itself() {
    let (ground, nurse, channel) = settled().await;
    for faulty in ["toy.fault", "toy.fault_at_commit", "toy.panic", "toy.storage"] {
        let refusal = ground.run(&nurse, faulty, to(channel, "MARKER")).await.unwrap_err();
        let shown = refusal.to_json().to_string();
        assert!(!shown.contains("MARKER") && !shown.contains("toy") && !shown.contains("as asked"), "{shown}");
        assert_eq!(refusal.to_json()["retry"], true);
    }
}

#[tokio::test]
async fn a_panic_while_reading_ends_one_read() {
    let (ground, nurse, channel) = settled().await;
    let refusal = ground.run(&nurse, "toy.panic_reading", to(channel, "")).await.unwrap_err();
    assert_eq!(refusal.code, Code::Internal);
    assert_eq!(ground.outcomes("toy.panic_reading").await, ["internal"]);
    for _ in 0..20 {
        ground.run(&nurse, "toy.panic_reading", to(channel, "")).await.unwrap_err();
    }
    // More than there are readers: none was lost.
    ground.run(&nurse, "toy.page", to(channel, "")).await.expect("read");
}

#[tokio::test]
async fn a_listener_that_panics_does_not_end_the_writers() {
    let (ground, nurse, channel) = settled().await;
    ground.outlet.panics.store(true, Ordering::Relaxed);
    ground.run(&nurse, "toy.note", to(channel, "")).await.expect("committed");
    ground.run(&nurse, "toy.note", to(channel, "")).await.expect("committed");
    assert_eq!(ground.told(channel), [1, 3]);
    assert_eq!(ground.entries(channel).await.len(), 3);
}

#[tokio::test]
async fn after_a_storage_failure_all_are_told_so_and_the_record_goes_on() {
    let (ground, nurse, channel) = settled().await;
    let keys = [ground.world.id(), ground.world.id()];
    let answers = ground
        .together(&[
            (&nurse, "toy.note", keyed(channel, "a", keys[0])),
            (&nurse, "toy.storage", to(channel, "")),
            (&nurse, "toy.note", keyed(channel, "b", keys[1])),
        ])
        .await;
    // Whether the commit is there is unknown to us, so nobody is told that it is.
    assert!(answers.iter().all(|answer| outcome(answer) == "internal"), "{answers:?}");
    for (text, key) in [("a", keys[0]), ("b", keys[1]), ("a", keys[0])] {
        ground.run(&nurse, "toy.note", keyed(channel, text, key)).await.expect("the handle was opened anew");
    }
    assert_eq!(ground.entries(channel).await.len(), 3, "each once");
    assert_eq!(ground.outcomes("toy.storage").await, ["internal"]);
    assert_eq!(ground.outcomes("toy.note").await.iter().filter(|outcome| *outcome == "internal").count(), 1);
}

#[tokio::test]
async fn sessions_that_a_lost_commit_ended_do_not_go_on() {
    let (ground, nurse, channel) = settled().await;
    let (id, state) = super::standing::session(&ground, &nurse);
    let answers = ground
        .together(&[(&nurse, "toy.end", json!({ "session": id })), (&nurse, "toy.storage", to(channel, ""))])
        .await;
    assert!(answers.iter().all(Result::is_err));
    ground.run(&nurse, "toy.note", to(channel, "")).await.expect("done");
    assert!(!state.holds(0));
}

#[tokio::test]
async fn a_full_disk_stops_writes_and_ends_with_the_shortage() {
    let (ground, nurse, channel) = settled().await;
    let limit = async |pages: &'static str| {
        let mut tx = ground.write().await;
        on_db!(tx, |c| sqlx::query(pages).execute(c).await.map(drop)).expect("limited");
        tx.rollback().await;
    };
    limit("PRAGMA max_page_count = 1").await;
    // Rows still fit into the pages there are; then no more.
    let text = "x".repeat(3000);
    let mut done = 1;
    let key = ground.world.id();
    let refusal = loop {
        match ground.run(&nurse, "toy.note", keyed(channel, &text, ground.world.id())).await {
            Ok(_) => done += 1,
            Err(refusal) => break refusal,
        }
        assert!(done < 1000, "the disk is never full");
    };
    assert_eq!(refusal.code, Code::Busy);
    assert!(refusal.retry_after_ms.is_some());
    let mixed = [(&nurse, "toy.note", keyed(channel, &text, key)), (&nurse, "toy.page", to(channel, ""))];
    let answers = ground.together(&mixed).await;
    assert_eq!(outcome(&answers[0]), "busy");
    // A read is answered as long as its audit row finds room, and refused without.
    assert_eq!(answers[1].is_ok(), ground.outcomes("toy.page").await.len() == 1);
    let mut reads = 0;
    while let Ok(page) = ground.run(&nurse, "toy.page", to(channel, "")).await {
        assert_eq!(page["seqs"].as_array().map(Vec::len), Some(done.min(200)));
        reads += 1;
        assert!(reads < 1000, "audit is never full");
    }
    let read = ground.run(&nurse, "toy.page", to(channel, "")).await.unwrap_err();
    assert_eq!(read.code, Code::Busy);
    limit("PRAGMA max_page_count = 1000000").await;
    let first = ground.run(&nurse, "toy.note", keyed(channel, &text, key)).await.expect("there is room");
    assert_eq!(first.get("repeat"), None);
    assert_eq!(ground.run(&nurse, "toy.note", keyed(channel, &text, key)).await.unwrap()["repeat"], true);
    assert_eq!(ground.entries(channel).await.len(), done + 1);
    assert!(ground.outcomes("toy.note").await.contains(&"busy".to_owned()), "what was refused then is told of now");
}

#[tokio::test]
async fn without_a_database_commands_are_refused_as_busy() {
    let (ground, nurse, channel) = settled().await;
    ground.engine.shared().db.close().await;
    let answers = ground.together(&vec![(&nurse, "toy.note", to(channel, "")); 300]).await;
    assert!(answers.iter().all(|answer| outcome(answer) == "busy"), "{:?}", answers.first());
}
