//! The record as a person reads it: head, plan items discussed, each conversation in order, tasks, participants, what was changed, what is
//! left out, and how to check it. Form-independent: written to a [`Sheet`], entry by entry, so that memory stays flat. Two passes, as for
//! FHIR: the first learns what became of the entries, the second tells them as they stand.
//! Invariants: every entry that was asked for is told; what is withheld or left out is counted under "Gaps"; words that were taken back are
//! replaced by "Retracted by author" everywhere, in superseded versions too.

pub mod block;
mod body;
mod book;
mod chapters;
mod details;
mod gather;
pub mod html;
#[expect(dead_code, reason = "the section texts of the document Bundle are going to be made of it")]
pub mod narrative;
mod page;
pub mod pdf;
mod people;
pub mod plain;
mod tell;
#[cfg(test)]
pub mod tests;
mod work;

use super::export::Single;
use super::source::{Part, Source, Walk};
use super::{ExportRequest, ExportSummary, Out};
use crate::kernel::base::{Code, Fault, Refusal, Stop};
use crate::kernel::log::Fact;
use block::{Block, Chapter, Line, Sheet};
pub use body::Body;
pub use book::{Book, Page};
use gather::Gathered;
use page::Beside;
use tell::Telling;

/// Somebody stands for what is filed.
pub struct Attestation {
    /// Name, profession, role, as they stood then.
    pub who: String,
    /// When, RFC 3339.
    pub at: String,
    /// What they declared.
    pub statement: String,
}

/// Writes it as one page of HTML.
pub async fn html(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    out: &mut dyn Out,
) -> Result<(ExportSummary, [u8; 32]), Stop> {
    let mut page = html::Page::new(Single::begin(out, "transcript.html")?);
    let summary = write(source, request, parts, &[], &mut page).await?;
    Ok((summary, page.finish()?))
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
    if gathered.summary.entries > pdf::ENTRIES_MAX {
        let detail = format!(
            "A PDF holds at most {} entries, and these are {}. Take a part: `from` and `to` (--from, --to).",
            pdf::ENTRIES_MAX,
            gathered.summary.entries
        );
        return Err(Refusal::new(Code::TooLarge).field("from").detail(&detail).into());
    }
    let mut pile = pdf::Pile::default();
    tell(source, request, parts, &[], &gathered, &mut pile).await?;
    let (now, progress) = (gathered.now, source.progress.clone());
    let printed = tokio::task::spawn_blocking(move || pile.print(now, &progress)).await;
    let bytes = printed.map_err(|_| Fault::Defect("a PDF could not be laid out"))??;
    let mut file = Single::begin(out, "transcript.pdf")?;
    file.write(&bytes)?;
    Ok((gathered.summary, file.finish()))
}

/// Tells a record to a sheet.
///
/// # Errors
/// What the record or the sheet refuses; then what was written is no transcript.
pub async fn write(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    attestations: &[Attestation],
    sheet: &mut dyn Sheet,
) -> Result<ExportSummary, Stop> {
    let gathered = Gathered::from(source, request, parts).await?;
    tell(source, request, parts, attestations, &gathered, sheet).await?;
    Ok(gathered.summary)
}

/// The second pass.
async fn tell(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    attestations: &[Attestation],
    gathered: &Gathered,
    sheet: &mut dyn Sheet,
) -> Result<(), Stop> {
    let telling = Telling { gathered, beside: &Beside::default() };
    let speaking: Vec<&Part> = parts.iter().filter(|part| gathered.counts_of(part.begun.id).taken > 0).collect();
    chapters::head(&telling, source, request, &speaking, attestations, sheet)?;
    chapters::items(&telling, sheet)?;
    for part in &speaking {
        conversation(source, request, gathered, part, sheet).await?;
    }
    chapters::tasks(&telling, sheet)?;
    chapters::participants(&telling, parts, sheet)?;
    chapters::changes(source, &telling, parts, sheet).await?;
    chapters::gaps(&telling, parts, sheet)?;
    chapters::verification(&telling, parts, sheet)?;
    Ok(())
}

/// One channel's entries in their order.
async fn conversation(
    source: &Source<'_>,
    request: &ExportRequest,
    gathered: &Gathered,
    part: &Part,
    sheet: &mut dyn Sheet,
) -> Result<(), Stop> {
    let channel = part.begun.id;
    let (anchor, title) = (chapters::anchor(channel), Line::theirs(gathered.channel_name(channel)));
    sheet.put(Block::Section { chapter: Chapter::Conversation(channel), anchor, title })?;
    sheet.put(Block::Paragraph(chapters::readers(gathered, part)))?;
    let mut walk = Walk::writing(source, channel, &part.fresh);
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
