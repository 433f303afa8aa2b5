//! The rules of messages, pure: what is accepted of a post, and what can still be done to a message that stands.
//! Does not know: time, the database, frames, who may (policy decided that before).

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ask::Ask;
use super::held::Hold;
use super::words::{Class, Form, Words};
use crate::features::files;
use crate::kernel::base::{ChannelId, EntryId, FileId, ItemId, Refusal, ThingId, UserId};
use crate::kernel::engine::Data;
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::shape::{Reason, Time};
use crate::kernel::policy::{Holder, Responsibility};

/// How soon somebody should look (*request-priority*, FHIR R4, without `asap`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// In the normal course; what is not said otherwise.
    #[default]
    Routine,
    /// Soon.
    Urgent,
    /// Now.
    Stat,
}

impl Priority {
    /// As on the wire and in FHIR.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Routine => "routine",
            Self::Urgent => "urgent",
            Self::Stat => "stat",
        }
    }

    /// The number in the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Routine => 0,
            Self::Urgent => 1,
            Self::Stat => 2,
        }
    }

    /// From the number in the database.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        [Self::Routine, Self::Urgent, Self::Stat].into_iter().find(|one| one.number() == number)
    }

    fn parse(fields: Fields<'_>) -> Result<Option<Self>, Refusal> {
        let known = |text: &str| [Self::Routine, Self::Urgent, Self::Stat].into_iter().find(|one| one.text() == text);
        fields.word("priority", known, "routine, urgent, stat")
    }
}

/// Says something about a plan item.
#[derive(JsonSchema)]
pub struct Post {
    /// Where.
    pub channel: ChannelId,
    /// About what; a reply may leave it out.
    pub item: Option<ItemId>,
    /// `text` or `sbar`.
    #[schemars(flatten)]
    pub words: Words,
    /// The message or note it answers.
    pub reply_to: Option<ThingId>,
    /// How soon.
    pub priority: Option<Priority>,
    /// The task whose thread it stands in, of the same channel.
    pub task: Option<ThingId>,
    /// Who is to look: people, and whoever holds a responsibility now.
    #[schemars(with = "Option<Vec<Holder>>")]
    pub mentions: Vec<Holder>,
    /// What is asked of every reader.
    pub ask: Option<Ask>,
    /// Record class.
    pub class: Option<Class>,
    /// Files uploaded to this channel, at most 20.
    #[schemars(with = "Option<Vec<FileId>>")]
    pub files: Vec<FileId>,
    /// It waits until then instead of interrupting; the answer says until when.
    pub hold: Option<Hold>,
}

/// Body of `message.posted`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Posted {
    /// The message.
    pub id: ThingId,
    /// The plan item it is about.
    pub item: ItemId,
    /// `text` or `sbar`.
    #[serde(flatten)]
    pub words: Words,
    /// The message or note it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<ThingId>,
    /// The task whose thread it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<ThingId>,
    /// How soon; routine if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Who is to look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
    /// The responsibilities that were named; whoever held them is among the mentions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentioned_responsibilities: Vec<Responsibility>,
    /// What is asked of every reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<Ask>,
    /// In how many minutes an answer is awaited, where one is asked for; without it the message is not said again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond_minutes: Option<u32>,
    /// Record class; the care record if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Files that go with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileId>,
    /// When it was written, if it waited for a check-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub held_since: Option<String>,
}

/// Body of `message.amended`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Amended {
    /// This amendment.
    pub id: EntryId,
    /// What is amended.
    pub message: ThingId,
    /// The words from now on.
    #[serde(flatten)]
    pub words: Words,
}

/// Body of `message.retracted`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Retracted {
    /// This retraction.
    pub id: EntryId,
    /// What is retracted.
    pub message: ThingId,
    /// Why.
    pub reason: String,
    /// Entries that are read without their content from here on: the message went to the wrong patient and was moved. Whoever holds them
    /// drops what they say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withholds: Vec<i64>,
}

