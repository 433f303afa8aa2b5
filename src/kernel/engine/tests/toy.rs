//! A record kind that can do everything a feature may do and everything it may not: what the engine's tests run.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::kernel::base::{ChannelId, Code, Fault, ItemId, PatientId, Refusal, SessionId, Stop, UserId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Boxed, Data, Event, Face, Feature, Ledger, Op, Read, Reply, Write};
use crate::kernel::log::{self, Cursor, Fact};
use crate::kernel::policy::{self, Audience, ChannelKind, Member, PersonKind, Right, Roles};
use crate::on_db;

pub const TABLES: &[&str] = &[
    "CREATE TABLE toy_state (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE toy_child (parent TEXT NOT NULL REFERENCES toy_state (name) DEFERRABLE INITIALLY DEFERRED)",
];
const STATE: &str = "INSERT INTO toy_state (name, value) VALUES ($1, $2)";
const ORPHAN: &str = "INSERT INTO toy_child (parent) VALUES ('nobody')";

const EVENTS: &[Event] = &[
    Event::of::<Value>("toy.opened"),
    Event::of::<Value>("toy.noted"),
    Event::of::<Value>("toy.left"),
    Event::of::<Value>("toy.archived"),
    Event::of::<Value>("toy.set"),
    Event::of::<Value>("toy.rung"),
];

const OPS: &[Op] = &[
    Op::write("toy.open", "toy"),
    Op::write("toy.note", "toy"),
    Op::write("toy.many", "toy"),
    Op::write("toy.refuse", "toy"),
    Op::write("toy.refuse_late", "toy"),
    Op::write("toy.fault", "toy"),
    Op::write("toy.fault_at_commit", "toy"),
    Op::write("toy.storage", "toy"),
    Op::write("toy.panic", "toy"),
    Op::write("toy.stray", "toy"),
    Op::write("toy.leave", "toy"),
    Op::write("toy.archive", "toy"),
    Op::write("toy.claim_repeat", "toy"),
    Op::write("toy.unasked", "toy"),
    Op::write("toy.state", "toy"),
    Op::write("toy.person", "toy"),
    Op::write("toy.end", "toy"),
    Op::write("toy.end_and_refuse", "toy"),
    Op::write("toy.tell", "toy"),
    Op::write("toy.set", "toy"),
    Op::write(RING, "toy").internal(),
    Op::write("toy.inside", "toy").internal(),
    Op::read("toy.page", "toy"),
    Op::read("toy.panic_reading", "toy"),
];

/// The op of the toy's alarm.
pub const RING: &str = "toy.ring";

pub struct Toy;

/// Body of `toy.set` and `toy.rung`.
#[derive(Serialize, Deserialize)]
struct Set {
    thing: Uuid,
    /// For when, if it is not to end.
    at: Option<i64>,
    /// The ring is refused.
    stubborn: bool,
}

#[derive(Serialize, Deserialize)]
struct Opened {
    id: Uuid,
    member: UserId,
    family: bool,
}

#[derive(Serialize, Deserialize)]
struct Noted {
    id: Uuid,
    text: String,
}

#[derive(Serialize, Deserialize)]
struct Left {
    member: UserId,
}

impl Toy {
    async fn note(cx: &mut Write<'_>, channel: ChannelId, text: &str) -> Result<Fact, Stop> {
        let noted = Noted { id: cx.new_id(), text: text.to_owned() };
        cx.record(channel, "toy.noted", kind::MESSAGE, Some(ItemId(noted.id)), noted.id, &noted).await
    }

    /// A patient, a channel, and a member who reads it.
    async fn open(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
        cx.permit_server(Right::RegisterPatient)?;
        if let Some(reply) = cx.repeated(ChannelId::ZERO).await? {
            return Ok(reply);
        }
        let fields = Fields(data);
        let (patient, channel) = (PatientId(cx.new_id()), ChannelId(cx.new_id()));
        let member = fields.id("member")?.unwrap_or(cx.subject().user);
        let family = fields.boolean("family")?.unwrap_or(false);
        cx.ledger().vault().clone().create_patient(patient).await?;
        cx.ledger().add_patient(patient).await?;
        cx.ledger().add_channel(patient, channel).await?;
        let opened = Opened { id: channel.0, member, family };
        cx.record(channel, "toy.opened", kind::CHANNEL, None, channel.0, &opened).await?;
        Ok(Reply::Recorded)
    }

