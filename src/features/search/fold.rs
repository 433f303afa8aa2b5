//! How two texts are compared: NFKC, then full case folding, then NFKC again, so that width, ligatures and case make no difference
//! (Unicode Standard, section 3.13). Also where in a text a hit lies, and the part of it that is shown.
//! Does not know: entries, queries. Pure.

use std::borrow::Cow;
use std::ops::Range;

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizer;
use icu_properties::CodePointMapData;
use icu_properties::props::GraphemeClusterBreak;

/// Characters of an excerpt, about: a hit that is longer is shown whole.
const EXCERPT_CHARS: usize = 120;
/// A cut goes to the border of a word if one is so near.
const WORD_CHARS: usize = 12;
/// Stands where an excerpt leaves something out.
const CUT: char = '…';

/// A text as it is compared.
#[must_use]
pub fn folded(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(text.to_ascii_lowercase())
        } else {
            Cow::Borrowed(text)
        };
    }
    let nfkc = ComposingNormalizer::new_nfkc();
    let composed = nfkc.normalize(text);
    let lower = CaseMapper::new().fold_string(&composed);
    Cow::Owned(nfkc.normalize(&lower).into_owned())
}

/// What is looked for, folded once.
pub struct Needle {
    folded: String,
    ascii: bool,
}

impl Needle {
    /// Of a text that is not empty.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let folded = folded(text).into_owned();
        Self { ascii: folded.is_ascii(), folded }
    }

    /// Whether a text holds it.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        // What is ASCII folds to ASCII.
        if !self.ascii && text.is_ascii() {
            return false;
        }
        folded(text).contains(&self.folded)
    }

    /// The part of a text that shows the first hit, byte for byte, with `…` where something is left out.
    #[must_use]
    pub fn excerpt(&self, text: &str) -> String {
        let borders = borders(text);
        let hit = self.find(text, &borders);
        let shown = window(text, &borders, hit);
        let mut excerpt = String::with_capacity(shown.len() + 2 * CUT.len_utf8());
        if shown.start > 0 {
            excerpt.push(CUT);
        }
        excerpt.push_str(&text[shown.clone()]);
        if shown.end < text.len() {
            excerpt.push(CUT);
        }
        excerpt
    }

    /// The first hit, from border to border, as places in `borders`; its begin where it cannot be told.
    fn find(&self, text: &str, borders: &[usize]) -> Range<usize> {
        let last = borders.len() - 1;
        if text.is_ascii() {
            let from = folded(text).find(&self.folded).unwrap_or(0);
            let to = (from + self.folded.len()).min(text.len());
            return place_before(borders, from)..place_after(borders, to);
        }
        // What folds is cut only at borders of characters a reader sees, so the fold of a part is a part of the fold of the whole:
        // the shortest beginning that holds the hit ends with it, and the shortest end of that begins with it.
        let (mut low, mut high) = (0, last);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.is_in(&text[..borders[middle]]) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        let end = high;
        let (mut low, mut high) = (0, end);
        while low < high {
            let middle = usize::midpoint(low, high) + 1;
            if self.is_in(&text[borders[middle]..borders[end]]) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low..end
    }
}

/// Where a text may be cut, its begin and its end included: before each character that does not join the one before it (most rules of
/// UAX 29, section 3.1.1).
fn borders(text: &str) -> Vec<usize> {
    let breaks = CodePointMapData::<GraphemeClusterBreak>::new();
    let mut borders = vec![0];
    let mut joined = false;
    for (at, c) in text.char_indices() {
        let class = if c.is_ascii() { GraphemeClusterBreak::Other } else { breaks.get(c) };
        let joins = matches!(
            class,
            GraphemeClusterBreak::Extend
                | GraphemeClusterBreak::ZWJ
                | GraphemeClusterBreak::SpacingMark
                | GraphemeClusterBreak::V
                | GraphemeClusterBreak::T
        );
        if at > 0 && !joins && !joined {
            borders.push(at);
        }
        joined = class == GraphemeClusterBreak::ZWJ;
    }
    if !text.is_empty() {
        borders.push(text.len());
    }
    borders
}

fn place_before(borders: &[usize], at: usize) -> usize {
    borders.partition_point(|border| *border <= at).saturating_sub(1)
}

fn place_after(borders: &[usize], at: usize) -> usize {
    borders.partition_point(|border| *border < at).min(borders.len() - 1)
}