/// Body of `message.relinked`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Relinked {
    /// This re-link.
    pub id: EntryId,
    /// What is linked to another item.
    pub message: ThingId,
    /// The item from now on; the same as before where somebody saw that it still fits.
    pub item: ItemId,
    /// Why, where it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The command `message.move`: the words go to the record of another patient.
#[derive(JsonSchema)]
pub struct Move {
    /// Which message.
    pub message: ThingId,
    /// A channel of the right patient.
    pub channel: ChannelId,
    /// What it is about there.
    pub item: Option<ItemId>,
    /// Why: for the privacy officer, in no record.
    #[schemars(with = "Reason")]
    pub reason: String,
    /// Copies of its files, uploaded to that channel: files do not go along by themselves.
    #[schemars(with = "Option<Vec<FileId>>")]
    pub files: Vec<FileId>,
}

impl Move {
    /// Reads the command.
    ///
    /// # Errors
    /// `invalid`, `reason_required` or `too_large`, naming the field.
    pub fn parse(data: &Data) -> Result<Self, Refusal> {
        let fields = Fields(data);
        Ok(Self {
            message: fields.required_id("message")?,
            channel: fields.required_id("channel")?,
            item: fields.id("item")?,
            reason: fields.reason()?,
            files: files::parse(fields)?,
        })
    }
}

impl Posted {
    /// The same words as a new message in another record: urgency, ask and class stay, whoever and whatever it named does not.
    #[must_use]
    pub fn elsewhere(self, id: ThingId, item: ItemId, words: Words, files: Vec<FileId>) -> Self {
        let (mentions, mentioned_responsibilities, held_since) = (Vec::new(), Vec::new(), None);
        Self {
            id,
            item,
            words,
            reply_to: None,
            task: None,
            mentions,
            mentioned_responsibilities,
            files,
            held_since,
            ..self
        }
    }
}

/// Members of `message.post` that are kept for later kinds of messages: naming one now must not be lost in silence.
const RESERVED: [&str; 1] = ["enc"];

impl Post {
    /// Reads the command; a text has at most `chars_max` Unicode scalar values.
    ///
    /// # Errors
    /// `invalid` or `too_large`, naming the field.
    pub fn parse(data: &Data, chars_max: usize) -> Result<Self, Refusal> {
        let fields = Fields(data);
        if let Some(field) = RESERVED.into_iter().find(|field| fields.get(field).is_some()) {
            return Err(Refusal::invalid(field, "This server does not take this field yet."));
        }
        if fields.get("hold").is_some() && fields.get("files").is_some() {
            return Err(Refusal::invalid("files", "A message with files is posted at once; it does not wait."));
        }
        Ok(Self {
            channel: fields.required_id("channel")?,
            item: fields.id("item")?,
            words: Words::parse(fields, chars_max)?,
            reply_to: fields.id("reply_to")?,
            priority: Priority::parse(fields)?,
            task: fields.id("task")?,
            mentions: mentions(fields)?,
            ask: Ask::parse(fields)?,
            class: Class::parse(fields)?,
            files: files::parse(fields)?,
            hold: Hold::parse(fields)?,
        })
    }

    /// What is recorded once the item is found. `reads` says who reads the channel now, `holders` who holds a responsibility.
    ///
    /// # Errors
    /// `invalid`, field `mentions`, the same for people who do not read the channel and for ids of nobody; and for a responsibility that
    /// no reader of the channel holds.
    pub fn decide(
        self,
        id: ThingId,
        item: ItemId,
        reads: impl Fn(UserId) -> bool,
        holders: impl Fn(Responsibility) -> Vec<UserId>,
    ) -> Result<Posted, Refusal> {
        let Self { words, reply_to, task, priority, mentions: named, ask, class, files, .. } = self;
        let (mut mentions, mut responsibilities) = (BTreeSet::new(), BTreeSet::new());
        for holder in named {
            let meant = match holder {
                Holder::User(user) => vec![user],
                Holder::Responsibility { responsibility } => {
                    responsibilities.insert(responsibility);
                    holders(responsibility)
                }
            };
            let readers: Vec<UserId> = meant.into_iter().filter(|user| reads(*user)).collect();
            if readers.is_empty() {
                return Err(Refusal::invalid("mentions", "Mention people who read this channel."));
            }
            mentions.extend(readers);
        }
        let mentions = mentions.into_iter().collect();
        let mentioned_responsibilities = responsibilities.into_iter().collect();
        Ok(Posted {
            id,
            item,
            words,
            reply_to,
            task,
            priority,
            mentions,
            mentioned_responsibilities,
            ask,
            respond_minutes: None,
            class,
            files,
            held_since: None,
        })
    }
}

