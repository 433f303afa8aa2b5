//! A message that went to the wrong patient: its words go where they belong, and are read no more where they do not.
//! Invariants: no entry of either record names anything of the other; what was moved, and before whose eyes it had come by then, is
//! kept beside the record, for the privacy officer.

mod report;
pub mod sql;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use report::list;

use self::sql::{ExposureRow, MisfiledRow};
use super::answers::{CHECKED_BACK, answers};
use super::ask::Marks;
use super::message::{Amended, Move, Posted, Standing};
use super::posting::{AMENDED, POSTED, RETRACTED, readable};
use super::receipts;
use super::shapes::{Exposed, Moved, Place};
use super::waiting;
use super::words::Words;
use crate::features::files;
use crate::kernel::base::{ChannelId, EntryId, Fault, Micros, Refusal, Stop, ThingId, UserId};
use crate::kernel::crypto::Purpose;
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::{Data, Ledger, Reply, Write};
use crate::kernel::log::{Fact, Thing, ThingKind, trail};
use crate::kernel::policy::Right;

/// The reason with which the old entry is retracted, and its content withheld.
pub const REASON: &str = "wrong_patient";
/// What the mover said is sealed once and never changes.
const REASON_REVISION: i64 = 1;

/// `message.move`: one commit writes the words into the one record and withholds them in the other.
pub async fn relocate(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let Move { message, channel, item, reason, files } = Move::parse(data)?;
    lock_both(cx.ledger(), message, channel).await?;
    let thing = readable(cx, message, &[ThingKind::Message]).await?.ok_or_else(Refusal::not_found)?;
    cx.permit_channel(Right::Read, thing.channel).await?;
    let to = cx.permit_channel(Right::Post, channel).await.map_err(of_channel)?;
    cx.about(message);
    if let Some(reply) = cx.repeated(channel).await? {
        return again(cx, reply).await;
    }
    cx.permit_channel(Right::Retract(thing.author), thing.channel).await?;
    if to.patient() == thing.patient {
        let detail = "This channel is of the same patient. Link the message to another item, or retract it.";
        return Err(Refusal::invalid("channel", detail).into());
    }
    // One that was taken back before is moved all the same: until then its words can be read here.
    if sql::get(cx.ledger().tx(), message).await?.is_some() {
        return Err(Refusal::conflict("This message is moved already.").into());
    }
    let standing = standing(&thing)?;
    let item = cx.link(&to, item).await?.item();
    let files = files::take(cx, &to, &files).await?;
    let Old { at, posted, words, seqs } = old(cx, &thing).await?;
    let exposed = exposed(cx.ledger(), &thing, at, &seqs).await?;
    let vault = cx.ledger().vault().clone();
    // Under the system's key: who answers for the move is asked after the record it left is shredded, too.
    let reason = vault.seal_system(Purpose::AuditText, message.0, REASON_REVISION, reason.as_bytes())?;

    let id = ThingId(cx.new_id());
    // Whoever moves the words writes them there: nobody is made to have written what they did not.
    let posted = posted.elsewhere(id, item, words, files.ids);
    let posted = waiting::timed(&cx.ledger().shared().config.asks, posted);
    let made = cx.record_with(channel, POSTED, kind::MESSAGE, Some(item), id.0, &posted, &files.commitments).await?;
    let retraction = EntryId(cx.new_id());
    let retracted = standing.withhold(retraction, REASON, seqs);
    let gone =
        cx.record(thing.channel, RETRACTED, kind::RETRACTION, Some(standing.item), retraction.0, &retracted).await?;
    let row = MisfiledRow {
        message,
        patient: thing.patient,
        channel: thing.channel,
        seq: thing.seq,
        retracted: gone.seq,
        author: thing.author,
        mover: gone.by,
        at: gone.at,
        moved: id,
        moved_patient: made.patient,
        moved_channel: made.channel,
        moved_seq: made.seq,
        reason,
    };
    let tx = cx.ledger().change();
    sql::add(tx, &row).await?;
    for one in &exposed {
        sql::add_exposure(tx, one).await?;
    }
    Ok(Reply::RecordedWith(told(&row, &exposed)?))
}

/// Both patients, in the order of their ids: two moves in opposite directions do not wait for each other.
async fn lock_both(ledger: &mut Ledger, message: ThingId, channel: ChannelId) -> Result<(), Fault> {
    let from = ledger.thing(message).await?.map(|thing| thing.patient);
    let mut patients: Vec<_> = from.into_iter().chain(ledger.patient_of(channel).await?).collect();
    patients.sort_unstable();
    for patient in patients {
        ledger.access(patient).await?;
    }
    Ok(())
}

/// A refusal about the channel the words are to go to.
fn of_channel(stop: Stop) -> Stop {
    match stop {
        Stop::Refused(refusal) => Stop::Refused(refusal.field("channel")),
        failed @ Stop::Failed(_) => failed,
    }
}

