//! What an export is written from: pages of the record, decided anew at each, and the plan of what to take of each channel.

use std::collections::HashMap;

use serde::Deserialize;

use super::coverage::{Coverage, common};
use super::filing::{self, Begun, BegunChannel};
use super::{ExportRequest, Format, Progress, sql};
use crate::kernel::base::{ChannelId, Fault, ItemId, Micros, PatientId, Refusal, Stop, ThingId};
use crate::kernel::crypto::chain;
use crate::kernel::engine::{Engine, Read};
use crate::kernel::log::{self, Fact};
use crate::kernel::policy::{Right, Subject};

/// Entries of one page: what is held in memory at once.
const PAGE: i64 = 500;

/// One channel of an export.
pub(super) struct Part {
    /// The channel, as its head was signed.
    pub begun: BegunChannel,
    /// What was asked for and may be read.
    pub window: Vec<[i64; 2]>,
    /// Of that, what is to be written.
    pub fresh: Vec<[i64; 2]>,
    /// What this form had before.
    pub coverage: Coverage,
}

/// What messages are about that were linked to another plan item after they were posted.
#[derive(Default)]
pub(super) struct About(HashMap<ThingId, ItemId>);

impl About {
    /// The plan item an entry is about now.
    pub fn item(&self, fact: &Fact) -> Option<ItemId> {
        self.0.get(&ThingId(fact.id.0)).copied().or(fact.item)
    }
}

/// What a re-link names.
#[derive(Deserialize)]
struct Named {
    message: ThingId,
}

/// The record of one patient as one caller may read it.
pub(super) struct Source<'e> {
    pub engine: &'e Engine,
    pub subject: &'e Subject,
    pub patient: PatientId,
    /// By which it is read.
    pub right: Right,
    pub progress: Progress,
}

impl Source<'_> {
    /// A snapshot, after asking again whether this patient may be exported.
    pub async fn read(&self) -> Result<Read, Stop> {
        let mut cx = self.engine.reader(self.subject.clone()).await?;
        cx.permit_patient(self.right, self.patient).await?;
        Ok(cx)
    }

    /// The plan of an export, channels ascending.
    pub async fn parts(&self, request: &ExportRequest, begun: Begun) -> Result<Vec<Part>, Stop> {
        let mut cx = self.read().await?;
        let mut parts = Vec::with_capacity(begun.channels.len());
        for begun in begun.channels {
            let coverage = sql::coverage(cx.tx(), self.patient, &request.key(), begun.id).await?;
            let window = if begun.chosen {
                common(&begun.readable, &[span(&mut cx, request, begun.id, begun.size).await?])
            } else {
                Vec::new()
            };
            let fresh = if request.since_last { coverage.missing(&window) } else { window.clone() };
            parts.push(Part { begun, window, fresh, coverage });
        }
        parts.sort_by_key(|part| part.begun.id);
        Ok(parts)
    }

    /// Lets it be seen how far the form comes.
    pub fn reckon(&self, format: Format, parts: &[Part]) {
        let entries = length(parts.iter().flat_map(|part| &part.fresh));
        let (passes, to_read) = match format {
            Format::Ndjson => (1, 0),
            Format::Proof => (1, parts.iter().map(|part| part.begun.size.unsigned_abs()).sum()),
            // Told, and laid out.
            Format::Pdf => (2, length(parts.iter().flat_map(|part| &part.begun.readable))),
            _ => (1, length(parts.iter().flat_map(|part| &part.begun.readable))),
        };
        self.progress.begin(entries, passes, to_read);
    }

    /// What the messages of these parts are about now, where that was asked for.
    pub async fn about(&self, request: &ExportRequest, parts: &[Part]) -> Result<About, Stop> {
        let mut about = About::default();
        if request.items.is_none() {
            return Ok(about);
        }
        for part in parts {
            let mut walk = Walk::new(self, part.begun.id, &part.begun.readable);
            loop {
                let facts = walk.next().await?;
                if facts.is_empty() {
                    break;
                }
                for fact in facts.iter().filter(|fact| &*fact.event == "message.relinked") {
                    let Named { message } = fact.read()?;
                    about.0.extend(fact.item.map(|item| (message, item)));
                }
            }
        }
        Ok(about)
    }

    /// Entries with `after < seq <= to`, at most a page. What the caller may read is decided again.
    pub async fn page(&self, channel: ChannelId, after: i64, to: i64) -> Result<Vec<Fact>, Stop> {
        let mut cx = self.engine.reader(self.subject.clone()).await?;
        let (permit, access) = cx.permit_patient(self.right, self.patient).await?;
        let scope = filing::scope(self.subject, &permit, &access, cx.now());
        if !scope.iter().any(|(id, _)| *id == channel) {
            return Err(Refusal::not_found().into());
        }
        let head = cx.head(channel).await?.ok_or(Fault::Integrity("a channel without a head"))?;
        let (tx, vault) = cx.log();
        let facts = log::since(tx, vault, &head, after, to, PAGE).await?;
        for fact in &facts {
            // What is withheld was held against its commitment where its content was taken out.
            if !fact.withheld && chain::commit(&fact.r, fact.body.get().as_bytes()) != fact.commitment {
                tracing::error!(channel.id = %channel, seq = fact.seq, "An entry to be exported is not what was committed to");
                return Err(Fault::Integrity("an entry is not what was committed to").into());
            }
        }
        Ok(facts)
    }
}

