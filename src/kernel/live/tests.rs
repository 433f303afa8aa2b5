//! Laws of the hub and of `resume`, without a database: bounds, epochs, ends, and what a plan comes to.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};

use super::hub::{Full, Hub, Place};
use super::pages::{Stand, Survey};
use super::queue::{ME, Queued, Standing};
use super::resume::{Answer, Asked, Plan, plan, ranges};
use crate::kernel::base::limits::{QUEUE_BYTES_MAX, QUEUE_FRAMES_MAX};
use crate::kernel::base::{ChannelId, PatientId, SessionId, UserId, World};
use crate::kernel::engine::{News, Outlet, Personal};
use crate::kernel::policy::Interval;
use crate::kernel::wire::Frame;

fn channel(number: u8) -> ChannelId {
    ChannelId::from_bytes([number; 16])
}

fn user(number: u8) -> UserId {
    UserId::from_bytes([number; 16])
}

fn place(hub: &Arc<Hub>, number: u8, epoch: &Arc<AtomicI64>) -> Place {
    hub.enter(user(number), SessionId::from_bytes([number; 16]), epoch.clone(), 20).unwrap()
}

const DECIDED: Standing = Standing { epoch: 1, until: None };

fn event(seq: i64, text: &str) -> Queued {
    Queued { channel: channel(1), seq: Some(seq), frame: Frame::from(text.to_owned()) }
}

#[test]
fn a_full_queue_ends_its_session_and_holds_nothing() {
    let (hub, epoch) = (Hub::new(World::system()), Arc::new(AtomicI64::new(1)));
    let frames = place(&hub, 1, &epoch);
    for seq in 0..QUEUE_FRAMES_MAX as i64 {
        frames.queue.offer(event(seq, "{}"), DECIDED, 0);
    }
    assert!(!frames.queue.is_overflowing());
    frames.queue.offer(event(256, "{}"), DECIDED, 0);
    assert!(frames.queue.is_overflowing() && frames.queue.pop().is_none());
    let bytes = place(&hub, 2, &epoch);
    let large = "x".repeat(QUEUE_BYTES_MAX / 4);
    for seq in 0..4 {
        bytes.queue.offer(event(seq, &large), DECIDED, 0);
    }
    assert!(!bytes.queue.is_overflowing());
    bytes.queue.offer(event(4, "x"), DECIDED, 0);
    assert!(bytes.queue.is_overflowing());
}

#[test]
fn nothing_is_offered_under_an_epoch_that_passed_or_after_the_end_of_a_membership() {
    let (hub, epoch) = (Hub::new(World::system()), Arc::new(AtomicI64::new(1)));
    let place = place(&hub, 1, &epoch);
    place.queue.offer(event(1, "{}"), Standing { epoch: 1, until: Some(100) }, 99);
    assert!(place.queue.pop().is_some() && !place.queue.take_recheck());
    place.queue.offer(event(2, "{}"), Standing { epoch: 1, until: Some(100) }, 100);
    assert!(place.queue.pop().is_none() && place.queue.take_recheck());
    epoch.fetch_add(1, Ordering::AcqRel);
    place.queue.offer(event(3, "{}"), DECIDED, 0);
    assert!(place.queue.pop().is_none() && place.queue.take_recheck());
}

#[test]
fn what_is_not_kept_ends_nobody() {
    let (hub, epoch) = (Hub::new(World::system()), Arc::new(AtomicI64::new(1)));
    let place = place(&hub, 1, &epoch);
    for _ in 0..2 * QUEUE_FRAMES_MAX {
        let typing = Queued { channel: channel(1), seq: None, frame: Frame::from_static("{}") };
        place.queue.offer(typing, DECIDED, 0);
    }
    assert!(!place.queue.is_overflowing());
    assert_eq!(std::iter::from_fn(|| place.queue.pop()).count(), QUEUE_FRAMES_MAX / 2);
}

