//! Entries as rows of a table for the section texts of a FHIR document (*Narrative*, R4). The other pieces of [`html`](super::html) take
//! the place they are going to stand in.

use super::block::{Entry, Line};
use super::html::{Place, parts, within};

/// An entry as a row of a table for a FHIR narrative: where it stands, time, author, plan item, what it says. Its columns are
/// [`ENTRY_COLUMNS`]; `channel` is what its channel is called.
pub fn entry_row(out: &mut String, channel: &Line, entry: &Entry) {
    let place = Place::Narrative;
    within(out, "<tr><td>", place, channel, &format!(", No. {}</td><td>{}</td>", entry.number, entry.time));
    within(out, "<td>", place, &entry.author, "</td>");
    within(out, "<td>", place, entry.item.as_ref().unwrap_or(&Line::default()), "</td>");
    within(out, "<td><p><b>", place, &entry.heading, "</b></p>");
    entry.marks.iter().for_each(|mark| within(out, "<p>", place, mark, "</p>"));
    parts(out, place, &entry.parts);
    parts(out, place, &entry.later);
    out.push_str("</td></tr>");
}

/// What the cells of [`entry_row`] are.
pub const ENTRY_COLUMNS: [&str; 5] = ["Place", "Time", "Author", "Care plan item", "Entry"];
