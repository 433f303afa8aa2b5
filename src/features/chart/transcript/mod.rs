//! The record as a person reads it: head, plan items discussed, each conversation in order, tasks, participants, what was changed, what is
//! left out, and how to check it. Form-independent: written to a [`Sheet`], entry by entry, so that memory stays flat. Two passes, as for
//! FHIR: the first learns what became of the entries, the second tells them as they stand.
//! Invariants: every entry that was asked for is told; what is withheld or left out is counted under "Gaps"; words that were taken back are
//! replaced by "Retracted by author" everywhere, in superseded versions too.

pub mod block;
mod body;
mod book;
pub mod chapters;
mod details;
mod gather;
pub mod html;
pub mod narrative;
mod page;
pub mod pdf;
mod people;
pub mod plain;
mod team;
mod tell;
#[cfg(test)]
pub mod tests;
mod work;

use std::collections::BTreeSet;

use super::export::Single;
use super::source::{Part, Source, Walk};
use super::{ExportRequest, ExportSummary, Out};
use crate::kernel::base::{ChannelId, Code, Fault, Refusal, Stop};
use crate::kernel::log::Fact;
use block::{Block, Chapter, Line, Sheet};
pub use body::{Body, told_time};
pub use book::{Book, Page};
use gather::Gathered;
use page::Beside;
use tell::Telling;

/// What a form tells besides what is new.
pub struct Besides {
    /// Entries that are told again, for what became of them.
    pub again: BTreeSet<(ChannelId, i64)>,
    /// Where the content of files is.
    pub files: Vec<Line>,
}

impl Besides {
    /// Of a form that has no place for files.
    fn readable() -> Self {
        let files = "Files are named with their size and SHA-256; their content goes with a proof.";
        Self { again: BTreeSet::new(), files: vec![Line::ours(files)] }
    }
}

/// Writes it as one page of HTML.
pub async fn html(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    out: &mut dyn Out,
) -> Result<(ExportSummary, [u8; 32]), Stop> {
    let gathered = Gathered::from(source, request, parts).await?;
    if request.preview {
        bounded("preview", gathered.summary.entries)?;
    }
    let file = Single::begin(out, "transcript.html")?;
    if is_nothing_new(request, gathered.summary) {
        return Ok((gathered.summary, file.finish()));
    }
    let mut page = html::Page::new(file);
    tell(source, request, parts, &Besides::readable(), &gathered, &mut page).await?;
    Ok((gathered.summary, page.finish()?))
}

/// Writes it on paper.
///
/// # Errors
/// `too_large` for more than [`pdf::ENTRIES_MAX`] entries.
pub async fn pdf(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    out: &mut dyn Out,
) -> Result<(ExportSummary, [u8; 32]), Stop> {
    let gathered = Gathered::from(source, request, parts).await?;
    bounded("PDF", gathered.summary.entries)?;
    if is_nothing_new(request, gathered.summary) {
        return Ok((gathered.summary, Single::begin(out, "transcript.pdf")?.finish()));
    }
    let mut pile = pdf::Pile::default();
    tell(source, request, parts, &Besides::readable(), &gathered, &mut pile).await?;
    let (now, progress) = (gathered.now, source.progress.clone());
    let printed = tokio::task::spawn_blocking(move || pile.print(now, &progress)).await;
    let bytes = printed.map_err(|_| Fault::Defect("a PDF could not be laid out"))??;
    let mut file = Single::begin(out, "transcript.pdf")?;
    file.write(&bytes)?;
    Ok((gathered.summary, file.finish()))
}

/// Whether a form that holds what is new has nothing to hold: then it is an empty file.
pub fn is_nothing_new(request: &ExportRequest, summary: ExportSummary) -> bool {
    request.since_last && summary.entries == 0 && !request.preview
}

/// More than a paper takes, or a page that is made to be looked at, is refused before it is laid out.
fn bounded(what: &str, entries: u64) -> Result<(), Refusal> {
    if entries <= pdf::ENTRIES_MAX {
        return Ok(());
    }
    let detail = format!(
        "A {what} holds at most {} entries, and these are {entries}. Take a part: `from` and `to` (--from, --to).",
        pdf::ENTRIES_MAX
    );
    Err(Refusal::new(Code::TooLarge).field("from").detail(&detail))
}

/// Tells a record to a sheet.
///
/// # Errors
/// What the record or the sheet refuses; then what was written is no transcript.
pub async fn write(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    besides: &Besides,
    sheet: &mut dyn Sheet,
) -> Result<ExportSummary, Stop> {
    let gathered = Gathered::from(source, request, parts).await?;
    tell(source, request, parts, besides, &gathered, sheet).await?;
    Ok(gathered.summary)
}

/// The second pass.
async fn tell(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    besides: &Besides,
    gathered: &Gathered,
    sheet: &mut dyn Sheet,
) -> Result<(), Stop> {
    let telling = Telling { gathered, beside: &Beside::default() };
    let again = |id| besides.again.range((id, i64::MIN)..=(id, i64::MAX)).map(|(_, seq)| [*seq, *seq]);
    let speaks = |id| gathered.counts_of(id).taken > 0 || again(id).next().is_some();
    let speaking: Vec<&Part> = parts.iter().filter(|part| speaks(part.begun.id)).collect();
    chapters::head(&telling, source, request, &speaking, sheet)?;
    chapters::attestation(&telling, request, sheet)?;
    chapters::items(&telling, request, sheet)?;
    for part in &speaking {
        let mut spans: Vec<[i64; 2]> = part.fresh.iter().copied().chain(again(part.begun.id)).collect();
        spans.sort_unstable();
        conversation(source, request, gathered, part, &spans, sheet).await?;
    }
    chapters::tasks(&telling, sheet)?;
    chapters::participants(&telling, parts, sheet)?;
    chapters::changes(source, &telling, parts, sheet).await?;
    chapters::gaps(&telling, parts, &besides.files, sheet)?;
    chapters::verification(&telling, request, parts, sheet)?;
    Ok(())
}

/// One channel's entries in their order.
async fn conversation(
    source: &Source<'_>,
    request: &ExportRequest,
    gathered: &Gathered,
    part: &Part,
    spans: &[[i64; 2]],
    sheet: &mut dyn Sheet,
) -> Result<(), Stop> {
    let channel = part.begun.id;
    let (anchor, title) = (chapters::anchor(channel), Line::theirs(gathered.channel_name(channel)));
    sheet.put(Block::Section { chapter: Chapter::Conversation(channel), anchor, title })?;
    sheet.put(Block::Paragraph(chapters::readers(gathered, part)))?;
    let mut walk = Walk::writing(source, channel, spans);
    loop {
        let facts = walk.next().await?;
        if facts.is_empty() {
            return Ok(());
        }
        let taken: Vec<&Fact> = facts.iter().filter(|fact| request.takes(fact, gathered.about.item(fact))).collect();
        let beside = Beside::of(source, gathered, &taken).await?;
        let telling = Telling { gathered, beside: &beside };
        for fact in taken {
            sheet.put(Block::Entry(Box::new(telling.entry(fact)?)))?;
        }
    }
}
