//! The record as documents in messages of HL7 v2.5.1, one file each. A note of a discussion outside is a document; its addenda and
//! disputes add to it. What else was said of one plan item in one channel on one day (UTC) is a document; a long day is several, cut at
//! fixed places of the channel, so that the next export cuts alike. A document that the receiver has and that grew or was corrected comes
//! as a replacement, whole. Events of plan, team and channel are no documents: a chart has no reader for them.
//! Does not know: MLLP, connections, who receives it.

pub mod ack;
pub mod acknowledged;
mod compose;
pub mod message;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::source::{Part, Source, Walk};
use super::transcript::block::{Entry, Sort};
use super::transcript::{Book, Page};
use super::{ExportRequest, ExportSummary, Out};
use crate::kernel::base::config::Hl7v2;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{ChannelId, Fault, ItemId, Micros, Stop, ThingId};
use crate::kernel::crypto::Hasher;
use crate::kernel::log::Fact;
use acknowledged::{Acknowledged, original, stamp};
use compose::Composer;
use message::{Document, message};
use uuid::Uuid;

/// Entries of a channel that may stand in one document: a document stays something a person reads, and fits into memory.
const BLOCK: i64 = 250;

/// Writes one message a file.
pub async fn export(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    out: &mut dyn Out,
) -> Result<(ExportSummary, [u8; 32]), Stop> {
    let mut files = Files { out, hasher: Hasher::default(), written: 0 };
    let settings = settings(source, request);
    let had = Acknowledged::default();
    let summary = documents(source, request, parts, &had, &mut |document, patient, now| {
        files.write(&message(&document, patient, &settings, now))
    })
    .await?;
    Ok((summary, files.hasher.finish()))
}

/// One message that is to be sent.
pub struct Message {
    /// The number its document was first sent under.
    pub original: Uuid,
    /// What is kept of its state once it is acknowledged.
    pub stamp: String,
    /// The same whenever it is sent.
    pub bytes: Vec<u8>,
}

/// The messages that a receiver lacks of an export, held against what it `had`.
///
/// # Errors
/// What the record refuses.
pub async fn messages(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    had: &Acknowledged,
) -> Result<(ExportSummary, Vec<Message>), Stop> {
    let (settings, mut messages) = (settings(source, request), Vec::new());
    let summary = documents(source, request, parts, had, &mut |document, patient, now| {
        let bytes = message(&document, patient, &settings, now);
        messages.push(Message { original: original(&document), stamp: stamp(&document), bytes });
        Ok(())
    })
    .await?;
    Ok((summary, messages))
}

/// As the site sends messages, and as the receiver of these takes them.
fn settings(source: &Source<'_>, request: &ExportRequest) -> Hl7v2 {
    let config = &source.engine.shared().config;
    config.export.hl7v2.towards(request.target.as_deref().and_then(|name| config.targets.get(name)))
}

/// Numbered files, hashed one after the other.
struct Files<'o> {
    out: &'o mut dyn Out,
    hasher: Hasher,
    written: u64,
}

impl Files<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.written += 1;
        self.out.begin_file(&format!("{:04}.hl7", self.written))?;
        self.hasher.update(bytes);
        Ok(self.out.write(bytes)?)
    }
}

/// Takes a document of a patient and the time of the export.
type Taker<'t> = dyn FnMut(Document, &message::Patient, Micros) -> Result<(), Fault> + Send + 't;

/// Every document of an export that the receiver lacks, in the order of channels and entries.
async fn documents(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    had: &Acknowledged,
    taker: &mut Taker<'_>,
) -> Result<ExportSummary, Stop> {
    let book = Book::open(source, request, parts).await?;
    let summary = book.summary();
    let changed = || request.replaces() || parts.iter().any(|part| book.is_changed_again(part));
    if summary.entries == 0 && !changed() {
        return Ok(summary);
    }
    let (partial, replaces) = (request.is_partial(), request.replaces());
    for part in parts {
        let composer = Composer::new(source, request, &book, part.begun.id, had);
        let taker: &mut Taker<'_> = &mut |document, patient, now| match had.lacks(&document, partial, replaces) {
            true => taker(document, patient, now),
            false => Ok(()),
        };
        channel(source, request, &composer, part, taker).await?;
    }
    Ok(summary)
}