    /// Everything that is written to one channel, after permit and key.
    async fn in_channel(cx: &mut Write<'_>, op: &'static str, channel: ChannelId, data: &Data) -> Result<Reply, Stop> {
        let text = Fields(data).string("text")?.unwrap_or_default();
        match op {
            "toy.note" => drop(Self::note(cx, channel, text).await?),
            "toy.many" => {
                Self::note(cx, channel, text).await?;
                for other in Fields(data).ids("others")? {
                    Self::note(cx, other, text).await?;
                }
            }
            "toy.refuse" => return Err(Refusal::conflict("Refused, as asked.").into()),
            "toy.refuse_late" => {
                Self::note(cx, channel, text).await?;
                return Err(Refusal::conflict("Refused, but late.").into());
            }
            "toy.fault" => {
                Self::note(cx, channel, text).await?;
                for _ in 0..2 {
                    on_db!(cx.ledger().change(), |c| sqlx::query(STATE)
                        .bind("twice")
                        .bind("")
                        .execute(c)
                        .await
                        .map(drop))?;
                }
            }
            "toy.fault_at_commit" => {
                Self::note(cx, channel, text).await?;
                on_db!(cx.ledger().change(), |c| sqlx::query(ORPHAN).execute(c).await.map(drop))?;
            }
            "toy.storage" => {
                Self::note(cx, channel, text).await?;
                return Err(Fault::Database(sqlx::Error::WorkerCrashed).into());
            }
            "toy.panic" => {
                Self::note(cx, channel, text).await?;
                panic!("as asked");
            }
            "toy.stray" => {
                Self::note(cx, Fields(data).required_id("other")?, text).await?;
            }
            "toy.leave" => {
                let left = Left { member: Fields(data).required_id("member")? };
                let id = cx.new_id();
                cx.record(channel, "toy.left", kind::MEMBERSHIP, None, id, &left).await?;
            }
            "toy.set" => {
                let fields = Fields(data);
                let (thing, at) = (fields.required_id("thing")?, fields.integer("at")?);
                let set = Set { thing, at, stubborn: fields.boolean("stubborn")?.unwrap_or(false) };
                let item = Some(ItemId(thing));
                let id = cx.new_id();
                cx.record(channel, "toy.set", kind::TASK, item, id, &set).await?;
            }
            "toy.archive" => {
                let id = cx.new_id();
                cx.record(channel, "toy.archived", kind::CHANNEL, None, id, &json!({})).await?;
            }
            "toy.claim_repeat" => {
                Self::note(cx, channel, text).await?;
                return Ok(Reply::Repeated(Data::new()));
            }
            _ => return Err(Fault::Defect("no such toy").into()),
        }
        Ok(Reply::Recorded)
    }

    /// The clock rings: said in the toy's newest channel of that patient, or refused if it is stubborn.
    async fn ring(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
        let Some(alarm) = cx.alarm(data).await? else { return Ok(Reply::Plain(Data::new())) };
        let access = cx.ledger().access(alarm.patient).await?.ok_or_else(Refusal::not_found)?;
        let channel = *access.channels.keys().next_back().ok_or_else(Refusal::not_found)?;
        let head = cx.ledger().head(channel).await?.ok_or_else(Refusal::not_found)?;
        let set: Set = cx.entry(channel, head.seq).await?.read()?;
        if set.stubborn {
            return Err(Refusal::conflict("Refused, as asked.").into());
        }
        cx.repeated(channel).await?;
        cx.alarm_done(&alarm).await?;
        let rung = Set { thing: alarm.thing, at: None, stubborn: false };
        let id = cx.new_id();
        cx.record(channel, "toy.rung", kind::TASK, Some(ItemId(alarm.thing)), id, &rung).await?;
        Ok(Reply::Recorded)
    }

    /// What records nothing.
    async fn state(cx: &mut Write<'_>, op: &'static str, data: &Data) -> Result<Reply, Stop> {
        cx.permit_server(Right::OwnAccount)?;
        let fields = Fields(data);
        let answer = json!({ "done": true }).as_object().cloned().unwrap_or_default();
        match op {
            "toy.state" => {
                let (name, value) = (fields.string("name")?.unwrap_or(""), fields.string("value")?.unwrap_or(""));
                on_db!(cx.ledger().change(), |c| sqlx::query(STATE).bind(name).bind(value).execute(c).await.map(drop))?;
            }
            "toy.person" => {
                let roles = Roles(i16::try_from(fields.required_integer("roles")?).unwrap_or_default());
                let active = fields.boolean("active")?.unwrap_or(true);
                let user = fields.required_id("user")?;
                cx.ledger().set_person(user, PersonKind::Practitioner, roles, active).await?;
            }
            "toy.end" => cx.ledger().end_session(SessionId(fields.required_id("session")?)),
            "toy.end_and_refuse" => {
                cx.ledger().end_session(SessionId(fields.required_id("session")?));
                return Err(Refusal::conflict("Refused, but late.").into());
            }
            "toy.tell" => cx.tell(fields.required_id("user")?, "assigned", &Data::new()).await?,
            _ => return Err(Fault::Defect("no such toy").into()),
        }
        Ok(Reply::Plain(answer))
    }
}

