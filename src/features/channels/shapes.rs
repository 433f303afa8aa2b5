//! What the ops on conversations take and answer, as types for the published documents.
//! Does not know how a command is parsed; a test from outside holds what is sent against these.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use super::words::Words;
use super::wrong_patient::sql::ExposureRow;
use crate::kernel::base::limits::HISTORY_MAX;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{ChannelId, EntryId, ItemId, PatientId, ThingId, UserId};
use crate::kernel::engine::shape::{ChannelOrMe, Reason, Recorded, Span, Text, Time, Title};
use crate::kernel::policy::Audience;

/// Opens a conversation.
#[derive(JsonSchema)]
pub struct OpenChannel {
    /// At whose record.
    pub patient: PatientId,
    /// What it is called.
    #[schemars(with = "Title")]
    pub name: String,
    /// What it is for.
    #[schemars(with = "Option<Reason>")]
    pub purpose: Option<String>,
    /// Who it is for; `staff` unless said otherwise.
    pub audience: Option<Audience>,
    /// The listed part of the team; of a `named` channel only.
    pub members: Option<Vec<UserId>>,
}

/// A message stands, or waits for the next check-in.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub enum PostReply {
    /// It stands.
    Posted(Recorded),
    /// It waits: it is in no record yet.
    Held(HeldReply),
}

/// A message waits for the next check-in.
#[derive(Serialize, JsonSchema)]
pub struct HeldReply {
    /// The message, once it is posted.
    pub id: ThingId,
    /// Always true.
    pub held: bool,
    /// Where it will stand.
    pub channel: ChannelId,
    /// When the next check-in opens.
    #[schemars(with = "Time")]
    pub until: String,
    /// The command was done before under the same key; this is the first answer. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<bool>,
}

/// Changes a conversation. An audience narrows and never widens.
#[derive(JsonSchema)]
pub struct ChangeChannel {
    /// Which.
    pub channel: ChannelId,
    /// A new name.
    #[schemars(with = "Option<Title>")]
    pub name: Option<String>,
    /// A new purpose.
    #[schemars(with = "Option<Reason>")]
    pub purpose: Option<String>,
    /// A narrower audience.
    pub audience: Option<Audience>,
    /// The whole new list; of a `named` channel only.
    pub members: Option<Vec<UserId>>,
}

/// Makes a conversation read-only for good.
#[derive(JsonSchema)]
pub struct ArchiveChannel {
    /// Which.
    pub channel: ChannelId,
    /// Why.
    #[schemars(with = "Option<Reason>")]
    pub reason: Option<String>,
}

/// Narrows the list to one patient.
#[derive(JsonSchema)]
pub struct ListChannels {
    /// At whose record.
    pub patient: Option<PatientId>,
}

/// What a channel is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChannelType {
    /// Carries plan, team and patient events; takes no messages.
    Plan,
    /// Takes messages and notes.
    Conversation,
}

/// A channel you may read.
#[derive(Serialize, JsonSchema)]
pub struct Channel {
    /// The channel.
    pub id: ChannelId,
    /// At whose record.
    pub patient: PatientId,
    /// What it is called.
    pub name: String,
    /// What it is for.
    pub purpose: Option<String>,
    /// Who it is for.
    pub audience: Audience,
    /// What it is.
    pub kind: ChannelType,
    /// Read-only for good.
    pub archived: bool,
    /// Its newest entry.
    pub last_seq: i64,
    /// How far you have read.
    pub read_seq: i64,
    /// Messages and notes by others after that.
    pub unread: i64,
    /// You are not to be alerted by what is not urgent.
    pub muted: bool,
    /// When that ends by itself.
    #[schemars(with = "Option<Time>")]
    pub muted_until: Option<String>,
}

/// The channels you may read, archived ones too.
#[derive(Serialize, JsonSchema)]
pub struct ChannelList {
    /// Each of them.
    pub channels: Vec<Channel>,
}

/// A page of the past. Neither `before` nor `after` asks for the newest one; both together are `invalid`.
#[derive(JsonSchema)]
pub struct HistoryPage {
    /// Of which channel; `me` is your own.
    #[schemars(with = "ChannelOrMe")]
    pub channel: String,
    /// Entries before this `seq`.
    pub before: Option<i64>,
    /// Entries after this `seq`.
    pub after: Option<i64>,
    /// At most so many; 50 unless said otherwise.
    #[schemars(range(min = 1, max = HISTORY_MAX))]
    pub limit: Option<i64>,
}

/// Stands for an event frame as it was sent live.
pub struct EventFrame;

impl JsonSchema for EventFrame {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "EventFrame".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"$ref": "#/components/schemas/EventFrame"})
    }
}

/// A page of the past.
#[derive(Serialize, JsonSchema)]
pub struct History {
    /// In ascending order, as they were sent live.
    #[schemars(with = "Vec<EventFrame>")]
    pub events: Vec<serde_json::Value>,
    /// There is more in the direction asked.
    pub more: bool,
    /// What lies between a removal from the team and a return: not a hole.
    #[schemars(with = "Vec<Span>")]
    pub gaps: Vec<[i64; 2]>,
}

/// How far you have read; never backwards.
#[derive(Serialize, JsonSchema)]
pub struct ReadPosition {
    /// Which channel.
    pub channel: ChannelId,
    /// Its newest entry that you have read.
    #[schemars(range(min = 0))]
    pub seq: i64,
}

