//! The transcript on paper: PDF/A-2a and PDF/UA-1, with tags, an outline and its fonts inside, so that it reads the same in thirty years and
//! aloud. Made as a whole, not streamed; that is why its number of entries is bounded.
//! Does not know: the record.

mod leaves;
mod letters;
mod lines;
mod table;
#[cfg(test)]
mod tests;

use std::num::NonZeroU16;

use krilla::configure::{Accessibility, Archival, ConfigurationBuilder};
use krilla::destination::XyzDestination;
use krilla::geom::Point;
use krilla::metadata::{DateTime, Metadata};
use krilla::outline::{Outline, OutlineNode};
use krilla::tagging::{ListNumbering, Tag, TagGroup, TagTree};
use krilla::{Document, SerializeSettings};

use super::block::{Block, Entry, Line, Part, Run, Sheet, Sort};
use super::html::turns;
use crate::features::chart::Progress;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{Fault, Micros};
use leaves::{Leaves, Look};
use table::Table;

/// A transcript that is laid out when all of it is there: the library that makes pages stays on one thread.
#[derive(Default)]
pub struct Pile(Vec<Block>);

impl Sheet for Pile {
    fn put(&mut self, block: Block) -> Result<(), Fault> {
        self.0.push(block);
        Ok(())
    }
}

impl Pile {
    /// The document, made at that time.
    pub fn print(self, made: Micros, progress: &Progress) -> Result<Vec<u8>, Fault> {
        let mut paper = Paper::new(made)?;
        for block in self.0 {
            let entries = u64::from(matches!(block, Block::Entry(_)));
            paper.put(block)?;
            progress.written(entries);
        }
        paper.finish()
    }
}

/// Entries of one document: beyond it nobody reads a paper, and it would not fit into memory.
pub const ENTRIES_MAX: u64 = 10_000;

const TITLE: Look = Look { size: 18.0, bold: true, indent: 0.0, above: 0.0 };
const CHAPTER: Look = Look { size: 14.0, bold: true, indent: 0.0, above: 14.0 };
const HEADING: Look = Look { size: 10.0, bold: true, indent: 0.0, above: 8.0 };
const BODY: Look = Look { size: 9.5, bold: false, indent: 0.0, above: 2.0 };
const STRONG: Look = Look { size: 9.5, bold: true, indent: 0.0, above: 2.0 };
const WORDS: Look = Look { size: 9.5, bold: false, indent: 12.0, above: 3.0 };

/// A document in the making.
struct Paper {
    leaves: Leaves,
    /// The tags of the chapter that was begun last.
    chapter: TagGroup,
    chapters: Vec<TagGroup>,
    outline: Outline,
    title: String,
    table: Option<Table>,
    made: Micros,
}

/// A line with the runs of people isolated from what stands around them (U+2068, U+2069), where they may turn its direction: the text
/// layer holds the controls, too.
fn isolated(line: &Line) -> String {
    let runs = line.0.iter().map(|run| match run {
        Run::Theirs(text) if turns(text) => format!("\u{2068}{text}\u{2069}"),
        Run::Ours(text) | Run::Theirs(text) => text.clone(),
    });
    runs.collect()
}

fn heading(level: u16, title: &str) -> Tag<krilla::tagging::kind::Hn> {
    Tag::Hn(NonZeroU16::new(level).unwrap_or(NonZeroU16::MIN), Some(title.to_owned()))
}

impl Paper {
    /// An empty one, made at that time.
    fn new(made: Micros) -> Result<Self, Fault> {
        let configuration = ConfigurationBuilder::new()
            .with_archival_validator(Archival::A2_A)
            .with_accessibility_validator(Accessibility::UA1)
            .finish()
            .map_err(|_| Fault::Defect("PDF/A-2a and PDF/UA-1 do not go together"))?;
        let settings = SerializeSettings { configuration, ..SerializeSettings::default() };
        Ok(Self {
            leaves: Leaves::new(Document::new_with(settings))?,
            chapter: TagGroup::new(Tag::Section),
            chapters: Vec::new(),
            outline: Outline::new(),
            title: String::new(),
            table: None,
            made,
        })
    }

    /// The bytes of the document.
    fn finish(mut self) -> Result<Vec<u8>, Fault> {
        let uncovered = self.leaves.uncovered();
        if uncovered > 0 {
            let note = format!(
                "Characters that this document has no shape for: {uncovered}. Each is shown as a box and is itself in the text of the document, to be found and copied."
            );
            self.paragraph(&note, BODY)?;
        }
        self.chapters.push(self.chapter);
        let (mut document, leaves) = self.leaves.finish()?;
        let mut tree = TagTree::new().with_lang(Some("en".into()));
        for mut chapter in self.chapters {
            leaves.fill(&mut chapter);
            if !chapter.children.is_empty() {
                tree.push(chapter);
            }
        }
        document.set_tag_tree(tree);
        document.set_outline(self.outline);
        document.set_metadata(metadata(&self.title, self.made));
        document.finish().map_err(|error| {
            // The kind of error names no text.
            tracing::error!(error.kind = kind(&error), "A transcript on paper could not be made");
            Fault::Defect("a PDF was refused by its own rules")
        })
    }

