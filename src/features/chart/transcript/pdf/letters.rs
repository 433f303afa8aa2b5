//! Text becomes glyphs: which font has a character, what is shown for one that none has, which way it runs, and how wide it is.
//! B612 (SIL OFL) for what it has, DejaVu Sans for most other alphabets. What neither has, Chinese, Japanese, Korean and most emoji
//! among it, is a box on the page and itself in the text layer, and is counted.

use std::cell::RefCell;
use std::collections::HashMap;

use krilla::text::{Font, GlyphId, KrillaGlyph};
use rustybuzz::{Direction, Face, GlyphBuffer, Script, ShapePlan, UnicodeBuffer, script};

use crate::kernel::base::Fault;

const REGULAR: &[u8] = include_bytes!("fonts/B612-Regular.ttf");
const BOLD: &[u8] = include_bytes!("fonts/B612-Bold.ttf");
const WIDE: &[u8] = include_bytes!("fonts/DejaVuSans.ttf");

/// Longer ones are not words that come again.
const WORD_BYTES_MAX: usize = 32;
/// Words that are remembered: a few megabytes.
const WORDS_MAX: usize = 50_000;

/// A font as it shapes and as it is embedded.
struct Cut {
    face: Face<'static>,
    font: Font,
    /// By direction and script: making one takes longer than shaping a line with it.
    plans: RefCell<Vec<(bool, Script, ShapePlan)>>,
}

impl Cut {
    fn new(bytes: &'static [u8]) -> Result<Self, Fault> {
        const BROKEN: Fault = Fault::Defect("a built-in font cannot be read");
        let (face, font) = (Face::from_slice(bytes, 0).ok_or(BROKEN)?, Font::new(bytes.into(), 0).ok_or(BROKEN)?);
        Ok(Self { face, font, plans: RefCell::default() })
    }

    fn has(&self, c: char) -> bool {
        self.face.glyph_index(c).is_some_and(|glyph| glyph.0 != 0)
    }

    fn shape(&self, mut buffer: UnicodeBuffer, backwards: bool) -> GlyphBuffer {
        buffer.guess_segment_properties();
        let direction = if backwards { Direction::RightToLeft } else { Direction::LeftToRight };
        buffer.set_direction(direction);
        let script = buffer.script();
        let mut plans = self.plans.borrow_mut();
        let known = plans.iter().position(|(back, of, _)| (*back, *of) == (backwards, script));
        let at = known.unwrap_or_else(|| {
            let named = (script != script::UNKNOWN).then_some(script);
            plans.push((backwards, script, ShapePlan::new(&self.face, direction, named, None, &[])));
            plans.len() - 1
        });
        rustybuzz::shape_with_plan(&self.face, &plans[at].2, buffer)
    }
}

/// The fonts, by their number in [`Piece::cut`].
pub struct Letters {
    cuts: [Cut; 3],
    /// Characters that no font has.
    pub uncovered: u64,
    /// Widths of words, plain and bold.
    widths: [HashMap<String, f32>; 2],
}

/// Glyphs of one font and one direction, in the order they are drawn.
pub struct Piece {
    pub font: Font,
    pub glyphs: Vec<KrillaGlyph>,
    /// What they stand for.
    pub text: String,
    /// In units of the font size.
    pub width: f32,
}

/// What a character is drawn with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hand {
    /// Glyphs of this font.
    Cut(usize),
    /// A box.
    Box,
    /// Nothing: it only directs how others are drawn.
    None,
}

/// Characters that have no shape of their own: controls of direction and joining, selectors of variants.
fn directs(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}')
}

/// A character as the text layer may hold it: PDF/A knows no private use and no byte order mark (ISO 19005-2, 6.2.11.7).
pub fn told(c: char) -> char {
    match c {
        '\u{e000}'..='\u{f8ff}' | '\u{feff}' | '\u{f0000}'..='\u{10ffff}' => char::REPLACEMENT_CHARACTER,
        '\t' | '\u{a0}' | '\u{2028}' | '\u{2029}' => ' ',
        c => c,
    }
}

impl Letters {
    /// Reads the built-in fonts.
    ///
    /// # Errors
    /// None that a build passes its tests with.
    pub fn new() -> Result<Self, Fault> {
        Ok(Self {
            cuts: [Cut::new(REGULAR)?, Cut::new(BOLD)?, Cut::new(WIDE)?],
            uncovered: 0,
            widths: Default::default(),
        })
    }

    fn hand(&self, c: char, bold: bool, before: Option<Hand>) -> Hand {
        if directs(c) {
            return Hand::None;
        }
        // Marks and spaces stay with what they belong to.
        if let Some(Hand::Cut(cut)) = before
            && !c.is_alphanumeric()
            && self.cuts[cut].has(c)
        {
            return Hand::Cut(cut);
        }
        [usize::from(bold), 2].into_iter().find(|cut| self.cuts[*cut].has(c)).map_or(Hand::Box, Hand::Cut)
    }