/// Reads `mentions`: ids, and responsibilities.
fn mentions(fields: Fields<'_>) -> Result<Vec<Holder>, Refusal> {
    let wrong = || Refusal::invalid("mentions", "This field is a list of ids, or of {\"responsibility\": ..}.");
    let Some(list) = fields.get("mentions") else { return Ok(Vec::new()) };
    let list = list.as_array().ok_or_else(wrong)?;
    list.iter().map(|one| Holder::read("mentions", one)?.ok_or_else(wrong)).collect()
}

/// A message as the rules of correction see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Which.
    pub message: ThingId,
    /// Text or SBAR, as it was written first.
    pub form: Form,
    /// Taken back.
    pub retracted: bool,
    /// The item it is linked to now.
    pub item: ItemId,
    /// What it asks of its readers.
    pub ask: Option<Ask>,
}

impl Standing {
    /// Whether anything may still be done to it.
    ///
    /// # Errors
    /// `conflict` if retracted.
    pub fn stands(self) -> Result<(), Refusal> {
        if self.retracted { Err(Refusal::conflict("This message is retracted.")) } else { Ok(()) }
    }

    /// New words, in the form of the first ones.
    ///
    /// # Errors
    /// `conflict` if retracted, `invalid` for the other form.
    pub fn amend(self, id: EntryId, words: Words) -> Result<Amended, Refusal> {
        self.stands()?;
        if words.form() != self.form {
            return Err(Refusal::invalid(
                words.form().field(),
                "An amendment has the form of the message: text or SBAR.",
            ));
        }
        Ok(Amended { id, message: self.message, words })
    }

    /// Taken back, for a reason.
    ///
    /// # Errors
    /// `conflict` if it was before.
    pub fn retract(self, id: EntryId, reason: String) -> Result<Retracted, Refusal> {
        self.stands()?;
        Ok(Retracted { id, message: self.message, reason, withholds: Vec::new() })
    }

    /// Taken back, also after it was once, for a reason that lets nobody read it any more, with the entries that say it.
    #[must_use]
    pub fn withhold(self, id: EntryId, reason: &str, entries: Vec<i64>) -> Retracted {
        Retracted { id, message: self.message, reason: reason.to_owned(), withholds: entries }
    }

