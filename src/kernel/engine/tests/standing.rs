//! Accounts, sessions and standing are those of the moment a command runs, in memory as in the record.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};

use serde_json::{Value, json};

use super::toy::outcome;
use super::{Ground, to};
use crate::kernel::base::{Code, SessionId};
use crate::kernel::policy::{PersonKind, Roles, SessionState, Subject};

/// An open session of `subject`.
pub fn session(ground: &Ground, subject: &Subject) -> (SessionId, Arc<SessionState>) {
    let id = SessionId(ground.world.id());
    let state = SessionState {
        user: subject.user,
        expires_at: i64::MAX,
        idle: None,
        active_at: AtomicI64::new(0),
        stepped_up_until: AtomicI64::new(0),
        ended: AtomicBool::new(false),
    };
    (id, ground.engine.book().put_session(id, state))
}

fn person(subject: &Subject, active: bool, roles: Roles) -> Value {
    json!({ "user": subject.user, "active": active, "roles": roles.0 })
}

#[tokio::test]
async fn a_queued_command_of_a_suspended_account_is_refused() {
    let ground = Ground::new().await;
    let (nurse, administrator) = (ground.nurse().await, ground.nurse().await);
    let channel = ground.channel(&nurse).await;
    let suspend = (&administrator, "toy.person", person(&nurse, false, Roles::default()));
    let restore = (&administrator, "toy.person", person(&nurse, true, Roles::default()));
    let note = (&nurse, "toy.note", to(channel, ""));
    // All of it within one commit.
    let answers = ground.together(&[note.clone(), suspend.clone(), note.clone(), restore.clone(), note.clone()]).await;
    assert_eq!(answers.iter().map(outcome).collect::<Vec<_>>(), ["done", "done", "unauthenticated", "done", "done"]);
    ground.together(&[suspend]).await;
    assert_eq!(ground.run(&nurse, "toy.note", to(channel, "")).await.unwrap_err().code, Code::Unauthenticated);
    assert_eq!(ground.run(&nurse, "toy.page", to(channel, "")).await.unwrap_err().code, Code::Unauthenticated);
    let raised: Vec<_> = ground.outlet.told.lock().unwrap().iter().flat_map(|news| news.raised.clone()).collect();
    assert!(raised.contains(&nurse.user));
    let ground = ground.restarted().await;
    assert!(ground.engine.subject(nurse.user).is_none());
    assert_eq!(ground.entries(channel).await.len(), 3);
}

#[tokio::test]
async fn a_session_ends_within_the_commit_that_ends_it() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let channel = ground.channel(&nurse).await;
    let (id, held) = session(&ground, &nurse);
    let by_session = Subject { session: Some(id), ..nurse.clone() };
    let note = (&by_session, "toy.note", to(channel, ""));
    let end = (&nurse, "toy.end", json!({ "session": id }));
    let answers = ground.together(&[note.clone(), end, note.clone()]).await;
    assert_eq!(answers.iter().map(outcome).collect::<Vec<_>>(), ["done", "done", "unauthenticated"]);
    assert!(!held.holds(0));
    assert!(ground.engine.book().session(id).is_none());
    assert_eq!(outcome(&ground.together(&[note]).await[0]), "unauthenticated");
}

#[tokio::test]
async fn a_refused_command_ends_no_session() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let (id, held) = session(&ground, &nurse);
    let answer = ground.run(&nurse, "toy.end_and_refuse", json!({ "session": id })).await;
    assert_eq!(outcome(&answer), "internal");
    ground.channel(&nurse).await;
    assert!(held.holds(0));
}

#[tokio::test]
async fn roles_are_those_of_now_not_of_the_sign_in() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let made = (&nurse, "toy.open", json!({}));
    // An administrator registers no patients: the role laid on within the same commit counts, and so does its loss.
    let lay = (&nurse, "toy.person", person(&nurse, true, Roles::ADMINISTRATOR));
    let take = (&nurse, "toy.person", person(&nurse, true, Roles::default()));
    let answers = ground.together(&[made.clone(), lay, made.clone()]).await;
    assert_eq!(answers.iter().map(outcome).collect::<Vec<_>>(), ["done", "done", "forbidden"]);
    assert_eq!(
        outcome(&ground.together(std::slice::from_ref(&made)).await[0]),
        "forbidden",
        "the old subject, a new commit"
    );
    assert_eq!(outcome(&ground.together(&[take, made]).await[1]), "done");
}