    /// Shapes a text of one direction.
    pub fn shape(&self, text: &str, bold: bool, backwards: bool) -> Vec<Piece> {
        let mut runs: Vec<(Hand, String)> = Vec::new();
        for c in text.chars() {
            let hand = self.hand(c, bold, runs.last().map(|(hand, _)| *hand));
            match runs.last_mut() {
                Some((last, run)) if *last == hand || hand == Hand::None => run.push(c),
                _ if hand == Hand::None => {}
                _ => runs.push((hand, c.to_string())),
            }
        }
        if backwards {
            runs.reverse();
        }
        let pieces = runs.into_iter().map(|(hand, run)| match hand {
            Hand::Cut(cut) => self.glyphs(cut, run, backwards),
            Hand::Box | Hand::None => self.boxes(run, backwards),
        });
        pieces.collect()
    }

    /// What cannot be drawn: a replacement character each, that stands for it.
    fn boxes(&self, text: String, backwards: bool) -> Piece {
        let cut = &self.cuts[2];
        let id = cut.face.glyph_index(char::REPLACEMENT_CHARACTER).unwrap_or_default();
        let advance = f32::from(cut.face.glyph_hor_advance(id).unwrap_or_default()) / cut.font.units_per_em();
        let glyph = |from: usize, to: usize| KrillaGlyph {
            glyph_id: GlyphId::new(u32::from(id.0)),
            text_range: from..to,
            x_advance: advance,
            x_offset: 0.0,
            y_offset: 0.0,
            y_advance: 0.0,
            location: None,
        };
        let mut starts: Vec<usize> = text.char_indices().filter(|(_, c)| !directs(*c)).map(|(at, _)| at).collect();
        starts.push(text.len());
        let mut glyphs: Vec<KrillaGlyph> = starts.windows(2).map(|ends| glyph(ends[0], ends[1])).collect();
        if backwards {
            glyphs.reverse();
        }
        let width = glyphs.iter().map(|glyph| glyph.x_advance).sum();
        Piece { font: cut.font.clone(), glyphs, text, width }
    }

    fn glyphs(&self, cut: usize, text: String, backwards: bool) -> Piece {
        let cut = &self.cuts[cut];
        let mut buffer = UnicodeBuffer::new();
        for (at, c) in text.char_indices().filter(|(_, c)| !directs(*c) || cut.has(*c)) {
            buffer.add(c, u32::try_from(at).unwrap_or(u32::MAX));
        }
        let shaped = cut.shape(buffer, backwards);
        let mut starts: Vec<usize> = shaped.glyph_infos().iter().map(|info| info.cluster as usize).collect();
        starts.push(text.len());
        starts.sort_unstable();
        starts.dedup();
        let end =
            |from: usize| starts.get(starts.partition_point(|start| *start <= from)).copied().unwrap_or(text.len());
        let per_em = cut.font.units_per_em();
        #[expect(clippy::cast_precision_loss, reason = "units of a font are small numbers")]
        let units = |value: i32| value as f32 / per_em;
        let pairs = shaped.glyph_infos().iter().zip(shaped.glyph_positions());
        let glyphs: Vec<KrillaGlyph> = pairs
            .map(|(info, place)| KrillaGlyph {
                glyph_id: GlyphId::new(info.glyph_id),
                text_range: info.cluster as usize..end(info.cluster as usize),
                x_advance: units(place.x_advance),
                x_offset: units(place.x_offset),
                y_offset: units(place.y_offset),
                y_advance: units(place.y_advance),
                location: None,
            })
            .collect();
        let width = glyphs.iter().map(|glyph| glyph.x_advance).sum();
        Piece { font: cut.font.clone(), glyphs, text, width }
    }

    /// Counts what cannot be drawn.
    pub fn count(&mut self, text: &str) {
        let uncovered = text.chars().filter(|c| self.hand(*c, false, None) == Hand::Box).count();
        self.uncovered += u64::try_from(uncovered).unwrap_or_default();
    }

    /// How wide a text is, in units of the font size. Short ones are remembered: most words come again.
    pub fn width(&mut self, text: &str, bold: bool) -> f32 {
        if text.len() > WORD_BYTES_MAX {
            // No word of a language: its characters one by one, which is never narrower but for rare joins.
            let mut buffer = [0; 4];
            return text.chars().map(|c| self.width(c.encode_utf8(&mut buffer), bold)).sum();
        }
        if let Some(width) = self.widths[usize::from(bold)].get(text) {
            return *width;
        }
        let width = self.shape(text, bold, false).iter().map(|piece| piece.width).sum();
        let known = &mut self.widths[usize::from(bold)];
        if known.len() == WORDS_MAX {
            known.clear();
        }
        known.insert(text.to_owned(), width);
        width
    }
}