/// The bytes to show around a hit, given as places in `borders`.
fn window(text: &str, borders: &[usize], hit: Range<usize>) -> Range<usize> {
    let last = borders.len() - 1;
    let room = EXCERPT_CHARS.saturating_sub(hit.len());
    let before = hit.start.min(room / 3);
    let after = (last - hit.end).min(room - before);
    let before = hit.start.min(room - after);
    let (mut from, mut to) = (hit.start - before, hit.end + after);
    let is_space = |place: usize| text[borders[place]..].starts_with(char::is_whitespace);
    if from > 0 {
        let near = (from..hit.start.min(from + WORD_CHARS)).find(|place| is_space(*place));
        from = near.map_or(from, |space| space + 1);
    }
    if to < last {
        let near = (hit.end.max(to - WORD_CHARS.min(to))..to).rev().find(|place| is_space(*place));
        to = near.unwrap_or(to);
    }
    borders[from]..borders[to]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hits(text: &str, needle: &str) -> bool {
        Needle::new(needle).is_in(text)
    }

    #[test]
    fn case_width_ligatures_and_composition_make_no_difference() {
        for (text, needle) in [
            ("Glucose 9.1", "gLUCOSE"),
            ("STRASSE", "straße"),
            ("Straße", "STRASSE"),
            ("ﬁbrillation", "Fibri"),
            ("Ｉｎｓｕｌｉｎ", "insulin"),
            ("Ångström", "a\u{30a}ngstro\u{308}m"),
            ("a\u{30a}ngstro\u{308}m", "ÅNGSTRÖM"),
            ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
            ("血糖値 9.1", "糖値"),
            ("㎎ per day", "MG"),
            ("ｶﾞｰｾﾞ", "ガーゼ"),
        ] {
            assert!(hits(text, needle), "{text} {needle}");
        }
        for (text, needle) in [("Glucose", "glukose"), ("resume\u{301}", "resume "), ("e\u{301}", "e"), ("I", "ı")] {
            assert!(!hits(text, needle), "{text} {needle}");
        }
    }

    #[test]
    fn an_excerpt_is_part_of_the_text_around_the_first_hit() {
        let words = "lorem ipsum ".repeat(40);
        let text = format!("{words}The Glucose was 9.1. {words}");
        let shown = Needle::new("glucose").excerpt(&text);
        assert!(shown.starts_with('…') && shown.ends_with('…') && shown.contains("The Glucose was 9.1."), "{shown}");
        assert!(text.contains(shown.trim_matches('…')));
        assert!((90..=EXCERPT_CHARS + 2).contains(&shown.chars().count()), "{shown}");
        assert_eq!(Needle::new("nine").excerpt("nine\n lives"), "nine\n lives");
        let end = Needle::new("here").excerpt(&format!("{words}here"));
        assert!(end.starts_with('…') && end.ends_with("here"));
        let joined = "👩‍⚕️".repeat(200) + "Ärztin" + &"e\u{301}".repeat(200);
        let shown = Needle::new("ärztin").excerpt(&joined);
        let inside = shown.trim_matches('…');
        assert!(inside.starts_with('👩') && inside.contains("Ärztin") && inside.ends_with("e\u{301}"), "{shown}");
    }

    #[test]
    fn a_hit_inside_a_character_shows_the_character() {
        assert_eq!(Needle::new("i").excerpt("ﬁ"), "ﬁ");
        assert_eq!(Needle::new("صلى").excerpt("\u{fdfa}"), "\u{fdfa}");
    }

    proptest! {
        /// Whatever is cut out of a text at borders is found in it, and shown in an excerpt that is part of the text.
        #[test]
        fn what_is_in_a_text_is_found_and_shown(before in "\\PC{0,80}", within in "\\PC{1,20}", behind in "\\PC{0,80}") {
            prop_assume!(!within.trim().is_empty());
            let text = format!("{before} {within} {behind}");
            let needle = Needle::new(&within);
            // A mark at the beginning of what is looked for would have joined the blank.
            prop_assume!(needle.is_in(&text));
            let excerpt = needle.excerpt(&text);
            let inside = excerpt.strip_prefix(CUT).unwrap_or(&excerpt);
            let inside = inside.strip_suffix(CUT).unwrap_or(inside);
            prop_assert!(text.contains(inside) || text.contains(&excerpt));
            prop_assert!(needle.is_in(&excerpt), "{excerpt:?} {within:?}");
        }

        /// The place of a hit is that of the first one, told by trying every part of the text.
        #[test]
        fn the_first_hit_is_the_one_shown(text in "[aAäÄßsSeﬁi\u{301}\u{308}]{1,12}", within in "[aäßsefi]{1,3}") {
            let needle = Needle::new(&within);
            prop_assume!(needle.is_in(&text));
            let borders = borders(&text);
            let hit = needle.find(&text, &borders);
            prop_assert!(needle.is_in(&text[borders[hit.start]..borders[hit.end]]));
            let ends = (1..borders.len()).find(|end| needle.is_in(&text[..borders[*end]]));
            prop_assert_eq!(Some(hit.end), ends);
        }
    }
}
