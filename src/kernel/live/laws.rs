//! Laws of a session over a whole engine: order, completeness, nothing after a removal, whatever is done meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Delivery, End, Hub, Session};
use crate::kernel::base::config::Config;
use crate::kernel::base::limits::QUEUE_FRAMES_MAX;
use crate::kernel::base::world::{MINUTE, rfc3339};
use crate::kernel::base::{ChannelId, Code, PatientId, SessionId, World};
use crate::kernel::engine::{Engine, News, Outlet};
use crate::kernel::policy::{PersonKind, SessionState, Subject, spans};
use crate::testing::{House, id_of};

/// Longer than anything takes that comes at all.
const PATIENCE: Duration = Duration::from_secs(20);

struct Ward {
    house: House,
    hub: Arc<Hub>,
    lead: Subject,
    patient: PatientId,
    plan: ChannelId,
    talk: ChannelId,
}

impl Ward {
    async fn open() -> Self {
        let hub = Hub::new(World::system());
        let house = House::with(Config::default(), hub.clone()).await;
        let lead = house.person("lead", PersonKind::Practitioner).await;
        let made = house.run(&lead, "patient.register", json!({"name": "Ruth Okafor"})).await;
        let patient: PatientId = id_of(&made, "id");
        let opened = json!({"patient": patient, "name": "0", "audience": "staff"});
        let talk = id_of(&house.run(&lead, "channel.open", opened).await, "channel");
        Self { hub, lead, patient, plan: id_of(&made, "channel"), talk, house }
    }

    fn engine(&self) -> &Engine {
        &self.house.engine
    }

    async fn nurse(&self) -> Subject {
        let nurse = self.house.person("nurse", PersonKind::Practitioner).await;
        self.add(&nurse, json!({})).await;
        nurse
    }

    async fn add(&self, user: &Subject, more: Value) {
        let mut data = json!({"patient": self.patient, "user": user.user, "role": "Nurse"});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.house.run(&self.lead, "team.add", data).await;
    }

    async fn remove(&self, user: &Subject) {
        let data = json!({"patient": self.patient, "user": user.user});
        self.house.run(&self.lead, "team.remove", data).await;
    }

    /// One more entry in a channel; its `seq`.
    async fn say(&self, channel: ChannelId, text: &str) -> i64 {
        let data = json!({"channel": channel, "name": text});
        self.house.run(&self.lead, "channel.change", data).await["seq"].as_i64().unwrap()
    }

    fn session(&self, user: &Subject) -> Session {
        let state = SessionState {
            user: user.user,
            expires_at: i64::MAX,
            idle: None,
            active_at: 0.into(),
            stepped_up_until: 0.into(),
            ended: false.into(),
        };
        let id = SessionId(self.house.world.id());
        let state = self.engine().book().put_session(id, state);
        Session::open(self.engine(), &self.hub, id, state, None).unwrap()
    }

    /// What of the talk the person may read, as policy has it.
    async fn readable(&self, user: &Subject, channel: ChannelId) -> Vec<i64> {
        let mut reader = self.engine().reader(self.lead.clone()).await.unwrap();
        let access = reader.access(self.patient).await.unwrap().unwrap();
        let head = reader.head(channel).await.unwrap().unwrap().seq;
        let readable = access.channels[&channel].readable_by(user.user).unwrap_or(&[]);
        spans(readable, 1, head).into_iter().flat_map(|[from, to]| from..=to).collect()
    }
}

/// Events by channel and `seq`, in the order they came.
#[derive(Default)]
struct Heard {
    events: BTreeMap<String, Vec<i64>>,
    answers: Vec<Value>,
    marks: usize,
    end: Option<End>,
}

