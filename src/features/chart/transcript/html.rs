//! The transcript as one page of HTML that needs nothing else: no script, no font, no address of anybody. Written as it comes.
//! Its pieces can stand in a FHIR narrative (*Narrative*, R4) too, which has no sections and no `bdi`.
//! Invariant: nothing reaches the page but through [`escape`].

use super::block::{Block, Chapter, Entry, Line, Part, Run, Sheet, Sort};
use crate::features::channels::chart_text;
use crate::features::chart::export::Single;
use crate::kernel::base::Fault;

const STYLE: &str = include_str!("page.css");

/// Text as content of an element or a quoted attribute: markup is shown, control characters are U+FFFD, line ends are kept.
pub fn escape(out: &mut String, text: &str) {
    let lines = text.replace("\r\n", "\n").replace('\r', "\n");
    for c in chart_text(&lines).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push_str("<br/>"),
            // What is no character of XML 1.0.
            '\u{fffe}' | '\u{ffff}' => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
}

/// Where the markup is going to stand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A page of our own.
    Page,
    /// The `div` of a FHIR narrative.
    Narrative,
}

/// Whether a text may turn the direction of what follows it: right-to-left letters and the controls of UAX #9.
pub fn turns(text: &str) -> bool {
    let turning = |c: char| matches!(c, '\u{590}'..='\u{8ff}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}');
    text.chars().any(turning)
}

/// A line's markup.
pub fn line(out: &mut String, place: Place, line: &Line) {
    for run in &line.0 {
        match run {
            Run::Ours(text) => escape(out, text),
            Run::Theirs(text) if place == Place::Page => element(out, "bdi", text),
            Run::Theirs(text) if turns(text) => {
                out.push('\u{2068}');
                escape(out, text);
                out.push('\u{2069}');
            }
            Run::Theirs(text) => escape(out, text),
        }
    }
}

fn element(out: &mut String, name: &str, text: &str) {
    out.push_str(&format!("<{name}>"));
    escape(out, text);
    out.push_str(&format!("</{name}>"));
}

/// A line between two pieces of markup.
pub fn within(out: &mut String, open: &str, place: Place, content: &Line, close: &str) {
    out.push_str(open);
    line(out, place, content);
    out.push_str(close);
}

/// Somebody's words, each in a direction of its own.
fn words(out: &mut String, place: Place, name: Option<&str>, text: &str) {
    if let Some(name) = name {
        out.push_str("<p><b>");
        escape(out, name);
        out.push_str("</b></p>");
    }
    out.push_str(if place == Place::Page { "<p class=\"words\" dir=\"auto\">" } else { "<p>" });
    escape(out, text);
    out.push_str("</p>");
}

/// What an entry says.
pub fn parts(out: &mut String, place: Place, parts: &[Part]) {
    for part in parts {
        match part {
            Part::Words { name, text } => words(out, place, name.as_deref(), text),
            Part::Notice(notice) => within(out, "<p><i>", place, notice, "</i></p>"),
            Part::List { name, lines } => {
                out.push_str("<p><b>");
                escape(out, name);
                out.push_str("</b></p><ul>");
                lines.iter().for_each(|one| within(out, "<li>", place, one, "</li>"));
                out.push_str("</ul>");
            }
        }
    }
}

/// The start of a table.
pub fn table_head(out: &mut String, place: Place, caption: &str, columns: &[String]) {
    out.push_str("<table><caption>");
    escape(out, caption);
    out.push_str("</caption><thead><tr>");
    for column in columns {
        out.push_str(if place == Place::Page { "<th scope=\"col\">" } else { "<th>" });
        escape(out, column);
        out.push_str("</th>");
    }
    out.push_str("</tr></thead><tbody>");
}

/// A row of a table.
pub fn row(out: &mut String, place: Place, cells: &[Line]) {
    out.push_str("<tr>");
    cells.iter().for_each(|cell| within(out, "<td>", place, cell, "</td>"));
    out.push_str("</tr>");
}