fn standing(thing: &Thing) -> Result<Standing, Fault> {
    let item = thing.item.ok_or(Fault::Integrity("a message without a plan item"))?;
    let Marks { form, ask } = Marks::from_number(thing.state);
    Ok(Standing { message: thing.id, form, retracted: !thing.open, item, ask })
}

/// A message as it stands, and where its content stands.
struct Old {
    at: Micros,
    posted: Posted,
    /// Those of the newest amendment.
    words: Words,
    /// Every entry with content of it, ascending.
    seqs: Vec<i64>,
}

/// What an amendment or answer names.
#[derive(Deserialize)]
struct Names {
    message: ThingId,
}

async fn old(cx: &mut Write<'_>, thing: &Thing) -> Result<Old, Stop> {
    let first = cx.entry(thing.channel, thing.seq).await?;
    let (at, posted): (Micros, Posted) = (first.at, first.read()?);
    let (mut words, mut seqs) = (posted.words.clone(), vec![thing.seq]);
    let id = thing.id;
    // A check-back says the message in other words; the other answers say nothing.
    let speaks = move |fact: &Fact| {
        let content = [AMENDED, CHECKED_BACK].contains(&&*fact.event);
        content && fact.read::<Names>().is_ok_and(|names| names.message == id)
    };
    for fact in cx.sequels(thing.channel, thing.seq, speaks).await? {
        seqs.push(fact.seq);
        if &*fact.event == AMENDED {
            words = fact.read::<Amended>()?.words;
        }
    }
    Ok(Old { at, posted, words, seqs })
}

/// Before whose eyes any of its entries had come, its author's aside: written out to a socket of theirs, in a page they asked for, marked
/// as read, or answered.
async fn exposed(
    ledger: &mut Ledger,
    thing: &Thing,
    posted_at: Micros,
    seqs: &[i64],
) -> Result<Vec<ExposureRow>, Fault> {
    let access = ledger.access(thing.patient).await?.ok_or(Fault::Integrity("a message of nobody's record"))?;
    let readers = access.channels.get(&thing.channel).map(|held| held.readers.keys().copied().collect::<Vec<_>>());
    let readers = readers.unwrap_or_default();
    let shared = ledger.shared().clone();
    let (message, channel) = (thing.id, thing.channel);
    let mut rows: BTreeMap<UserId, ExposureRow> = BTreeMap::new();
    let mut meet = |person, sent: Option<Micros>, read_at: Option<Micros>, has_read: bool| {
        let new = ExposureRow { message, person, sent: None, has_read: false, read_at: None };
        let row = rows.entry(person).or_insert(new);
        row.sent = [row.sent, sent].into_iter().flatten().min();
        row.read_at = [row.read_at, read_at].into_iter().flatten().min();
        row.has_read |= has_read || read_at.is_some();
    };
    let tx = ledger.tx();
    for seq in seqs {
        let receipts = receipts::of_entry(tx, &shared.roll.delivered, channel, *seq, readers.iter().copied()).await?;
        for (person, receipt) in receipts {
            meet(person, receipt.delivered_at, receipt.read_at, false);
        }
    }
    for (person, at) in trail::asked_for(tx, channel, seqs, posted_at).await? {
        meet(person, Some(at), None, false);
    }
    for person in sql::read_by(tx, channel, thing.seq).await? {
        meet(person, None, None, true);
    }
    for answer in answers(tx, message).await? {
        meet(answer.user, None, Some(answer.at), true);
    }
    rows.remove(&thing.author);
    Ok(rows.into_values().collect())
}

/// What the mover is told besides what a post is answered with.
fn told(row: &MisfiledRow, exposed: &[ExposureRow]) -> Result<Data, Fault> {
    let moved = Moved {
        retracted: Place { channel: row.channel, seq: row.retracted },
        exposed: exposed.iter().map(|one| Exposed::from(*one)).collect(),
    };
    match serde_json::to_value(moved) {
        Ok(serde_json::Value::Object(members)) => Ok(members),
        _ => Err(Fault::Defect("an answer is not JSON")),
    }
}

/// A repeat is told what was told the first time.
async fn again(cx: &mut Write<'_>, reply: Reply) -> Result<Reply, Stop> {
    const MISSING: Fault = Fault::Integrity("a moved message that is not in the list");
    let Reply::Repeated(mut data) = reply else { return Ok(reply) };
    let moved: Option<ThingId> = data.get("id").and_then(|id| id.as_str()?.parse().ok());
    let tx = cx.ledger().tx();
    let row = sql::of_moved(tx, moved.ok_or(MISSING)?).await?.ok_or(MISSING)?;
    let exposed = sql::exposures(tx, row.message).await?;
    data.extend(told(&row, &exposed)?);
    Ok(Reply::Repeated(data))
}
