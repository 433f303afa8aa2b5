//! What a transcript is made of, whatever it is written as: headings, lines, tables, entries, in reading order.
//! Does not know: markup, pages, the record. Invariant: what people wrote stands in runs of its own, so that every form can escape it, and
//! keep its direction of writing from what stands around it.

use crate::kernel::base::{ChannelId, Fault};

/// Some words of a line.
#[derive(Clone, PartialEq, Eq)]
pub enum Run {
    /// The transcript's own.
    Ours(String),
    /// Somebody's: names, titles, reasons.
    Theirs(String),
}

/// One line of text. No `Debug`: it holds who the patient is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Line(pub Vec<Run>);

impl Line {
    /// Words of ours.
    #[must_use]
    pub fn ours(text: impl Into<String>) -> Self {
        Self(vec![Run::Ours(text.into())])
    }

    /// Somebody's words.
    #[must_use]
    pub fn theirs(text: impl Into<String>) -> Self {
        Self(vec![Run::Theirs(text.into())])
    }

    /// Words of ours behind it.
    #[must_use]
    pub fn and(mut self, text: impl Into<String>) -> Self {
        self.0.push(Run::Ours(text.into()));
        self
    }

    /// Somebody's words behind it.
    #[must_use]
    pub fn told(mut self, text: impl Into<String>) -> Self {
        self.0.push(Run::Theirs(text.into()));
        self
    }

    /// Another line behind it.
    #[must_use]
    pub fn with(mut self, line: Self) -> Self {
        self.0.extend(line.0);
        self
    }

    /// Several, with something between them.
    #[must_use]
    pub fn joined(lines: impl IntoIterator<Item = Self>, between: &str) -> Self {
        let mut all = Self::default();
        for line in lines {
            if !all.0.is_empty() {
                all = all.and(between);
            }
            all = all.with(line);
        }
        all
    }

    /// Nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plain().is_empty()
    }

    /// As one text.
    #[must_use]
    pub fn plain(&self) -> String {
        let runs = self.0.iter().map(|run| match run {
            Run::Ours(text) | Run::Theirs(text) => text.as_str(),
        });
        runs.collect()
    }
}

/// Which part of a transcript a section is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Chapter {
    /// Patient, period, who exported.
    Head,
    /// Who stands for it.
    Attestation,
    /// Care plan items discussed.
    Items,
    /// One channel's entries.
    Conversation(ChannelId),
    /// Tasks as they stand.
    Tasks,
    /// People, their part and their membership.
    Participants,
    /// Superseded versions, retractions, links to other items.
    Changes,
    /// What is not shown, and why.
    Gaps,
    /// How to hold it against the record.
    Verification,
}

/// What an entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// A message or a check-back.
    Message,
    /// A discussion outside, and what was said of it later.
    Discussion,
    /// A task was made or changed.
    Task,
    /// A handoff.
    Handoff,
    /// A check-in.
    CheckIn,
    /// A correction or an answer without words: it names another entry.
    Mark,
    /// Plan, team, channel, filing.
    Event,
}

/// Something an entry says.
#[derive(Clone, PartialEq, Eq)]
pub enum Part {
    /// What somebody wrote; `name` says what it is where that is not plain.
    Words {
        /// Such as "Synthesis".
        name: Option<String>,
        /// Line ends are kept.
        text: String,
    },
    /// What stands in place of words that are not shown.
    Notice(Line),
    /// A list under a name.
    List {
        /// Such as "Files".
        name: String,
        /// At least one.
        lines: Vec<Line>,
    },
}

/// One entry of the record as a person reads it.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its own id in the document.
    pub anchor: String,
    /// The channel.
    pub channel: ChannelId,
    /// What it is.
    pub sort: Sort,
    /// Place in the channel.
    pub number: i64,
    /// With zone.
    pub time: String,
    /// Name, profession, role.
    pub author: Line,
    /// The plan item it is about now.
    pub item: Option<Line>,
    /// What happened: "Message", "Telephone call".
    pub heading: Line,
    /// What has to be known beside the words: priority, what was asked, delay, corrections.
    pub marks: Vec<Line>,
    /// What it says.
    pub parts: Vec<Part>,
    /// What became of it later, as it stands when the transcript is written: receipts, states. The same entry has others tomorrow.
    pub later: Vec<Part>,
}

/// The next piece of a transcript.
pub enum Block {
    /// The document begins: its title, and its sections as they follow (anchor, title).
    Title(Line, Vec<(String, Line)>),
    /// A section begins.
    Section {
        /// Which.
        chapter: Chapter,
        /// Its id in the document.
        anchor: String,
        /// Its heading.
        title: Line,
    },
    /// A line of its own.
    Paragraph(Line),
    /// Names and what they stand for.
    Facts(Vec<(String, Line)>),
    /// A table begins.
    Table {
        /// What it shows.
        caption: String,
        /// Names of its columns.
        columns: Vec<String>,
    },
    /// One row of the table that was begun last.
    Row(Vec<Line>),
    /// The table ends.
    TableEnd,
    /// One entry.
    Entry(Box<Entry>),
    /// Text of fixed form, such as a signed note.
    Verbatim(String),
}

/// Takes a transcript in reading order.
pub trait Sheet: Send {
    /// The next piece.
    ///
    /// # Errors
    /// It cannot be written.
    fn put(&mut self, block: Block) -> Result<(), Fault>;
}
