//! What the ops of attention take and answer, and what the event `presence` says.

use schemars::JsonSchema;
use serde::Serialize;

use crate::kernel::base::{ChannelId, UserId};
use crate::kernel::engine::shape::Time;

/// Mutes a channel for yourself, or hears it again.
#[derive(Serialize, JsonSchema)]
pub struct MuteChannel {
    /// Which.
    pub channel: ChannelId,
    /// Whether you are not to be alerted by what is not urgent.
    pub muted: bool,
    /// When a mute ends by itself; only with `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub until: Option<String>,
}

/// What people say of themselves.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing.
    Available,
    /// Not at hand.
    Away,
    /// Not to be alerted by what is not urgent.
    DoNotDisturb,
}

/// What you say of yourself.
#[derive(Serialize, JsonSchema)]
pub struct SetPresence {
    /// That.
    pub state: State,
    /// When it ends by itself; not with `available`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub until: Option<String>,
}

/// Asks who is there.
#[derive(JsonSchema)]
pub struct AskPresence {
    /// In which channel.
    pub channel: ChannelId,
}

/// Whether somebody is there.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Here {
    /// At least one connection is signed in.
    Online,
    /// So it is, and they said that they are away.
    Away,
    /// No connection is.
    Offline,
}

/// Who comes, goes, or does not want to be disturbed.
#[derive(Serialize, JsonSchema)]
pub struct PresenceChanged {
    /// Whether they are there.
    pub state: Here,
    /// Not to be alerted by what is not urgent.
    pub do_not_disturb: bool,
    /// When `away` or `do_not_disturb` ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub until: Option<String>,
}

/// One reader of a channel.
#[derive(Serialize, JsonSchema)]
pub struct MemberPresence {
    /// Who.
    pub user: UserId,
    /// `state, do_not_disturb, until`.
    #[serde(flatten)]
    pub shown: PresenceChanged,
    /// They have muted this channel.
    pub muted: bool,
    /// When that ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub muted_until: Option<String>,
}

/// Who of a channel's readers is there.
#[derive(Serialize, JsonSchema)]
pub struct ChannelPresence {
    /// Which.
    pub channel: ChannelId,
    /// The server's time.
    #[schemars(with = "Time")]
    pub at: String,
    /// Everybody who may read it, by user.
    pub members: Vec<MemberPresence>,
}