/// New words for a message, in the form of the first ones; by its author.
#[derive(JsonSchema)]
pub struct AmendMessage {
    /// Which.
    pub message: ThingId,
    /// `text` or `sbar`.
    #[schemars(flatten)]
    pub words: Words,
}

/// Takes a message back; by its author or the lead.
#[derive(JsonSchema)]
pub struct RetractMessage {
    /// Which.
    pub message: ThingId,
    /// Why.
    #[schemars(with = "Reason")]
    pub reason: String,
}

/// Links a message to another item; by its author, the lead or a holder of `plan`.
#[derive(JsonSchema)]
pub struct RelinkMessage {
    /// Which.
    pub message: ThingId,
    /// The item from now on; a closed one will do.
    pub item: ItemId,
}

/// Says that you have seen a message that asked for it; once, by any reader but the author.
#[derive(JsonSchema)]
pub struct AcknowledgeMessage {
    /// Which.
    pub message: ThingId,
}

/// Says in your words what you understood of a message that asked for it.
#[derive(JsonSchema)]
pub struct CheckBackMessage {
    /// Which.
    pub message: ThingId,
    /// What you understood.
    #[schemars(with = "Text")]
    pub text: String,
}

/// Confirms a check-back; by the author of the message.
#[derive(JsonSchema)]
pub struct ConfirmMessage {
    /// Which.
    pub message: ThingId,
    /// Whose check-back, by its entry; may be left out.
    pub check_back: Option<EntryId>,
}

/// A place in the record.
#[derive(Serialize, JsonSchema)]
pub struct Place {
    /// The channel.
    pub channel: ChannelId,
    /// The entry.
    pub seq: i64,
}

/// Somebody who had been sent or had read a message before it was moved.
#[derive(Serialize, JsonSchema)]
pub struct Exposed {
    /// Who.
    pub user: UserId,
    /// Their name, for the privacy officer, where they are staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was sent to them; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub sent_at: Option<String>,
    /// They marked it as read.
    pub read: bool,
    /// When; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub read_at: Option<String>,
}

impl From<ExposureRow> for Exposed {
    fn from(row: ExposureRow) -> Self {
        let ExposureRow { person: user, sent, has_read: read, read_at, .. } = row;
        Self { user, name: None, sent_at: sent.map(rfc3339), read, read_at: read_at.map(rfc3339) }
    }
}

/// What a moved message is answered with besides the new one.
#[derive(Serialize, JsonSchema)]
pub struct Moved {
    /// The retraction where it did not belong.
    pub retracted: Place,
    /// Before whose eyes it had come there, its author's aside.
    pub exposed: Vec<Exposed>,
}

/// Asks which messages went to the wrong patient, the newest first; for privacy officers.
#[derive(JsonSchema)]
pub struct ListWrongPatient {
    /// Of or to this patient only.
    pub patient: Option<PatientId>,
    /// Moved before this message.
    pub before: Option<ThingId>,
    /// At most so many; 50 unless said otherwise.
    #[schemars(range(min = 1, max = HISTORY_MAX))]
    pub limit: Option<i64>,
}

/// Who wrote or moved something.
#[derive(Serialize, JsonSchema)]
pub struct Writer {
    /// The account.
    pub user: UserId,
    /// The name, where they are staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A message that went to the wrong patient.
#[derive(Serialize, JsonSchema)]
pub struct WrongPatient {
    /// It.
    pub message: ThingId,
    /// In whose record it did not belong.
    pub patient: PatientId,
    /// In which channel.
    pub channel: ChannelId,
    /// Its place there.
    pub seq: i64,
    /// Who wrote it.
    pub author: Writer,
    /// Who moved it.
    pub moved_by: Writer,
    /// When.
    #[schemars(with = "Time")]
    pub moved_at: String,
    /// Why, in the mover's words.
    pub reason: String,
    /// The entry that took it back.
    pub retracted: Place,
    /// The message that says it where it belongs.
    pub to_message: ThingId,
    /// Whose record that is.
    pub to_patient: PatientId,
    /// Where it stands there.
    pub to: Place,
    /// Before whose eyes it had come, its author's aside.
    pub exposed: Vec<Exposed>,
}

/// Messages that went to the wrong patient.
#[derive(Serialize, JsonSchema)]
pub struct WrongPatientList {
    /// The newest first.
    pub messages: Vec<WrongPatient>,
    /// There are older ones.
    pub more: bool,
}

/// What is left of an entry whose content is withheld.
#[derive(Serialize, JsonSchema)]
pub struct Withheld {
    /// What it made.
    pub id: EntryId,
    /// The item it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemId>,
    /// The message it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<ThingId>,
    /// Why the rest is not here: `wrong_patient`.
    pub withheld: String,
}

/// A body as it was sent live, or what is left of it in later pages.
pub struct OrWithheld<T>(std::marker::PhantomData<T>);

impl<T: JsonSchema> JsonSchema for OrWithheld<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}OrWithheld", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (whole, rest) = (generator.subschema_for::<T>(), generator.subschema_for::<Withheld>());
        json_schema!({"anyOf": [whole, rest]})
    }
}

/// You were mentioned.
#[derive(Serialize, JsonSchema)]
pub struct Mentioned {
    /// Where.
    pub channel: ChannelId,
    /// The entry.
    pub seq: i64,
    /// The message.
    pub message: EntryId,
    /// It does not alert you: you muted the channel, or are not to be disturbed. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet: Option<bool>,
}