    fn paragraph(&mut self, text: &str, look: Look) -> Result<(), Fault> {
        let block = self.leaves.put(text, look)?;
        self.chapter.push(leaves::held(Tag::P, block));
        Ok(())
    }

    fn list(&mut self, lines: impl IntoIterator<Item = String>) -> Result<(), Fault> {
        let mut list = TagGroup::new(Tag::L(ListNumbering::Disc));
        for line in lines {
            let block = self.leaves.put(&format!("• {line}"), WORDS)?;
            let body = leaves::held(Tag::LBody, block);
            list.push(TagGroup::with_children(Tag::LI, vec![body.into()]));
        }
        if !list.children.is_empty() {
            self.chapter.push(list);
        }
        Ok(())
    }

    fn heading(&mut self, level: u16, text: &str, look: Look) -> Result<(), Fault> {
        let block = self.leaves.put(text, look)?;
        self.chapter.push(leaves::held(heading(level, text), block));
        Ok(())
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Fault> {
        let title = format!("No. {}: {}", entry.number, isolated(&entry.heading));
        let quiet = matches!(entry.sort, Sort::Mark | Sort::Event);
        self.heading(3, &title, if quiet { Look { size: 9.5, ..HEADING } } else { HEADING })?;
        self.paragraph(&format!("{}, {}", entry.time, isolated(&entry.author)), BODY)?;
        if let Some(item) = &entry.item {
            self.paragraph(&format!("Care plan item: {}", isolated(item)), BODY)?;
        }
        for mark in &entry.marks {
            self.paragraph(&isolated(mark), STRONG)?;
        }
        for part in entry.parts.iter().chain(&entry.later) {
            match part {
                Part::Words { name, text } => {
                    if let Some(name) = name {
                        self.paragraph(name, STRONG)?;
                    }
                    self.paragraph(text, WORDS)?;
                }
                Part::Notice(notice) => self.paragraph(&isolated(notice), WORDS)?,
                Part::List { name, lines } => {
                    self.paragraph(name, STRONG)?;
                    self.list(lines.iter().map(isolated))?;
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, title: &Line) -> Result<(), Fault> {
        let before = std::mem::replace(&mut self.chapter, TagGroup::new(Tag::Section));
        self.chapters.push(before);
        let text = isolated(title);
        self.heading(2, &text, CHAPTER)?;
        let place = XyzDestination::new(self.leaves.page(), Point::from_xy(0.0, 0.0));
        self.outline.push_child(OutlineNode::new(title.plain(), place));
        Ok(())
    }
}

fn metadata(title: &str, made: Micros) -> Metadata {
    let text = rfc3339(made);
    let number =
        |from: usize, to: usize| text.get(from..to).and_then(|digits| digits.parse::<u16>().ok()).unwrap_or_default();
    let small = |from: usize| u8::try_from(number(from, from + 2)).unwrap_or_default();
    let date =
        DateTime::new(number(0, 4)).month(small(5)).day(small(8)).hour(small(11)).minute(small(14)).second(small(17));
    let date = date.utc_offset_hour(0).utc_offset_minute(0);
    Metadata::new().title(title.to_owned()).language("en".into()).creator("Carethread".into()).creation_date(date)
}

/// What went wrong, without what it went wrong with.
fn kind(error: &krilla::error::KrillaError) -> &'static str {
    use krilla::error::KrillaError as E;
    match error {
        E::Font(..) => "font",
        E::Validation(_) => "validation",
        E::Limit(_) => "limit",
        _ => "other",
    }
}

impl Paper {
    /// The next piece.
    fn put(&mut self, block: Block) -> Result<(), Fault> {
        match block {
            Block::Title(title, _) => {
                self.title = title.plain();
                self.leaves.call(&self.title);
                self.heading(1, &isolated(&title), TITLE)
            }
            Block::Section { title, .. } => self.begin(&title),
            Block::Paragraph(text) => self.paragraph(&isolated(&text), BODY),
            Block::Facts(facts) => self.list(facts.iter().map(|(name, value)| format!("{name}: {}", isolated(value)))),
            Block::Table { caption, columns } => {
                self.table = Some(Table::new(caption, columns));
                Ok(())
            }
            Block::Row(cells) => {
                if let Some(table) = &mut self.table {
                    table.push(cells.iter().map(isolated).collect());
                }
                Ok(())
            }
            Block::TableEnd => {
                if let Some(table) = self.table.take() {
                    let tagged = table.lay(&mut self.leaves)?;
                    self.chapter.push(tagged);
                }
                Ok(())
            }
            Block::Entry(entry) => self.entry(&entry),
            Block::Verbatim(text) => self.paragraph(&text, WORDS),
        }
    }
}
