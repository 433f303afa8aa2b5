//! What the ops of intake take and answer.

use schemars::JsonSchema;
use serde::Serialize;

use crate::kernel::base::{ChannelId, ItemId, PatientId, ThingId, UserId};
use crate::kernel::engine::shape::{Reason, Time};

/// Asks for the e-mail address of a channel.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "a shape: read by the published documents only")]
pub struct AskAddress {
    /// The channel.
    channel: ChannelId,
    /// The plan item that mails to the address are about; Unsorted if none.
    item: Option<ItemId>,
}

/// The e-mail address of a channel.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "a shape: read by the published documents only")]
pub struct Address {
    /// The channel.
    channel: ChannelId,
    /// What is sent there becomes a note in the channel.
    address: String,
}

/// Asks for mails that wait: all of what the caller sees, or those of a patient or a channel.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "a shape: read by the published documents only")]
pub struct ListMails {
    /// Of this patient only.
    patient: Option<PatientId>,
    /// To this channel only.
    channel: Option<ChannelId>,
}

/// Mails that wait.
#[derive(Serialize, JsonSchema)]
pub struct MailList {
    /// The oldest first.
    pub mails: Vec<Waiting>,
}

/// A mail that waits for a person.
#[derive(Serialize, JsonSchema)]
pub struct Waiting {
    /// The mail.
    pub id: ThingId,
    /// Whose record it was sent to; absent if its address was none of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<PatientId>,
    /// The channel it was sent to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelId>,
    /// The plan item its address named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemId>,
    /// The account whose address it was sent from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<UserId>,
    /// Why it waits: `unknown_sender`, `unknown_address`, `unverified`, `automatic`, `list`, `refused`.
    pub reason: String,
    /// When it came.
    #[schemars(with = "Time")]
    pub at: String,
    /// How long it is.
    pub bytes: i64,
    /// The domain it was sent from.
    pub domain: String,
    /// What is in it, for whoever may read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
}

/// What is in a mail.
#[derive(Serialize, JsonSchema)]
pub struct Content {
    /// The address it says it was sent from.
    pub from: Option<String>,
    /// Its subject.
    pub subject: String,
    /// Its text as the note would have it.
    pub text: String,
    /// When what is in it was written.
    #[schemars(with = "Time")]
    pub held_at: String,
    /// The names of its files.
    pub files: Vec<String>,
}

/// Makes a waiting mail a note.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "a shape: read by the published documents only")]
pub struct FileMail {
    /// The mail.
    mail: ThingId,
    /// Where.
    channel: ChannelId,
    /// About what; Unsorted if none.
    item: Option<ItemId>,
}

/// Discards a waiting mail.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "a shape: read by the published documents only")]
pub struct DiscardMail {
    /// The mail.
    mail: ThingId,
    /// Why.
    #[schemars(with = "Reason")]
    reason: String,
}

/// A mail that is no more.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "a shape: read by the published documents only")]
pub struct Discarded {
    /// The mail.
    mail: ThingId,
}