impl Heard {
    fn take(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Event(frame) => {
                let event: Value = serde_json::from_str(&frame).unwrap();
                let channel = event["channel"].as_str().unwrap().to_owned();
                let seqs = self.events.entry(channel).or_default();
                if let Some(seq) = event["seq"].as_i64() {
                    seqs.push(seq);
                }
            }
            Delivery::Resumed { answer, .. } => self.answers.push(answer.unwrap()),
            Delivery::Marked(_) => self.marks += 1,
            Delivery::End(end) => self.end = Some(end),
        }
    }

    async fn until_resumed(&mut self, session: &mut Session) -> Value {
        while self.answers.is_empty() {
            let delivery = timeout(PATIENCE, session.next()).await.expect("an answer");
            self.take(delivery);
        }
        self.answers.remove(0)
    }

    /// Until everything that was published came.
    async fn until_marked(&mut self, session: &mut Session) {
        session.mark(json!("here"));
        let marks = self.marks;
        while self.end.is_none() && self.marks == marks {
            let delivery = timeout(PATIENCE, session.next()).await.expect("the mark");
            self.take(delivery);
        }
    }

    async fn at_hand(&mut self, session: &mut Session) {
        while self.end.is_none()
            && let Ok(delivery) = timeout(Duration::from_millis(1), session.next()).await
        {
            self.take(delivery);
        }
    }

    fn of(&self, channel: ChannelId) -> &[i64] {
        self.events.get(&channel.to_string()).map_or(&[], Vec::as_slice)
    }
}

async fn resumed(session: &mut Session, data: Value) -> (Heard, Value) {
    let mut heard = Heard::default();
    session.resume(json!(1), data.as_object().unwrap()).unwrap();
    let answer = heard.until_resumed(session).await;
    (heard, answer)
}

#[tokio::test]
async fn nothing_before_resume_then_what_came_after_the_cursor_then_live() {
    let ward = Ward::open().await;
    let nurse = ward.nurse().await;
    let mut session = ward.session(&nurse);
    for _ in 0..3 {
        ward.say(ward.talk, "x").await;
    }
    let mut heard = Heard::default();
    heard.until_marked(&mut session).await;
    assert!(heard.events.is_empty());
    let head = *ward.readable(&nurse, ward.talk).await.last().unwrap();
    let (mut heard, answer) = resumed(&mut session, json!({"cursors": {ward.talk.to_string(): 2}})).await;
    assert_eq!(heard.of(ward.talk), (3..=head).collect::<Vec<_>>());
    assert_eq!(answer, json!({"sent": {ward.talk.to_string(): head - 2}, "reset": []}));
    let next = ward.say(ward.talk, "live").await;
    heard.until_marked(&mut session).await;
    assert_eq!(heard.of(ward.talk).last(), Some(&next));
    let row = session.take_delivered().unwrap();
    assert_eq!(row.ranges, [(ward.talk, 3, next)]);
    assert!(session.take_delivered().is_none());
}

#[tokio::test]
async fn many_pages_come_whole_while_others_write() {
    let ward = Ward::open().await;
    let nurse = ward.nurse().await;
    for number in 0..250 {
        ward.say(ward.talk, &number.to_string()).await;
    }
    let mut session = ward.session(&nurse);
    session.resume(json!(1), json!({"cursors": {ward.talk.to_string(): 0}}).as_object().unwrap()).unwrap();
    let mut heard = Heard::default();
    for number in 0..300 {
        ward.say(ward.talk, &number.to_string()).await;
        heard.at_hand(&mut session).await;
    }
    heard.until_marked(&mut session).await;
    assert_eq!(heard.end, None);
    assert_eq!(heard.of(ward.talk), ward.readable(&nurse, ward.talk).await);
    assert_eq!(heard.answers.len(), 1);
}