impl Feature for Toy {
    fn face(&self) -> Face {
        Face { name: "toy", ops: OPS, events: EVENTS, reacts_to: &[], clear: &[] }
    }

    fn write<'a>(&'a self, cx: &'a mut Write<'_>, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Reply, Stop>> {
        Box::pin(async move {
            match op {
                "toy.open" => return Self::open(cx, data).await,
                "toy.state" | "toy.person" | "toy.end" | "toy.end_and_refuse" | "toy.tell" => {
                    return Self::state(cx, op, data).await;
                }
                RING => return Self::ring(cx, data).await,
                "toy.inside" => return Ok(Reply::Plain(Data::new())),
                _ => {}
            }
            let channel = Fields(data).required_id("channel")?;
            cx.permit_channel(Right::Post, channel).await?;
            if op == "toy.unasked" {
                Self::note(cx, channel, "").await?;
                return Ok(Reply::Recorded);
            }
            if let Some(reply) = cx.repeated(channel).await? {
                return Ok(reply);
            }
            Self::in_channel(cx, op, channel, data).await
        })
    }

    fn read<'a>(&'a self, cx: &'a mut Read, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Value, Stop>> {
        Box::pin(async move {
            let channel = Fields(data).required_id("channel")?;
            let (_, access) = cx.permit_channel(Right::Read, channel).await?;
            assert_ne!(op, "toy.panic_reading", "as asked");
            let head = cx.head(channel).await?.ok_or(Fault::Integrity("no head"))?;
            let readable = access.channels[&channel].readable_by(cx.subject().user).unwrap_or_default();
            let spans = policy::spans(readable, 1, head.seq);
            let (tx, vault) = cx.log();
            let (facts, more) = log::page(tx, vault, &head, &spans, Cursor::Newest, 200).await?;
            cx.audit.seq = facts.first().zip(facts.last()).map(|(first, last)| [first.seq, last.seq]);
            Ok(json!({ "seqs": facts.iter().map(|fact| fact.seq).collect::<Vec<_>>(), "more": more }))
        })
    }

    fn project<'a>(&'a self, ledger: &'a mut Ledger, fact: &'a Fact) -> Boxed<'a, Result<(), Fault>> {
        Box::pin(async move {
            let (patient, channel) = (fact.patient, fact.channel);
            match &*fact.event {
                "toy.opened" => {
                    let Opened { member: user, family, .. } = fact.read()?;
                    let member = Member { family, lead: !family, ..Member::default() };
                    let audience = if family { Audience::Shared } else { Audience::Staff };
                    ledger.join(patient, fact.id.0, user, member, fact.at, Vec::new()).await?;
                    ledger.open_channel(patient, channel, audience, ChannelKind::Conversation).await?;
                    ledger.begin_reading(patient, channel, user, 1).await
                }
                "toy.left" => {
                    let Left { member } = fact.read()?;
                    ledger.end_reading(patient, channel, member, fact.seq).await?;
                    ledger.leave(patient, member, fact.at).await
                }
                "toy.set" => {
                    let Set { thing, at, .. } = fact.read()?;
                    ledger.set_alarm(thing, RING, patient, at).await
                }
                "toy.archived" => ledger.set_channel(patient, channel, Audience::Staff, true).await,
                _ => Ok(()),
            }
        })
    }

    fn reply(&self, fact: &Fact) -> Data {
        json!({ "event": &*fact.event }).as_object().cloned().unwrap_or_default()
    }
}

/// The code of a refusal, or `done`.
pub fn outcome(answer: &Result<Value, Refusal>) -> &'static str {
    answer.as_ref().map_or_else(|refusal| refusal.code.text(), |_| "done")
}

/// What each op is answered with by a member who may post.
pub fn expected(op: &str) -> &'static str {
    match op {
        "toy.refuse" => Code::Conflict.text(),
        "toy.note" | "toy.many" => "done",
        _ => Code::Internal.text(),
    }
}
