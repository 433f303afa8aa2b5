//! What was delivered of 256 entries to one person, in a few bytes: `(gap, length - 1, steps of a millisecond)` for each span, as
//! little-endian base-128 numbers (LEB128, as in DWARF 5 section 7.6), in base64. The gap is counted from the end of the span before, the time
//! from its time, in zigzag.
//! Pure. Invariant: an entry keeps the first time it was delivered at.

use crate::kernel::base::{Fault, Micros};
use crate::kernel::crypto::{base64, from_base64};

/// Entries of one page.
pub const PAGE_ENTRIES: i64 = 256;

const BROKEN: Fault = Fault::Integrity("spans of delivery are not what was written");

/// The page an entry stands on, and its place there.
#[must_use]
pub const fn place(seq: i64) -> (i64, usize) {
    (seq.div_euclid(PAGE_ENTRIES), seq.rem_euclid(PAGE_ENTRIES).unsigned_abs() as usize)
}

/// When each entry of a page was delivered, in milliseconds; none where it was not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page([Option<i64>; PAGE_ENTRIES as usize]);

impl Default for Page {
    fn default() -> Self {
        Self([None; PAGE_ENTRIES as usize])
    }
}

impl Page {
    /// Reads what [`Page::text`] wrote.
    ///
    /// # Errors
    /// It is something else: an integrity fault.
    pub fn read(text: &str) -> Result<Self, Fault> {
        Self::of_bytes(&from_base64(text).ok_or(BROKEN)?)
    }

    /// As it is kept.
    #[must_use]
    pub fn text(&self) -> String {
        base64(&self.bytes())
    }

    fn of_bytes(bytes: &[u8]) -> Result<Self, Fault> {
        let (mut page, mut at, mut millis, mut rest) = (Self::default(), 0_usize, 0_i64, bytes);
        while !rest.is_empty() {
            let gap = take(&mut rest)?;
            let length = take(&mut rest)?;
            let step = take(&mut rest)?;
            let start = usize::try_from(gap).ok().and_then(|gap| at.checked_add(gap)).ok_or(BROKEN)?;
            let end = usize::try_from(length).ok().and_then(|length| start.checked_add(length)).ok_or(BROKEN)?;
            millis = millis.wrapping_add((step >> 1).cast_signed() ^ -(step & 1).cast_signed());
            page.0.get_mut(start..=end).ok_or(BROKEN)?.fill(Some(millis));
            at = end + 1;
        }
        Ok(page)
    }

    fn bytes(&self) -> Vec<u8> {
        let (mut bytes, mut behind, mut before, mut at) = (Vec::new(), 0, 0, 0);
        while at < self.0.len() {
            let Some(millis) = self.0[at] else {
                at += 1;
                continue;
            };
            let length = self.0[at..].iter().take_while(|one| **one == Some(millis)).count();
            let step = millis.wrapping_sub(before);
            put(&mut bytes, (at - behind) as u64);
            put(&mut bytes, (length - 1) as u64);
            put(&mut bytes, ((step << 1) ^ (step >> 63)).cast_unsigned());
            at += length;
            (behind, before) = (at, millis);
        }
        bytes
    }

    /// Entries `first..=last` of the page were delivered by `at`; whether anything is new by that.
    pub fn add(&mut self, first: usize, last: usize, at: Micros) -> bool {
        // Up, not down: nothing is delivered before it is there.
        let millis = at.div_euclid(1000) + i64::from(at.rem_euclid(1000) != 0);
        let mut new = false;
        for place in self.0.iter_mut().take(last.saturating_add(1)).skip(first) {
            if place.is_none_or(|held| millis < held) {
                *place = Some(millis);
                new = true;
            }
        }
        new
    }

    /// When an entry was delivered.
    #[must_use]
    pub fn at(&self, place: usize) -> Option<Micros> {
        self.0.get(place).copied().flatten().map(|millis| millis.saturating_mul(1000))
    }
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Result<u64, Fault> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or(BROKEN)?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(BROKEN)
}

/// Cuts `first..=last` at the ends of pages: page, first and last place on it.
pub fn pages(first: i64, last: i64) -> impl Iterator<Item = (i64, usize, usize)> {
    let ((from, start), (to, end)) = (place(first), place(last));
    let whole = PAGE_ENTRIES.unsigned_abs() as usize - 1;
    (from..=to).map(move |page| (page, if page == from { start } else { 0 }, if page == to { end } else { whole }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_of_ordinary_talk_is_small() {
        let mut page = Page::default();
        for at in 0..256_i64 {
            page.add(at as usize, at as usize, 1_795_000_000_000_000 + at * 61_000_000);
        }
        assert!(page.bytes().len() <= 256 * 5 + 8, "{}", page.bytes().len());
        assert_eq!(Page::default().bytes(), [0_u8; 0]);
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for bytes in [&[0x80][..], &[1], &[1, 1], &[0, 255, 2, 0], &[255, 2, 0, 0], &[0xff; 30]] {
            assert!(Page::of_bytes(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn entries_have_one_place() {
        assert_eq!((place(1), place(255), place(256), place(513)), ((0, 1), (0, 255), (1, 0), (2, 1)));
        assert_eq!(pages(250, 520).collect::<Vec<_>>(), [(0, 250, 255), (1, 0, 255), (2, 0, 8)]);
        assert_eq!(pages(7, 7).collect::<Vec<_>>(), [(0, 7, 7)]);
    }

    proptest! {
        #[test]
        fn a_page_keeps_the_first_time_of_each_entry(added in prop::collection::vec((0_usize..256, 0_usize..30, -5_000_000_i64..2_000_000_000_000_000), 0..30)) {
            let (mut page, mut plain) = (Page::default(), BTreeMap::new());
            for (first, more, at) in added {
                let last = (first + more).min(255);
                let before = plain.clone();
                for place in first..=last {
                    let millis = (at + 999).div_euclid(1000);
                    plain.entry(place).and_modify(|held: &mut i64| *held = millis.min(*held)).or_insert(millis);
                }
                prop_assert_eq!(page.add(first, last, at), plain != before);
            }
            let read = Page::read(&page.text()).unwrap();
            prop_assert_eq!(&read, &page);
            for place in 0..256 {
                prop_assert_eq!(read.at(place), plain.get(&place).map(|millis| millis * 1000));
            }
        }

        #[test]
        fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Page::of_bytes(&bytes);
        }
    }
}
