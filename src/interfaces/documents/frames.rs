//! Shapes of what is on the wire around ops and events: frames, errors, and the ops that belong to a connection.
//! Does not know how frames are made (`kernel/wire` does); a test from outside holds what is sent against these.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::features::channels::attention::shapes::PresenceChanged;
use crate::features::channels::shapes::Channel;
use crate::features::identity::shapes::{SignIn, SignedInAs};
use crate::kernel::base::limits::Limits;
use crate::kernel::base::{ChannelId, SessionId, UserId};
use crate::kernel::engine::attest::HeadTold;
use crate::kernel::engine::shape::{Nothing, Span, Time};
use crate::kernel::engine::{Event, Op};

/// Ops of a connection, which no feature runs.
pub(super) const OF_CONNECTIONS: &[Op] = &[
    Op::write("login", "identity").takes::<SignIn>().answers::<LoggedIn>(),
    Op::read("ping", "connection").takes::<Nothing>().answers::<Pong>(),
    Op::read("resume", "message").takes::<Resume>().answers::<Resumed>(),
    Op::read("typing", "message").takes::<Typing>().answers::<Nothing>(),
    Op::read("cancel", "connection").takes::<Cancel>().answers::<Cancelled>(),
];

/// Of these, the one that is taken over HTTP too.
pub(super) const OVER_HTTP_TOO: &str = "ping";

/// Events that are not kept: they have no `seq`.
pub(super) const PASSING: &[Event] =
    &[Event::of::<Nothing>("typing"), Event::of::<PresenceChanged>("presence"), Event::of::<HeadTold>("head")];

/// Who is signed in, and what they may read.
#[derive(Serialize, JsonSchema)]
pub(super) struct LoggedIn {
    #[serde(flatten)]
    who: SignedInAs,
    /// As `channel.list` answers.
    channels: Vec<Channel>,
}

/// The server's time.
#[derive(Serialize, JsonSchema)]
pub(super) struct Pong {
    /// Now.
    #[schemars(with = "Time")]
    time: String,
}

/// Asks for events: what came after each cursor, then what comes.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct Resume {
    /// The highest `seq` you hold, by channel; `me` is your own. Channels that are not named are followed from now.
    cursors: Option<BTreeMap<String, u64>>,
    /// Only these channels besides the cursors.
    follow: Option<Vec<String>>,
}

/// What a `resume` came to.
#[derive(Serialize, JsonSchema)]
pub(super) struct Resumed {
    /// Events sent, by channel.
    sent: BTreeMap<String, u64>,
    /// Cursors that are of no use: read these channels again with `history`.
    reset: Vec<String>,
    /// What lies between a removal from the team and a return, by channel: not a hole.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Vec<Span>>")]
    gaps: BTreeMap<String, Vec<[i64; 2]>>,
}

/// Tells the others in a channel that you are writing.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct Typing {
    /// Where.
    channel: ChannelId,
}

/// What a client names a frame by.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum FrameId {
    /// A number.
    Number(f64),
    /// A short text.
    Text(#[schemars(length(max = 64))] String),
}

/// Has a long reading command, a `search`, answer with what it has by now.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct Cancel {
    /// The `id` of its frame.
    id: FrameId,
}

/// Whether there was such a command.
#[derive(Serialize, JsonSchema)]
pub(super) struct Cancelled {
    /// It was under way; its own answer follows.
    cancelled: bool,
}

/// Whether anybody is signed in.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum Auth {
    /// By the upgrade; `user, session, expires_at` are there.
    Ok,
    /// Not yet: send `login`.
    Required,
}

/// The first frame of every socket.
#[derive(Serialize, JsonSchema)]
pub(super) struct Hello {
    /// The protocol that is spoken.
    proto: String,
    /// Version of the program.
    server: String,
    /// Whether anybody is signed in.
    auth: Auth,
    /// Seconds between pings of the server.
    ping_s: u32,
    /// The server's time.
    #[schemars(with = "Time")]
    time: String,
    /// What a client may do.
    limits: Limits,
    /// Who is signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    /// By which session.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionId>,
    /// When it ends at the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time")]
    expires_at: Option<String>,
    /// With `progress`: the `id` of the command that takes longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "FrameId")]
    id: Option<serde_json::Value>,
    /// With `progress`: entries gone over.
    #[serde(skip_serializing_if = "Option::is_none")]
    scanned: Option<u64>,
    /// With `progress`: entries to go over at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<u64>,
}

/// Why the answer is no. The wire leaves out what does not apply.
#[derive(Serialize, JsonSchema)]
pub(super) struct Error {
    /// Stable, for programs.
    #[schemars(with = "Code")]
    code: String,
    /// A short sentence for a person.
    title: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The member that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// The same frame may succeed later.
    retry: bool,
    /// After so many milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    /// With `conflict` on a plan item: how it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<serde_json::Map<String, serde_json::Value>>,
    /// With `bad_transition`: the states that can follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<Vec<String>>,
    /// With an upgrade that was refused: the subprotocols there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    supported: Option<Vec<String>>,
}

/// The codes of errors.
pub(super) struct Code;

impl JsonSchema for Code {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ErrorCode".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let codes: Vec<&str> = crate::kernel::base::Code::ALL.iter().map(|code| code.text()).collect();
        schemars::json_schema!({"type": "string", "enum": codes})
    }
}

/// News about the connection itself.
#[derive(Serialize, JsonSchema)]
pub(super) struct Notice {
    /// What it is about: `session_expiring`, `draining`, `progress`.
    code: String,
    /// A sentence for a person.
    text: String,
    /// With `session_expiring`: when the session ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time")]
    expires_at: Option<String>,
}