#[test]
fn typing_goes_to_the_others_once_a_second() {
    let world = World::system();
    let (hub, epoch) = (Hub::new(world.clone()), Arc::new(AtomicI64::new(1)));
    let (mut writer, mut reader) = (place(&hub, 1, &epoch), place(&hub, 2, &epoch));
    writer.follow(channel(1), DECIDED);
    reader.follow(channel(1), DECIDED);
    let frame = Frame::from_static("{}");
    for _ in 0..3 {
        hub.typing(channel(1), user(1), &frame);
    }
    hub.typing(channel(2), user(1), &frame);
    assert!(writer.queue.pop().is_none());
    assert_eq!(std::iter::from_fn(|| reader.queue.pop()).count(), 1);
    world.advance(1_000_000);
    hub.typing(channel(1), user(1), &frame);
    assert!(reader.queue.pop().is_some());
}

#[test]
fn places_are_counted_given_back_and_ended() {
    let (hub, epoch) = (Hub::new(World::system()), Arc::new(AtomicI64::new(1)));
    let session = SessionId::from_bytes([7; 16]);
    let mut first = hub.enter(user(1), session, epoch.clone(), 2).unwrap();
    let second = hub.enter(user(1), session, epoch.clone(), 2).unwrap();
    assert_eq!(hub.enter(user(1), session, epoch.clone(), 2).err(), Some(Full));
    first.follow(channel(1), DECIDED);
    first.follow(channel(1), DECIDED);
    first.follow(channel(2), DECIDED);
    first.unfollow(channel(2));
    assert_eq!(hub.sizes(), [1, 1, 1]);
    hub.publish(News { ended: vec![session], ..News::default() });
    assert!(first.queue.is_ended() && second.queue.is_ended());
    drop((first, second));
    assert_eq!(hub.sizes(), [0, 0, 0]);
}

#[test]
fn facts_of_me_go_to_one_person_once_they_follow() {
    let (hub, epoch) = (Hub::new(World::system()), Arc::new(AtomicI64::new(1)));
    let (own, other) = (place(&hub, 1, &epoch), place(&hub, 2, &epoch));
    let tell = |seq| {
        let personal = Personal { user: user(1), seq, frame: Frame::from_static("{}") };
        hub.publish(News { personal: vec![personal], ..News::default() });
    };
    tell(1);
    assert!(own.queue.pop().is_none());
    own.queue.follow_me(1);
    other.queue.follow_me(1);
    tell(2);
    assert_eq!(own.queue.pop().map(|queued| (queued.channel, queued.seq)), Some((ME, Some(2))));
    assert!(other.queue.pop().is_none());
}

#[test]
fn whoever_is_raised_learns_where_the_commit_began() {
    let (hub, epoch) = (Hub::new(World::system()), Arc::new(AtomicI64::new(1)));
    let place = place(&hub, 1, &epoch);
    let firsts = [(channel(1), 5)].into();
    place.queue.note_fresh(&firsts);
    assert!(place.queue.take_fresh().is_empty(), "before `resume` nothing is kept");
    place.queue.set_following();
    place.queue.note_fresh(&firsts);
    place.queue.note_fresh(&[(channel(1), 9), (channel(2), 1)].into());
    assert_eq!(place.queue.take_fresh(), [(channel(1), 5), (channel(2), 1)].into());
}

fn survey(heads: &[(u8, i64)], me: i64, me_dropped: i64) -> Survey {
    let stand =
        |head| Stand { patient: PatientId::ZERO, head, spans: vec![Interval { from: 1, to: None }], until: None };
    let readable: BTreeMap<_, _> = heads.iter().map(|(number, head)| (channel(*number), stand(*head))).collect();
    Survey { epoch: 1, readable, me, me_dropped }
}

fn asked(data: Value) -> Asked {
    Asked::read(data.as_object().unwrap()).unwrap()
}

fn planned(data: Value, survey: &Survey, followed: &[u8]) -> (Vec<(u8, i64)>, Vec<String>) {
    let followed: HashSet<_> = followed.iter().map(|number| channel(*number)).collect();
    let Plan { starts, reset, .. } = plan(&asked(data), survey, &followed);
    (starts.into_iter().map(|(id, seq)| (id.bytes()[0], seq)).collect(), reset.into_iter().collect())
}

