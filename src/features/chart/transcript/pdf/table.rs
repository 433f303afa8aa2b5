//! Tables: columns beside each other, each cell broken into lines of its own, over as many pages as it takes. Tagged as what they are, so
//! that a reader can be told the column of a cell.

use krilla::tagging::{TableHeaderScope, Tag, TagGroup};

use super::leaves::{Leaves, Look, WIDTH, held};
use crate::kernel::base::Fault;

const CAPTION: Look = Look { size: 9.5, bold: true, indent: 0.0, above: 4.0 };
const HEAD: Look = Look { size: 8.0, bold: true, indent: 0.0, above: 2.0 };
const CELL: Look = Look { size: 8.0, bold: false, indent: 0.0, above: 3.0 };
/// Between two columns, in points.
const GAP: f32 = 8.0;
/// A column counts for what stands in it on average, but for no less and no more characters than these.
const CHARACTERS: (usize, usize) = (6, 45);

/// A table whose rows are all known.
pub struct Table {
    caption: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Without rows.
    pub fn new(caption: String, columns: Vec<String>) -> Self {
        Self { caption, columns, rows: Vec::new() }
    }

    /// The next row: a cell a column.
    pub fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// Puts it below what is there.
    pub fn lay(self, leaves: &mut Leaves) -> Result<TagGroup, Fault> {
        let mut table = TagGroup::new(Tag::Table);
        let caption = leaves.put(&self.caption, CAPTION)?;
        table.push(held(Tag::Caption, caption));
        let places = self.places();
        let mut head = TagGroup::new(Tag::TR);
        for block in leaves.row(&cells(&self.columns, &places), HEAD)? {
            head.push(held(Tag::TH(TableHeaderScope::Column), block));
        }
        table.push(TagGroup::with_children(Tag::THead, vec![head.into()]));
        let mut body = TagGroup::new(Tag::TBody);
        for row in &self.rows {
            let mut tagged = TagGroup::new(Tag::TR);
            for block in leaves.row(&cells(row, &places), CELL)? {
                tagged.push(held(Tag::TD, block));
            }
            body.push(tagged);
        }
        if !body.children.is_empty() {
            table.push(body);
        }
        Ok(table)
    }

    /// Left end and width of each column.
    fn places(&self) -> Vec<(f32, f32)> {
        let count = self.rows.len() + 1;
        let mean = |at: usize| {
            let texts = self.rows.iter().filter_map(|row| row.get(at)).chain(self.columns.get(at));
            texts.map(|text| text.chars().count().min(CHARACTERS.1 * 2)).sum::<usize>() / count
        };
        let parts = (0..self.columns.len()).map(|at| mean(at).clamp(CHARACTERS.0, CHARACTERS.1));
        let parts: Vec<f32> = parts.map(|part| f32::from(u16::try_from(part).unwrap_or(u16::MAX))).collect();
        let all: f32 = parts.iter().sum();
        let gaps = parts.iter().skip(1).fold(0.0, |gaps, _| gaps + GAP);
        let mut left = 0.0;
        let place = |part: &f32| {
            let width = (WIDTH - gaps) * part / all;
            let place = (left, width);
            left += width + GAP;
            place
        };
        parts.iter().map(place).collect()
    }
}

/// What stands where in a row; a cell that is not there is empty.
fn cells<'t>(texts: &'t [String], places: &[(f32, f32)]) -> Vec<(&'t str, f32, f32)> {
    let texts = texts.iter().map(String::as_str).chain(std::iter::repeat(""));
    places.iter().zip(texts).map(|((left, width), text)| (text, *left, *width)).collect()
}
