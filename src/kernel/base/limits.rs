//! Every bound on what a peer can make us hold or do, with its reason. The configurable ones are [`Limits`], `[limits]` in the file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Depth of a frame's JSON: far beyond any op, far below any stack.
pub const JSON_DEPTH_MAX: usize = 32;
/// Members of one object of a frame.
pub const JSON_MEMBERS_MAX: usize = 256;
/// Members of `cursors`: one a channel, for people with many patients.
pub const CURSORS_MAX: usize = 1200;
/// Elements of one list of a frame.
pub const JSON_LIST_MAX: usize = 1000;
/// Characters of a frame's `id`.
pub const FRAME_ID_CHARS_MAX: usize = 64;
/// Frames before sign-in: the next one closes.
pub const SIGN_IN_FRAMES_MAX: usize = 4;
/// Bytes of a frame before sign-in.
pub const SIGN_IN_FRAME_BYTES_MAX: usize = 4096;
/// Unreadable frames within a minute: this one closes.
pub const BAD_FRAMES_MAX: usize = 10;
/// Entries one `history` page holds.
pub const HISTORY_MAX: i64 = 200;
/// Entries of a `history` page when the caller does not say.
pub const HISTORY_DEFAULT: i64 = 50;
/// A cursor further behind is answered with `reset`: reading pages is cheaper for both sides then.
pub const RESUME_ENTRIES_MAX: i64 = 10_000;
/// Frames that wait for one socket; beyond it is closed with 4513 and resumes.
pub const QUEUE_FRAMES_MAX: usize = 256;
/// Bytes that wait for one socket.
pub const QUEUE_BYTES_MAX: usize = 1 << 20;
/// Commands of one commit: beyond that only several hundred writers gain, and the first one waits longer.
pub const BATCH_COMMANDS_MAX: usize = 256;
/// Commands that wait for the committer; beyond that `busy`.
pub const COMMIT_QUEUE_MAX: usize = 4096;
/// Characters of a name or title.
pub const TITLE_CHARS_MAX: usize = 500;
/// Characters of a reason.
pub const REASON_CHARS_MAX: usize = 2000;
/// Body of one FHIR import.
pub const IMPORT_BYTES_MAX: usize = 64 << 20;
/// Bytes of an op over HTTP: as over the socket.
pub const FRAME_BYTES: usize = 65_536;

/// The limits a site may change. Defaults are those of docs/protocol.md.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Commands a second, per socket, and per token on `/v1/ops`.
    pub commands_per_second: u32,
    /// Commands at once after a pause.
    pub commands_burst: u32,
    /// Unanswered commands of one socket.
    pub inflight: u32,
    /// Sockets of one user.
    pub sockets_per_user: u32,
    /// Sockets of one address before sign-in.
    pub sockets_per_address: u32,
    /// Seconds until the sign-in must be done.
    pub sign_in_seconds: u32,
    /// Minutes without activity until log-off, 2 to 30.
    pub idle_minutes: u32,
    /// Bytes of a frame.
    pub frame_bytes: usize,
    /// Unicode scalar values of a text.
    pub text_chars: usize,
    /// Seconds between pings of the server.
    #[serde(skip)]
    pub ping_seconds: u32,
    /// Seconds of silence after which a socket is closed with 4504.
    #[serde(skip)]
    pub silence_seconds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            commands_per_second: 20,
            commands_burst: 60,
            inflight: 32,
            sockets_per_user: 20,
            sockets_per_address: 200,
            sign_in_seconds: 10,
            idle_minutes: 15,
            frame_bytes: FRAME_BYTES,
            text_chars: 8000,
            ping_seconds: 25,
            silence_seconds: 60,
        }
    }
}

impl Limits {
    /// As shown in `hello.limits`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("numbers only")
    }
}