#[tokio::test]
async fn after_a_removal_nothing_is_read_or_written() {
    let ground = Ground::new().await;
    let (nurse, other) = (ground.nurse().await, ground.nurse().await);
    let channel = ground.channel(&nurse).await;
    let leave = json!({ "channel": channel, "member": nurse.user });
    let answers = ground
        .together(&[
            (&nurse, "toy.note", to(channel, "")),
            (&nurse, "toy.leave", leave),
            (&nurse, "toy.note", to(channel, "")),
        ])
        .await;
    assert_eq!(answers.iter().map(outcome).collect::<Vec<_>>(), ["done", "done", "not_found"]);
    let removed = ground.run(&nurse, "toy.page", to(channel, "")).await.unwrap_err();
    let never = ground.run(&other, "toy.page", to(crate::kernel::base::ChannelId(ground.world.id()), "")).await;
    assert_eq!(removed.to_json().to_string(), never.unwrap_err().to_json().to_string());
}

/// A reader whose snapshot already holds a removal, while the book is not told of it yet, decides by the snapshot.
#[tokio::test]
async fn a_book_behind_the_snapshot_is_not_believed() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let channel = ground.channel(&nurse).await;
    ground.run(&nurse, "toy.page", to(channel, "")).await.expect("read");
    let head = crate::kernel::log::sql::head(&mut ground.read().await, channel).await.unwrap().unwrap();
    let before = ground.engine.book().access(head.patient).expect("held");
    ground.run(&nurse, "toy.leave", json!({ "channel": channel, "member": nurse.user })).await.expect("left");
    // As it is between the commit and the word of it.
    ground.engine.book().put_committed(before);
    assert_eq!(ground.run(&nurse, "toy.page", to(channel, "")).await.unwrap_err().code, Code::NotFound);
}

/// A standing read from an old snapshot is not put into a book that was emptied after the snapshot was taken.
#[tokio::test]
async fn an_old_snapshot_does_not_fill_an_emptied_book() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let channel = ground.channel(&nurse).await;
    let patient = crate::kernel::log::sql::head(&mut ground.read().await, channel).await.unwrap().unwrap().patient;
    let mut reader = ground.engine.reader(nurse.clone()).await.unwrap();
    reader.head(channel).await.expect("the snapshot is taken");
    ground.run(&nurse, "toy.leave", json!({ "channel": channel, "member": nurse.user })).await.expect("left");
    assert_eq!(outcome(&ground.run(&nurse, "toy.panic", json!({ "channel": channel })).await), "not_found");
    ground.engine.book().forget_patients();
    reader.access(patient).await.expect("reads").expect("a patient");
    assert_eq!(ground.run(&nurse, "toy.note", to(channel, "")).await.unwrap_err().code, Code::NotFound);
}

/// Whoever only writes has the standing of the patient loaded once, not in every batch.
#[tokio::test]
async fn what_a_write_loaded_is_kept() {
    let ground = Ground::new().await;
    let nurse = ground.nurse().await;
    let channel = ground.channel(&nurse).await;
    let patient = crate::kernel::log::sql::head(&mut ground.read().await, channel).await.unwrap().unwrap().patient;
    ground.engine.book().forget_patients();
    ground.run(&nurse, "toy.note", to(channel, "")).await.expect("written");
    assert!(ground.engine.book().access(patient).is_some());
    ground.run(&nurse, "toy.leave", json!({ "channel": channel, "member": nurse.user })).await.expect("left");
    assert_eq!(ground.run(&nurse, "toy.note", to(channel, "")).await.unwrap_err().code, Code::NotFound);
}

#[tokio::test]
async fn family_is_family_whatever_its_membership_says() {
    let ground = Ground::new().await;
    let (nurse, son) = (ground.nurse().await, ground.person(PersonKind::RelatedPerson, Roles::default()).await);
    let staff = ground.run(&nurse, "toy.open", json!({ "member": son.user })).await.unwrap();
    let shared = ground.run(&nurse, "toy.open", json!({ "member": son.user, "family": true })).await.unwrap();
    let answers = ground
        .together(&[
            (&son, "toy.note", json!({ "channel": staff["channel"] })),
            (&son, "toy.page", json!({ "channel": staff["channel"] })),
            (&son, "toy.note", json!({ "channel": shared["channel"] })),
            (&son, "toy.page", json!({ "channel": shared["channel"] })),
        ])
        .await;
    assert_eq!(answers.iter().map(outcome).collect::<Vec<_>>(), ["not_found", "not_found", "done", "done"]);
}
