//! How to speak to a server under load: one generator drives the limit server and Carethread alike.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::kernel::base::World;

/// Before the stamp in a text: `bench:<microseconds>:<sender>:`, then padding.
const MARK: &str = "bench:";

/// Length of a text: two lines of a nurse's note.
const TEXT_BYTES: usize = 120;

/// One socket's person: which one of which team.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Index of the team.
    pub team: usize,
    /// Index within the team.
    pub person: usize,
}

/// What a frame is to the generator.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    /// A message of the load: when it was sent, and by which socket.
    Event {
        /// Microseconds after the start of the load.
        stamp_us: u64,
        /// The sending socket's number.
        sender: u32,
    },
    /// The answer to the frame with this id.
    Reply(u64),
    /// A refusal.
    Refused {
        /// Its code.
        code: String,
        /// When to come back; 0 when not said.
        retry_after_ms: u64,
    },
    /// Anything else.
    Other,
}

/// A wire dialect. Frames are text; ids are chosen by the caller and count up for each socket.
pub trait Dialect: Send + Sync + 'static {
    /// How many people each team has.
    fn teams(&self) -> Vec<usize>;
    /// Path and bearer token of the upgrade.
    fn upgrade(&self, member: Member) -> (String, Option<String>);
    /// What is sent after the upgrade, one by one, each answered by [`Seen::Reply`] before the next: the rest of signing in, and
    /// following the team's channel from now on.
    fn greeting(&self, member: Member) -> Vec<String>;
    /// A message to the team, stamped.
    fn post(&self, member: Member, id: u64, stamp_us: u64, sender: u32) -> Utf8Bytes;
    /// What a received frame is.
    fn read(&self, frame: &str) -> Seen;
    /// Asks for up to `limit` entries before `before` (the newest without); `None` where the server keeps no history.
    fn history(&self, member: Member, id: u64, before: Option<u64>, limit: usize) -> Option<String>;
}

/// The text of a message of the load.
fn text(stamp_us: u64, sender: u32) -> String {
    let mut text = format!("{MARK}{stamp_us}:{sender}:");
    text.extend(std::iter::repeat_n('x', TEXT_BYTES.saturating_sub(text.len())));
    text
}

/// Finds the stamp without reading the frame as JSON: the generator shares the machine with what it measures.
fn stamp(frame: &str) -> Option<Seen> {
    let mut parts = frame.get(frame.find(MARK)? + MARK.len()..)?.splitn(3, ':');
    let (stamp_us, sender) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some(Seen::Event { stamp_us, sender })
}

/// The dialect of the limit server: the team is the path, the message is told as it was sent.
pub struct LimitDialect {
    /// How many people each team is said to have.
    pub sizes: Vec<usize>,
}

impl Dialect for LimitDialect {
    fn teams(&self) -> Vec<usize> {
        self.sizes.clone()
    }

    fn upgrade(&self, member: Member) -> (String, Option<String>) {
        (format!("/{}", member.team), None)
    }

    fn greeting(&self, _member: Member) -> Vec<String> {
        Vec::new()
    }

    fn post(&self, member: Member, id: u64, stamp_us: u64, sender: u32) -> Utf8Bytes {
        // As long as Carethread's event frame, so that both sides encrypt and send the same number of bytes.
        let filler = "0".repeat(36);
        json!({ "type": "event", "event": "message.posted", "channel": filler, "seq": id, "at": "2026-11-21T20:59:01.000000Z",
            "by": filler, "data": { "id": filler, "item": filler, "channel": member.team, "text": text(stamp_us, sender) } })
        .to_string()
        .into()
    }

    fn read(&self, frame: &str) -> Seen {
        stamp(frame).unwrap_or(Seen::Other)
    }

    fn history(&self, _: Member, _: u64, _: Option<u64>, _: usize) -> Option<String> {
        None
    }
}

/// A person made for a load. The token is written to the fixture file only.
#[derive(Clone, Serialize, Deserialize)]
pub struct Person {
    /// The user's id.
    pub user: String,
    /// A personal access token.
    pub token: String,
}

/// A team made for a load.
#[derive(Clone, Serialize, Deserialize)]
pub struct Team {
    /// The patient.
    pub patient: String,
    /// The patient's staff channel.
    pub channel: String,
    /// The item that messages name: the plan as a whole.
    pub item: String,
    /// Indexes into [`Fixture::people`]; the first one leads.
    pub people: Vec<usize>,
}

/// People and teams that a server was filled with.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Fixture {
    /// Everyone.
    pub people: Vec<Person>,
    /// Every team.
    pub teams: Vec<Team>,
}

/// The protocol of Carethread, `carethread.v1`: bearer token on the upgrade, `resume`, `message.post`, `history`.
pub struct Carethread {
    fixture: Fixture,
    /// Idempotency keys: eight bytes for this run, eight that count.
    run: [u8; 8],
    key: AtomicU64,
}