#[test]
fn resume_follows_what_is_not_named_from_now() {
    let survey = survey(&[(1, 10), (2, 20)], 3, 0);
    assert_eq!(planned(json!({}), &survey, &[]), (vec![(0, 3), (1, 10), (2, 20)], vec![]));
    let cursors = json!({"cursors": {channel(1).to_string(): 4, "me": 0}});
    assert_eq!(planned(cursors, &survey, &[]), (vec![(0, 0), (1, 4), (2, 20)], vec![]));
    let again = json!({"cursors": {channel(2).to_string(): 0}});
    assert_eq!(planned(again, &survey, &[0, 1, 2]), (vec![(2, 0)], vec![]));
}

#[test]
fn follow_narrows_it() {
    let survey = survey(&[(1, 10), (2, 20), (3, 30)], 3, 0);
    let data = json!({"cursors": {channel(1).to_string(): 4}, "follow": [channel(2).to_string(), channel(9).to_string(), "x"]});
    assert_eq!(planned(data, &survey, &[]), (vec![(1, 4), (2, 20)], vec![]));
    assert_eq!(planned(json!({"follow": []}), &survey, &[]), (vec![], vec![]));
    assert_eq!(planned(json!({"follow": ["me"]}), &survey, &[]), (vec![(0, 3)], vec![]));
}

#[test]
fn a_cursor_that_is_of_no_use_is_reset_and_no_more_is_said() {
    let survey = survey(&[(1, 10_001), (2, 20)], 30, 5);
    let id = |number| channel(number).to_string();
    for (cursors, reset) in [
        (json!({id(1): 0}), vec![id(1)]),
        (json!({id(1): 1}), vec![]),
        (json!({id(2): 20}), vec![]),
        (json!({id(2): 21}), vec![id(2)]),
        (json!({id(8): 0}), vec![id(8)]),
        (json!({"no-id": 3}), vec!["no-id".into()]),
        (json!({ChannelId::ZERO.to_string(): 3}), vec![ChannelId::ZERO.to_string()]),
        (json!({"me": 0}), vec![]),
        (json!({"me": 4}), vec!["me".into()]),
        (json!({"me": 5}), vec![]),
        (json!({"me": 31}), vec!["me".into()]),
    ] {
        let (starts, answered) = planned(json!({"cursors": cursors.clone(), "follow": []}), &survey, &[]);
        assert_eq!((starts.is_empty(), &answered), (!reset.is_empty(), &reset), "{cursors}");
    }
}

#[test]
fn what_is_no_resume_is_refused_by_field() {
    let field = |data: Value| Asked::read(data.as_object().unwrap()).unwrap_err().field;
    for cursors in [json!([]), json!({"me": -1}), json!({"me": 1.5}), json!({"me": "1"}), json!(1)] {
        assert_eq!(field(json!({"cursors": cursors})), Some("cursors"), "{cursors}");
    }
    for follow in [json!({}), json!([1]), json!("me")] {
        assert_eq!(field(json!({"follow": follow})), Some("follow"), "{follow}");
    }
}

#[test]
fn the_answer_counts_and_joins_gaps() {
    let survey = survey(&[(1, 10), (2, 20)], 0, 0);
    let asked =
        asked(json!({"cursors": {channel(1).to_string(): 4, channel(2).to_string(): 20, channel(3).to_string(): 1}}));
    let plan = plan(&asked, &survey, &HashSet::new());
    assert!(plan.refused);
    assert_eq!(ranges(&plan, &survey), [(channel(1), 5, 10), (channel(2), 21, 20)]);
    let mut answer = Answer::new(&asked, &plan);
    answer.count(channel(1));
    answer.add_gaps(channel(1), &[[5, 7]]);
    answer.add_gaps(channel(1), &[[6, 8], [10, 10]]);
    let (one, two, three) = (channel(1).to_string(), channel(2).to_string(), channel(3).to_string());
    let expected = json!({"sent": {&one: 1, &two: 0}, "reset": [&three], "gaps": {&one: [[5, 8], [10, 10]]}});
    assert_eq!(answer.to_json(), expected);
    answer.lose(channel(1));
    assert_eq!(answer.to_json(), json!({"sent": {&two: 0}, "reset": [&one, &three]}));
}