/// Names and what they stand for.
pub fn facts(out: &mut String, place: Place, facts: &[(String, Line)]) {
    out.push_str("<table><tbody>");
    for (name, value) in facts {
        out.push_str(if place == Place::Page { "<tr><th scope=\"row\">" } else { "<tr><th>" });
        escape(out, name);
        within(out, "</th><td>", place, value, "</td></tr>");
    }
    out.push_str("</tbody></table>");
}

/// One page.
pub struct Page<'o> {
    file: Single<'o>,
    /// A section is open.
    inside: bool,
}

impl<'o> Page<'o> {
    /// Written to that file.
    pub fn new(file: Single<'o>) -> Self {
        Self { file, inside: false }
    }

    /// The end of the page; its hash.
    pub fn finish(mut self) -> Result<[u8; 32], Fault> {
        let close = if self.inside { "</section>" } else { "" };
        self.file.write(format!("{close}</main>\n</body>\n</html>\n").as_bytes())?;
        Ok(self.file.finish())
    }

    fn title(out: &mut String, title: &Line, contents: &[(String, Line)]) {
        out.push_str("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n");
        // A page that nobody can make load or run anything, whatever is written in it.
        out.push_str("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n");
        out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<meta name=\"referrer\" content=\"no-referrer\"/>\n<title>");
        escape(out, &title.plain());
        out.push_str(&format!("</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>"));
        within(out, "<h1>", Place::Page, title, "</h1></header>\n<nav aria-label=\"Contents\"><ol>");
        for (anchor, title) in contents {
            within(out, &format!("<li><a href=\"#{anchor}\">"), Place::Page, title, "</a></li>");
        }
        out.push_str("</ol></nav>\n<main>\n");
    }

    fn section(&mut self, out: &mut String, chapter: Chapter, anchor: &str, title: &Line) {
        if self.inside {
            out.push_str("</section>\n");
        }
        self.inside = true;
        let class = if matches!(chapter, Chapter::Conversation(_)) { " class=\"conversation\"" } else { "" };
        out.push_str(&format!("<section id=\"{anchor}\"{class} aria-labelledby=\"{anchor}-title\">"));
        within(out, &format!("<h2 id=\"{anchor}-title\">"), Place::Page, title, "</h2>\n");
    }
}

fn article(out: &mut String, entry: &Entry) {
    let class = match entry.sort {
        Sort::Mark | Sort::Event => "entry small",
        _ => "entry",
    };
    out.push_str(&format!("<article class=\"{class}\" id=\"{}\"><h3>No. {}: ", entry.anchor, entry.number));
    line(out, Place::Page, &entry.heading);
    out.push_str(&format!("</h3><p class=\"by\">{}, ", entry.time));
    line(out, Place::Page, &entry.author);
    out.push_str("</p>");
    if let Some(item) = &entry.item {
        within(out, "<p class=\"item\">Care plan item: ", Place::Page, item, "</p>");
    }
    entry.marks.iter().for_each(|mark| within(out, "<p class=\"mark\">", Place::Page, mark, "</p>"));
    parts(out, Place::Page, &entry.parts);
    parts(out, Place::Page, &entry.later);
    out.push_str("</article>\n");
}

impl Sheet for Page<'_> {
    fn put(&mut self, block: Block) -> Result<(), Fault> {
        let mut out = String::new();
        match &block {
            Block::Title(title, contents) => Self::title(&mut out, title, contents),
            Block::Section { chapter, anchor, title } => self.section(&mut out, *chapter, anchor, title),
            Block::Paragraph(text) => within(&mut out, "<p>", Place::Page, text, "</p>\n"),
            Block::Facts(list) => facts(&mut out, Place::Page, list),
            Block::Table { caption, columns } => table_head(&mut out, Place::Page, caption, columns),
            Block::Row(cells) => row(&mut out, Place::Page, cells),
            Block::TableEnd => out.push_str("</tbody></table>\n"),
            Block::Entry(entry) => article(&mut out, entry),
            Block::Verbatim(text) => {
                out.push_str("<pre>");
                escape(&mut out, text);
                out.push_str("</pre>\n");
            }
        }
        self.file.write(out.as_bytes())
    }
}