/// The id of the greeting's frame; those of a load start above it.
const RESUME: u64 = 1;

impl Carethread {
    /// Speaks as the people of `fixture`.
    #[must_use]
    pub fn new(fixture: Fixture, world: &World) -> Self {
        Self { fixture, run: world.bytes(), key: AtomicU64::new(0) }
    }

    fn team(&self, member: Member) -> &Team {
        &self.fixture.teams[member.team]
    }

    fn key(&self) -> uuid::Uuid {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.run);
        bytes[8..].copy_from_slice(&self.key.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

#[derive(Deserialize)]
struct Answer {
    r#type: String,
    #[serde(default)]
    id: Value,
    #[serde(default)]
    error: Problem,
}

#[derive(Deserialize, Default)]
struct Problem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    retry_after_ms: u64,
}

impl Dialect for Carethread {
    fn teams(&self) -> Vec<usize> {
        self.fixture.teams.iter().map(|team| team.people.len()).collect()
    }

    fn upgrade(&self, member: Member) -> (String, Option<String>) {
        let person = &self.fixture.people[self.team(member).people[member.person]];
        ("/v1/ws".to_owned(), Some(person.token.clone()))
    }

    fn greeting(&self, member: Member) -> Vec<String> {
        let data = json!({ "follow": [self.team(member).channel] });
        vec![json!({ "id": RESUME, "op": "resume", "data": data }).to_string()]
    }

    fn post(&self, member: Member, id: u64, stamp_us: u64, sender: u32) -> Utf8Bytes {
        let team = self.team(member);
        let data =
            json!({ "channel": team.channel, "item": team.item, "text": text(stamp_us, sender), "key": self.key() });
        json!({ "id": id + RESUME, "op": "message.post", "data": data }).to_string().into()
    }

    fn read(&self, frame: &str) -> Seen {
        if let Some(event) = stamp(frame) {
            return event;
        }
        let Ok(answer) = serde_json::from_str::<Answer>(frame) else {
            return Seen::Other;
        };
        match answer.r#type.as_str() {
            "reply" => Seen::Reply(answer.id.as_u64().unwrap_or(0)),
            "error" => Seen::Refused { code: answer.error.code, retry_after_ms: answer.error.retry_after_ms },
            _ => Seen::Other,
        }
    }

    fn history(&self, member: Member, id: u64, before: Option<u64>, limit: usize) -> Option<String> {
        let mut data = json!({ "channel": self.team(member).channel, "limit": limit });
        if let Some(before) = before {
            data["before"] = before.into();
        }
        Some(json!({ "id": id + RESUME, "op": "history", "data": data }).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carethread() -> Carethread {
        let person = |name: &str| Person { user: format!("u-{name}"), token: format!("t-{name}") };
        let team = Team { patient: "p".into(), channel: "c".into(), item: "i".into(), people: vec![1, 0] };
        Carethread::new(Fixture { people: vec![person("a"), person("b")], teams: vec![team] }, &World::system())
    }

    #[test]
    fn a_stamp_survives_the_way() {
        let member = Member { team: 0, person: 1 };
        let event = Seen::Event { stamp_us: 123_456, sender: 7 };
        let limit = LimitDialect { sizes: vec![2] };
        assert_eq!(limit.read(&limit.post(member, 1, 123_456, 7)), event);
        let told =
            r#"{"type":"event","event":"message.posted","channel":"c","seq":1,"data":{"text":"bench:123456:7:xx"}}"#;
        assert_eq!(carethread().read(told), event);
        assert_eq!(limit.read("bench:"), Seen::Other);
    }

    #[test]
    fn answers_are_told_apart() {
        let server = carethread();
        assert_eq!(server.read(r#"{"type":"reply","id":5,"data":{}}"#), Seen::Reply(5));
        assert_eq!(server.read(r#"{"type":"hello","proto":"carethread.v1"}"#), Seen::Other);
        let refused = r#"{"type":"error","id":5,"error":{"code":"rate_limited","retry_after_ms":40}}"#;
        assert_eq!(server.read(refused), Seen::Refused { code: "rate_limited".into(), retry_after_ms: 40 });
        assert_eq!(server.read("no JSON"), Seen::Other);
    }

    #[test]
    fn a_member_signs_in_as_itself_and_no_key_comes_twice() {
        let (server, member) = (carethread(), Member { team: 0, person: 0 });
        assert_eq!(server.upgrade(member), ("/v1/ws".into(), Some("t-b".into())));
        assert_ne!(server.key(), server.key());
        let post: Value = serde_json::from_str(&server.post(member, 1, 2, 3)).unwrap();
        assert_eq!(post["data"]["text"].as_str().unwrap().len(), TEXT_BYTES);
        assert_eq!((post["op"].as_str(), post["id"].as_u64()), (Some("message.post"), Some(2)));
    }
}
