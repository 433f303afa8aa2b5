//! Entries as plain text, for forms that have no markup. Without what becomes of an entry later, so that the same entry is the same text
//! in the next export.

use super::block::{Entry, Part};
use crate::features::channels::chart_text;

/// An entry: a head line, what has to be known, what it says. Lines end in `\n`; control characters are U+FFFD.
pub fn text(entry: &Entry) -> String {
    let mut out =
        format!("No. {}, {}, {}\n{}\n", entry.number, entry.time, entry.author.plain(), entry.heading.plain());
    for mark in &entry.marks {
        out.push_str(&mark.plain());
        out.push('\n');
    }
    for part in &entry.parts {
        match part {
            Part::Words { name, text } => {
                if let Some(name) = name {
                    out.push_str(&format!("{name}:\n"));
                }
                out.push_str(text);
            }
            Part::Notice(notice) => out.push_str(&notice.plain()),
            Part::List { name, lines } => {
                out.push_str(&format!("{name}:"));
                lines.iter().for_each(|line| out.push_str(&format!("\n- {}", line.plain())));
            }
        }
        out.push('\n');
    }
    chart_text(&out.replace("\r\n", "\n").replace('\r', "\n"))
}