    /// Linked to another item.
    ///
    /// # Errors
    /// `conflict` if retracted, or linked to that item already.
    pub fn relink(self, id: EntryId, item: ItemId) -> Result<Relinked, Refusal> {
        self.stands()?;
        if item == self.item {
            return Err(Refusal::conflict("The message is linked to this item already."));
        }
        Ok(Relinked { id, message: self.message, item, reason: None })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::kernel::base::Code;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn post(more: Value) -> Result<Post, Refusal> {
        let mut data = json!({"channel": id(1), "item": id(2), "text": "a"}).as_object().unwrap().clone();
        data.extend(more.as_object().unwrap().clone());
        Post::parse(&data, 8000)
    }

    #[test]
    fn what_is_not_taken_yet_is_refused_by_name() {
        for field in RESERVED {
            assert_eq!(post(json!({field: true})).err().unwrap().field, Some(field));
            assert!(post(json!({field: null})).is_ok());
        }
    }

    #[test]
    fn words_out_of_the_list_are_refused() {
        assert_eq!(post(json!({"priority": "asap"})).err().unwrap().field, Some("priority"));
        assert_eq!(post(json!({"ask": "confirm"})).err().unwrap().field, Some("ask"));
        assert_eq!(post(json!({"class": "gossip"})).err().unwrap().field, Some("class"));
        assert_eq!(post(json!({"mentions": ["x"]})).err().unwrap().field, Some("mentions"));
        assert_eq!(post(json!({"reply_to": 3})).err().unwrap().field, Some("reply_to"));
    }

    #[test]
    fn the_body_holds_what_was_accepted_and_nothing_else() {
        let posted =
            post(json!({"priority": "stat", "class": "coordination", "mentions": [id(5), id(5)], "ask": "check_back"}));
        let body = posted.unwrap().decide(ThingId(id(9)), ItemId(id(2)), |_| true, |_| Vec::new()).unwrap();
        let expected = json!({"id": id(9), "item": id(2), "text": "a", "priority": "stat", "class": "coordination", "mentions": [id(5)],
                              "ask": "check_back"});
        assert_eq!(serde_json::to_value(&body).unwrap(), expected);
        let plain = post(json!({})).unwrap().decide(ThingId(id(9)), ItemId(id(2)), |_| false, |_| Vec::new()).unwrap();
        assert_eq!(serde_json::to_value(&plain).unwrap(), json!({"id": id(9), "item": id(2), "text": "a"}));
        let again: Posted = serde_json::from_value(expected).unwrap();
        assert!(again.words == body.words && again.priority == Some(Priority::Stat));
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Amend(Form),
        Retract,
        Relink(u8),
    }

    fn steps() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Amend(Form::Text)),
            Just(Step::Amend(Form::Sbar)),
            Just(Step::Retract),
            (0_u8..3).prop_map(Step::Relink),
        ]
    }

    fn words(form: Form) -> Words {
        let data = match form {
            Form::Text => json!({"text": "a"}),
            Form::Sbar => json!({"sbar": {"situation": "a"}}),
        };
        Words::parse(Fields(data.as_object().unwrap()), 10).unwrap()
    }

    proptest! {
        /// After a retraction nothing happens to a message; before it, its form stays and its item is the last one named.
        #[test]
        fn a_retracted_message_stays_as_it_is(steps in prop::collection::vec(steps(), 0..12), sbar in any::<bool>()) {
            let form = if sbar { Form::Sbar } else { Form::Text };
            let mut standing = Standing { message: ThingId(id(1)), form, retracted: false, item: ItemId(id(0)), ask: None };
            for step in steps {
                let was = standing;
                let refused = match step {
                    Step::Amend(form) => standing.amend(EntryId::ZERO, words(form)).err(),
                    Step::Retract => standing.retract(EntryId::ZERO, "a".into()).map(|_| standing.retracted = true).err(),
                    Step::Relink(n) => standing.relink(EntryId::ZERO, ItemId(id(u128::from(n)))).map(|done| standing.item = done.item).err(),
                };
                if was.retracted {
                    prop_assert_eq!(refused.unwrap().code, Code::Conflict);
                    prop_assert_eq!(standing, was);
                } else {
                    let expected = match step {
                        Step::Amend(form) if form != was.form => Some(Code::Invalid),
                        Step::Relink(n) if ItemId(id(u128::from(n))) == was.item => Some(Code::Conflict),
                        _ => None,
                    };
                    prop_assert_eq!(refused.map(|refusal| refusal.code), expected);
                }
            }
        }

        /// A mention passes only if everyone named reads the channel.
        #[test]
        fn mentions_are_of_readers(named in prop::collection::vec(0_u128..6, 0..5), readers in 0_u128..6) {
            let ids: Vec<Uuid> = named.iter().map(|n| id(*n)).collect();
            let decided = post(json!({"mentions": ids})).unwrap().decide(ThingId(id(9)), ItemId(id(2)), |user| user.0.as_u128() < readers, |_| Vec::new());
            prop_assert_eq!(decided.is_ok(), named.iter().all(|n| *n < readers));
        }
    }
}
