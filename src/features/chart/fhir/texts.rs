//! The transcript as the section texts of a document: taken as it is told, each piece into the section it belongs to, as markup of a
//! *Narrative* (FHIR R4). So a document says what the page and the paper say. Does not know: resources, the record.

use std::collections::HashMap;

use crate::features::chart::transcript::block::{Block, Chapter, Entry, Line, Sheet, Sort};
use crate::features::chart::transcript::chapters::NOTHING_LEFT_OUT;
use crate::features::chart::transcript::html::{Place, escape, facts, row, table_head, within};
use crate::features::chart::transcript::narrative::{ENTRY_COLUMNS, entry_row};
use crate::kernel::base::{ChannelId, Fault};

const PLACE: Place = Place::Narrative;

/// Entries of one section.
#[derive(Default)]
struct Table(Vec<((String, ChannelId, i64), String)>);

impl Table {
    /// In the order in which they were written, over all channels.
    fn finish(mut self, caption: &str, out: &mut String) {
        if self.0.is_empty() {
            return;
        }
        self.0.sort_by(|(one, _), (other, _)| one.cmp(other));
        table_head(out, PLACE, caption, &ENTRY_COLUMNS.map(str::to_owned));
        self.0.into_iter().for_each(|(_, row)| out.push_str(&row));
        out.push_str("</tbody></table>");
    }
}

/// The texts in the making.
#[derive(Default)]
pub(super) struct Texts {
    markup: Markup,
    messages: Table,
    outside: Table,
    tasks: Table,
    chapter: Option<Chapter>,
    channels: HashMap<ChannelId, Line>,
    nothing_left_out: bool,
}

/// The texts, each without the element around it; what is empty says nothing.
#[derive(Default)]
pub(super) struct Markup {
    /// Whose record it is, from when to when, by whom; how to verify it.
    pub about: String,
    pub attestation: String,
    pub items: String,
    pub messages: String,
    pub outside: String,
    pub tasks: String,
    pub people: String,
    pub changes: String,
    pub gaps: String,
    /// Something that was said is not in it.
    pub left_out: bool,
}

impl Texts {
    /// The whole of it.
    pub fn finish(self) -> Markup {
        let Self { mut markup, messages, outside, tasks, nothing_left_out, .. } = self;
        messages.finish("Messages, handoffs, check-ins and events, oldest first", &mut markup.messages);
        outside.finish("Discussions outside the channel, oldest first", &mut markup.outside);
        tasks.finish("What happened to tasks, oldest first", &mut markup.tasks);
        markup.left_out = !nothing_left_out;
        markup
    }

    fn section(&mut self) -> &mut String {
        match self.chapter {
            None | Some(Chapter::Head | Chapter::Verification) => &mut self.markup.about,
            Some(Chapter::Attestation) => &mut self.markup.attestation,
            Some(Chapter::Items) => &mut self.markup.items,
            Some(Chapter::Conversation(_)) => &mut self.markup.messages,
            Some(Chapter::Tasks) => &mut self.markup.tasks,
            Some(Chapter::Participants) => &mut self.markup.people,
            Some(Chapter::Changes) => &mut self.markup.changes,
            Some(Chapter::Gaps) => &mut self.markup.gaps,
        }
    }

    fn entry(&mut self, entry: &Entry) {
        let channel = self.channels.get(&entry.channel).cloned().unwrap_or_default();
        let mut markup = String::new();
        entry_row(&mut markup, &channel, entry);
        let table = match entry.sort {
            Sort::Discussion => &mut self.outside,
            Sort::Task => &mut self.tasks,
            Sort::Message | Sort::Handoff | Sort::CheckIn | Sort::Mark | Sort::Event => &mut self.messages,
        };
        table.0.push(((entry.time.clone(), entry.channel, entry.number), markup));
    }
}

impl Sheet for Texts {
    fn put(&mut self, block: Block) -> Result<(), Fault> {
        match block {
            Block::Title(title, _) => within(self.section(), "<p><b>", PLACE, &title, "</b></p>"),
            Block::Section { chapter, title, .. } => {
                self.chapter = Some(chapter);
                match chapter {
                    Chapter::Conversation(channel) => {
                        within(self.section(), "<p><b>", PLACE, &title, "</b></p>");
                        self.channels.insert(channel, title);
                    }
                    Chapter::Verification => within(self.section(), "<p><b>", PLACE, &title, "</b></p>"),
                    _ => {}
                }
            }
            Block::Paragraph(text) => {
                self.nothing_left_out |= self.chapter == Some(Chapter::Gaps) && text.plain() == NOTHING_LEFT_OUT;
                within(self.section(), "<p>", PLACE, &text, "</p>");
            }
            Block::Facts(list) => facts(self.section(), PLACE, &list),
            Block::Table { caption, columns } => table_head(self.section(), PLACE, &caption, &columns),
            Block::Row(cells) => row(self.section(), PLACE, &cells),
            Block::TableEnd => self.section().push_str("</tbody></table>"),
            Block::Entry(entry) => self.entry(&entry),
            Block::Verbatim(text) => {
                let section = self.section();
                section.push_str("<p>");
                escape(section, &text);
                section.push_str("</p>");
            }
        }
        Ok(())
    }
}
