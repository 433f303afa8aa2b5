//! What `receipts` takes and answers.

use schemars::JsonSchema;
use serde::Serialize;

use crate::kernel::base::{ChannelId, ThingId, UserId};
use crate::kernel::engine::shape::Time;

/// Whose receipts: of a message or note, or of any entry by its place.
#[derive(JsonSchema)]
pub struct AskReceipts {
    /// A message or note; or instead:
    pub message: Option<ThingId>,
    /// The channel of an entry.
    pub channel: Option<ChannelId>,
    /// Its place there.
    #[schemars(range(min = 1))]
    pub seq: Option<i64>,
}

/// Who was sent an entry and who read it.
#[derive(Serialize, JsonSchema)]
pub struct Receipts {
    /// The message or note, if the entry is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<ThingId>,
    /// Where.
    pub channel: ChannelId,
    /// Its place there.
    pub seq: i64,
    /// When it was accepted.
    #[schemars(with = "Time")]
    pub at: String,
    /// Its author.
    pub by: UserId,
    /// Everybody who could read it when it came and still may, and who came later and met it all the same; by user.
    pub receipts: Vec<ReceiptOf>,
    /// Each time that it was said again because an answer was awaited; absent if never.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub escalation: Vec<SaidAgain>,
}

/// A message that waits for an answer was said again.
#[derive(Serialize, JsonSchema)]
pub struct SaidAgain {
    /// The entry.
    pub seq: i64,
    /// When.
    #[schemars(with = "Time")]
    pub at: String,
    /// 0 to those asked, 1 to whoever is responsible, from 2 on to the lead.
    pub step: i64,
    /// To whom.
    pub to: Vec<UserId>,
}

/// Whether a message alerted somebody.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Alert {
    /// It did.
    Rang,
    /// They had muted the channel, or were not to be disturbed.
    Quiet,
}

/// What became of an entry with one person.
#[derive(Serialize, JsonSchema)]
pub struct ReceiptOf {
    /// Who.
    pub user: UserId,
    /// Written out to one of their sockets.
    #[schemars(with = "Option<Time>")]
    pub delivered_at: Option<String>,
    /// Their read position came to it or passed it.
    #[schemars(with = "Option<Time>")]
    pub read_at: Option<String>,
    /// As things stood when it was posted; of a message or note, for those who were there and are not its author.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<Alert>,
    /// They acknowledged it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub acknowledged_at: Option<String>,
    /// They said what they understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub checked_back_at: Option<String>,
    /// The author confirmed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub confirmed_at: Option<String>,
}