#[tokio::test]
async fn who_joins_or_opens_while_listening_hears_it_from_the_first_entry_on() {
    let ward = Ward::open().await;
    let nurse = ward.house.person("nurse", PersonKind::Practitioner).await;
    let (mut all, mut narrowed) = (ward.session(&nurse), ward.session(&nurse));
    let (mut heard, _) = resumed(&mut all, json!({})).await;
    let (mut nothing, _) = resumed(&mut narrowed, json!({"follow": []})).await;
    ward.add(&nurse, json!({})).await;
    let opened = json!({"patient": ward.patient, "name": "Wound", "audience": "staff"});
    let wound: ChannelId = id_of(&ward.house.run(&ward.lead, "channel.open", opened).await, "channel");
    heard.until_marked(&mut all).await;
    nothing.until_marked(&mut narrowed).await;
    assert_eq!(heard.of(wound), [1]);
    assert_eq!(heard.of(ward.plan).len(), 1, "the entry of the joining itself: {:?}", heard.events);
    assert!(nothing.events.is_empty());
}

#[tokio::test]
async fn a_stranger_and_a_stale_cursor_hear_the_same() {
    let ward = Ward::open().await;
    let nurse = ward.nurse().await;
    let outsider = ward.house.person("outsider", PersonKind::Practitioner).await;
    let (talk, none) = (ward.talk.to_string(), ward.house.world.id().to_string());
    let cursors = json!({"cursors": {&talk: 1, &none: 1}});
    let (heard, answer) = resumed(&mut ward.session(&outsider), cursors).await;
    let mut both = [talk.clone(), none];
    both.sort();
    assert_eq!((heard.events.len(), answer), (0, json!({"sent": {}, "reset": both})));
    let (heard, answer) = resumed(&mut ward.session(&nurse), json!({"cursors": {&talk: 99}})).await;
    assert_eq!((heard.events.len(), answer), (0, json!({"sent": {}, "reset": [talk]})));
}

#[tokio::test]
async fn the_time_between_is_a_gap() {
    let ward = Ward::open().await;
    let nurse = ward.nurse().await;
    ward.say(ward.talk, "seen").await;
    ward.remove(&nurse).await;
    let hidden = ward.say(ward.talk, "hidden").await;
    ward.add(&nurse, json!({})).await;
    let last = ward.say(ward.talk, "seen again").await;
    let readable = ward.readable(&nurse, ward.talk).await;
    assert!(!readable.contains(&hidden));
    let (heard, answer) = resumed(&mut ward.session(&nurse), json!({"cursors": {ward.talk.to_string(): 0}})).await;
    assert_eq!(heard.of(ward.talk), readable);
    let hole: Vec<i64> = (1..=last).filter(|seq| !readable.contains(seq)).collect();
    let gap = json!([[hole.first().unwrap(), hole.last().unwrap()]]);
    assert_eq!(answer["gaps"], json!({ward.talk.to_string(): gap}));
}

#[tokio::test]
async fn a_membership_ends_by_the_clock() {
    let ward = Ward::open().await;
    let locum = ward.house.person("locum", PersonKind::Practitioner).await;
    let until = rfc3339(ward.house.world.now() + 60 * MINUTE);
    ward.add(&locum, json!({"until": until})).await;
    let mut session = ward.session(&locum);
    let (mut heard, _) = resumed(&mut session, json!({})).await;
    let before = ward.say(ward.talk, "within").await;
    heard.until_marked(&mut session).await;
    assert_eq!(heard.of(ward.talk), [before]);
    ward.house.advance(61 * MINUTE);
    ward.say(ward.talk, "too late").await;
    heard.until_marked(&mut session).await;
    assert_eq!(heard.of(ward.talk), [before]);
}

#[tokio::test]
async fn a_full_queue_and_an_ended_session_end_it() {
    let ward = Ward::open().await;
    let nurse = ward.nurse().await;
    let (mut slow, mut ended) = (ward.session(&nurse), ward.session(&nurse));
    resumed(&mut slow, json!({})).await;
    resumed(&mut ended, json!({})).await;
    for _ in 0..=QUEUE_FRAMES_MAX {
        ward.say(ward.talk, "x").await;
    }
    assert!(matches!(slow.next().await, Delivery::End(End::TooSlow)));
    assert_eq!(slow.stopped().await, End::TooSlow);
    let session = ended.subject().unwrap().session.unwrap();
    ward.hub.publish(News { ended: vec![session], ..News::default() });
    assert!(matches!(ended.next().await, Delivery::End(End::Ended)));
}

