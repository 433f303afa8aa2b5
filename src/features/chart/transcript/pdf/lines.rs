//! Paragraphs become lines: broken between words, inside a word only where it is wider than a line, and put in the order they are seen
//! (Unicode bidirectional algorithm, UAX #9).

use unicode_bidi::BidiInfo;

use super::letters::{Letters, Piece, told};
use crate::features::channels::chart_text;

/// One line.
pub struct Laid {
    pub pieces: Vec<Piece>,
    /// From right to left: it ends at the left.
    pub backwards: bool,
    /// In units of the font size.
    pub width: f32,
}

/// The lines of a text, which may have line ends, in `room` units of the font size.
pub fn lines(letters: &mut Letters, text: &str, bold: bool, room: f32) -> Vec<Laid> {
    let mut laid = Vec::new();
    for paragraph in chart_text(text).replace("\r\n", "\n").split(['\n', '\r']) {
        let paragraph: String = paragraph.chars().map(told).collect();
        letters.count(&paragraph);
        let bidi = BidiInfo::new(&paragraph, None);
        for whole in &bidi.paragraphs {
            for range in breaks(letters, &paragraph[whole.range.clone()], bold, room) {
                let range = whole.range.start + range.start..whole.range.start + range.end;
                let (levels, runs) = bidi.visual_runs(whole, range);
                let mut pieces = Vec::new();
                for run in runs {
                    let backwards = levels[run.start].is_rtl();
                    pieces.extend(letters.shape(&paragraph[run], bold, backwards));
                }
                let width = pieces.iter().map(|piece| piece.width).sum();
                laid.push(Laid { pieces, backwards: whole.level.is_rtl(), width });
            }
        }
        if bidi.paragraphs.is_empty() {
            laid.push(Laid { pieces: Vec::new(), backwards: false, width: 0.0 });
        }
    }
    laid
}

/// Where the lines of one paragraph begin and end.
fn breaks(letters: &mut Letters, text: &str, bold: bool, room: f32) -> Vec<std::ops::Range<usize>> {
    let (mut found, mut start, mut at, mut used) = (Vec::new(), 0, 0, 0.0);
    for word in text.split_inclusive([' ', '-']) {
        let mut width = letters.width(word, bold);
        let visible = letters.width(word.trim_end(), bold);
        if used + visible > room && at > start {
            found.push(start..at);
            (start, used) = (at, 0.0);
        }
        let mut rest = word;
        while used + width > room && visible > room && letters.width(rest.trim_end(), bold) > room {
            let cut = fitting(letters, rest, bold, room);
            at += cut;
            found.push(start..at);
            (start, rest) = (at, &rest[cut..]);
            width = letters.width(rest, bold);
        }
        at += rest.len();
        used += width;
    }
    if at > start || found.is_empty() {
        found.push(start..at);
    }
    found
}

/// How much of a word fits into a line: at least a character, and marks stay with what they are on.
fn fitting(letters: &mut Letters, word: &str, bold: bool, room: f32) -> usize {
    let mut used = 0.0;
    let mut last = 0;
    let mut chars = word.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let mut buffer = [0; 4];
        used += letters.width(c.encode_utf8(&mut buffer), bold);
        if used > room && last > 0 {
            return last;
        }
        let next = chars.peek().map_or(word.len(), |(next, _)| *next);
        let joins = |c: char| matches!(c, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{64b}'..='\u{65f}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}');
        if !chars.peek().is_some_and(|(_, next)| joins(*next)) || at == 0 && word.len() == next {
            last = next;
        }
    }
    if last == 0 { word.len() } else { last }
}