/// The entries of a channel between the times asked for, of the first `size`.
pub(super) async fn span(
    cx: &mut Read,
    request: &ExportRequest,
    channel: ChannelId,
    size: i64,
) -> Result<[i64; 2], Stop> {
    let head = cx.head(channel).await?.ok_or(Fault::Integrity("a channel without a head"))?;
    let mut first_at = async |at: Micros| log::sql::first_after(cx.tx(), head.n, at).await;
    let from = match request.from {
        Some(from) => first_at(from).await?.unwrap_or(i64::MAX),
        None => 1,
    };
    let to = match request.to {
        Some(to) => first_at(to.saturating_add(1)).await?.map_or(size, |behind| behind - 1),
        None => size,
    };
    Ok([from, to.min(size)])
}

fn length<'a>(spans: impl Iterator<Item = &'a [i64; 2]>) -> u64 {
    spans.map(|[from, to]| (to - from + 1).max(0).unsigned_abs()).sum()
}

/// A walk over spans of one channel, page after page.
pub(super) struct Walk<'s, 'e> {
    source: &'s Source<'e>,
    channel: ChannelId,
    spans: Vec<[i64; 2]>,
    at: usize,
    after: i64,
    writes: bool,
}

impl<'s, 'e> Walk<'s, 'e> {
    /// Over those spans, ascending.
    pub fn new(source: &'s Source<'e>, channel: ChannelId, spans: &[[i64; 2]]) -> Self {
        Self { source, channel, spans: spans.to_vec(), at: 0, after: 0, writes: false }
    }

    /// One whose entries are written as they come, and not read for what is written later.
    pub fn writing(source: &'s Source<'e>, channel: ChannelId, spans: &[[i64; 2]]) -> Self {
        Self { writes: true, ..Self::new(source, channel, spans) }
    }

    /// The next page; empty at the end.
    pub async fn next(&mut self) -> Result<Vec<Fact>, Stop> {
        while let Some([from, to]) = self.spans.get(self.at) {
            let after = self.after.max(from - 1);
            if after < *to {
                let facts = self.source.page(self.channel, after, *to).await?;
                self.after = facts.last().ok_or(Fault::Integrity("an entry is missing in a channel"))?.seq;
                let count = facts.len() as u64;
                if self.writes {
                    self.source.progress.written(count)
                } else {
                    self.source.progress.read(count)
                }
                return Ok(facts);
            }
            self.at += 1;
        }
        Ok(Vec::new())
    }
}