/// What stands in one document beside a channel: a day, a place in the channel, an item.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    day: [u8; 10],
    block: i64,
}

impl Key {
    fn of(fact: &Fact) -> Self {
        let text = rfc3339(fact.at);
        let mut day = [b'0'; 10];
        day.copy_from_slice(&text.as_bytes()[..10]);
        Self { day, block: fact.seq / BLOCK }
    }

    fn day(&self) -> &str {
        std::str::from_utf8(&self.day).unwrap_or_default()
    }
}

/// A document of a conversation in the making.
#[derive(Default)]
struct Group {
    entries: Vec<(Fact, Entry)>,
    /// Something of it is new, or is changed and had before.
    touched: bool,
    /// The receiver has some of it.
    had: bool,
    version: i64,
}

async fn channel(
    source: &Source<'_>,
    request: &ExportRequest,
    composer: &Composer<'_>,
    part: &Part,
    taker: &mut Taker<'_>,
) -> Result<(), Stop> {
    let book = composer.book();
    let mut groups: BTreeMap<ItemId, Group> = BTreeMap::new();
    let mut key = None;
    let mut walk = Walk::writing(source, part.begun.id, &part.window);
    loop {
        let facts = walk.next().await?;
        if facts.is_empty() {
            return Ok(flush(composer, &mut groups, key, taker)?);
        }
        let taken: Vec<&Fact> = facts.iter().filter(|fact| book.takes(request, fact)).collect();
        let page = Page::read(source, book, &taken).await?;
        for fact in taken {
            let now = Some(Key::of(fact));
            if now != key {
                flush(composer, &mut groups, key, taker)?;
                key = now;
            }
            let entry = page.entry(book, fact)?;
            let state = State::of(book, request, part, fact);
            match entry.sort {
                Sort::Event => {}
                Sort::Discussion => {
                    // What was added to a note stands as it was sent: nothing takes its place.
                    if state.touched && (&*fact.event == "note.logged" || !state.had) {
                        let document = composer.note(fact, &entry, state.version, state.had)?;
                        taker(document, composer.patient(), composer.now())?;
                    }
                }
                Sort::Message | Sort::Task | Sort::Handoff | Sort::CheckIn | Sort::Mark => {
                    let group = groups.entry(composer.item(fact)).or_default();
                    group.touched |= state.touched;
                    group.had |= state.had;
                    group.version = group.version.max(state.version);
                    group.entries.push((fact.clone(), entry));
                }
            }
        }
    }
}

fn flush(
    composer: &Composer<'_>,
    groups: &mut BTreeMap<ItemId, Group>,
    key: Option<Key>,
    taker: &mut Taker<'_>,
) -> Result<(), Fault> {
    let Some(key) = key else { return Ok(()) };
    for (item, group) in std::mem::take(groups) {
        if group.touched && !group.entries.is_empty() {
            taker(composer.conversation(item, key.day(), key.block, &group), composer.patient(), composer.now())?;
        }
    }
    Ok(())
}

/// What the receiver has of an entry.
struct State {
    touched: bool,
    had: bool,
    version: i64,
}

impl State {
    fn of(book: &Book, request: &ExportRequest, part: &Part, fact: &Fact) -> Self {
        let newest = book.newest_change(ThingId(fact.id.0));
        let horizon = part.coverage.horizon(fact.seq);
        let fresh = part.fresh.iter().any(|[from, to]| (*from..=*to).contains(&fact.seq));
        let changed = horizon.is_some_and(|had| newest.is_some_and(|newest| newest > had));
        Self {
            touched: fresh || changed || request.replaces(),
            had: horizon.is_some(),
            version: newest.unwrap_or(0).max(fact.seq),
        }
    }
}

/// The id of a document of a conversation: the same in every export.
fn conversation_id(channel: ChannelId, item: ItemId, day: &str, block: i64) -> Uuid {
    Uuid::new_v5(&channel.0, format!("{item} {day} {block}").as_bytes())
}