#[tokio::test]
async fn typing_reaches_those_who_may_read_and_is_refused_to_others() {
    let ward = Ward::open().await;
    let nurse = ward.nurse().await;
    let outsider = ward.house.person("outsider", PersonKind::Practitioner).await;
    let mut session = ward.session(&nurse);
    let (mut heard, _) = resumed(&mut session, json!({})).await;
    ward.session(&ward.lead).typing(ward.talk).await.unwrap();
    heard.until_marked(&mut session).await;
    assert_eq!(heard.events, [(ward.talk.to_string(), vec![])].into());
    let refused = |channel| ward.session(&outsider).typing(channel);
    assert_eq!(refused(ward.talk).await.unwrap_err(), refused(ChannelId(ward.house.world.id())).await.unwrap_err());
    assert_eq!(ward.session(&ward.lead).typing(ward.plan).await.unwrap_err().code, Code::Forbidden);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Say,
    Remove,
    Add,
    Hear,
    Rename,
    Reconnect,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => Just(Step::Say),
        1 => Just(Step::Remove),
        2 => Just(Step::Add),
        3 => Just(Step::Hear),
        1 => Just(Step::Rename),
        1 => Just(Step::Reconnect),
    ];
    prop::collection::vec(step, 1..40)
}

async fn walk(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let ward = Ward::open().await;
    let nurse = ward.nurse().await;
    let mut session = ward.session(&nurse);
    let (mut heard, _) = resumed(&mut session, json!({"cursors": {ward.talk.to_string(): 0}})).await;
    let (mut member, mut joined, mut removed) = (true, 0, false);
    for step in steps {
        match step {
            Step::Say => drop(ward.say(ward.talk, "x").await),
            // The epoch moves, the standing stays.
            Step::Rename if member => {
                let data = json!({"patient": ward.patient, "user": nurse.user, "role": "Ward nurse"});
                ward.house.run(&ward.lead, "team.change", data).await;
            }
            Step::Remove if member => {
                ward.remove(&nurse).await;
                (member, removed) = (false, true);
            }
            Step::Add if !member => {
                ward.add(&nurse, json!({})).await;
                joined = *ward.readable(&nurse, ward.talk).await.last().unwrap();
                member = true;
            }
            Step::Hear => heard.at_hand(&mut session).await,
            Step::Reconnect if !removed => {
                session = ward.session(&nurse);
                let cursor = heard.of(ward.talk).last().copied().unwrap_or(0);
                let cursors = json!({"cursors": {ward.talk.to_string(): cursor}});
                session.resume(json!(2), cursors.as_object().unwrap()).unwrap();
            }
            _ => {}
        }
    }
    heard.until_marked(&mut session).await;
    prop_assert_eq!(heard.end, None);
    let readable = ward.readable(&nurse, ward.talk).await;
    let events = heard.of(ward.talk);
    prop_assert!(events.windows(2).all(|pair| pair[0] < pair[1]), "out of order: {:?}", events);
    if member {
        prop_assert!(events.iter().all(|seq| readable.contains(seq)), "{:?} of {:?}", events, readable);
        let owed: Vec<i64> = readable.into_iter().filter(|seq| !removed || *seq >= joined).collect();
        let got: Vec<i64> = events.iter().copied().filter(|seq| !removed || *seq >= joined).collect();
        prop_assert_eq!(got, owed);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Whatever is done in whatever order: in order, exactly once, never an entry from after a removal, everything since the last joining.
    #[test]
    fn whatever_happens_the_right_entries_come_in_order(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(walk(steps))?;
    }
}
