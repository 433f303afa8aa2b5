//! What a form of export has had of a channel: pure. Does not know the database or what an entry says.
//! Invariant: the spans are ascending, do not overlap, and neighbours differ in their horizon.

/// A span of `seq`, both ends inclusive, that was exported while the channel had `horizon` entries: what was changed by a later entry
/// is not what the receiver has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Covered {
    /// First `seq`.
    pub first: i64,
    /// Last `seq`.
    pub last: i64,
    /// Newest entry that was taken into account.
    pub horizon: i64,
}

/// What was exported of one channel in one form.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Coverage(Vec<Covered>);

impl Coverage {
    /// From the rows, in any order.
    #[must_use]
    pub fn new(rows: Vec<Covered>) -> Self {
        let mut coverage = Self::default();
        for row in rows {
            coverage.cover(&[[row.first, row.last]], row.horizon);
        }
        coverage
    }

    /// The rows to be kept.
    #[must_use]
    pub fn rows(&self) -> &[Covered] {
        &self.0
    }

    /// Up to where changes of this entry were exported; none if it was not exported.
    #[must_use]
    pub fn horizon(&self, seq: i64) -> Option<i64> {
        let at = self.0.partition_point(|covered| covered.last < seq);
        self.0.get(at).filter(|covered| covered.first <= seq).map(|covered| covered.horizon)
    }

    /// Everything that was exported, in whatever state.
    #[must_use]
    pub fn spans(&self) -> Vec<[i64; 2]> {
        let mut spans: Vec<[i64; 2]> = Vec::new();
        for covered in &self.0 {
            match spans.last_mut() {
                Some(before) if before[1] + 1 == covered.first => before[1] = covered.last,
                _ => spans.push([covered.first, covered.last]),
            }
        }
        spans
    }

    /// The parts of `spans` that were never exported.
    #[must_use]
    pub fn missing(&self, spans: &[[i64; 2]]) -> Vec<[i64; 2]> {
        let mut missing = Vec::new();
        for [from, to] in spans {
            let mut next = *from;
            for covered in self.0.iter().filter(|covered| covered.last >= *from && covered.first <= *to) {
                if covered.first > next {
                    missing.push([next, covered.first - 1]);
                }
                next = next.max(covered.last + 1);
            }
            if next <= *to {
                missing.push([next, *to]);
            }
        }
        missing
    }

    /// These spans were exported with every change up to `horizon`. A lower horizon than before changes nothing: the receiver has the
    /// newer state.
    pub fn cover(&mut self, spans: &[[i64; 2]], horizon: i64) {
        for [first, last] in spans.iter().filter(|[first, last]| first <= last) {
            let mut parts = Vec::with_capacity(self.0.len() + 2);
            for old in self.0.drain(..) {
                if old.last < *first || old.first > *last || old.horizon >= horizon {
                    parts.push(old);
                } else {
                    parts.extend([Covered { last: first - 1, ..old }, Covered { first: last + 1, ..old }]);
                }
            }
            parts.retain(|part| part.first <= part.last);
            let kept = Self(parts);
            let added = kept.missing(&[[*first, *last]]);
            let mut parts = kept.0;
            parts.extend(added.into_iter().map(|[first, last]| Covered { first, last, horizon }));
            parts.sort_by_key(|part| part.first);
            for part in parts {
                match self.0.last_mut() {
                    Some(before) if before.horizon == part.horizon && before.last + 1 == part.first => {
                        before.last = part.last;
                    }
                    _ => self.0.push(part),
                }
            }
        }
    }
}

/// The common parts of two ascending lists of spans.
#[must_use]
pub fn common(a: &[[i64; 2]], b: &[[i64; 2]]) -> Vec<[i64; 2]> {
    let pairs = a.iter().flat_map(|[from, to]| b.iter().map(move |[first, last]| [*from.max(first), *to.min(last)]));
    pairs.filter(|[from, to]| from <= to).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn daily_exports_are_one_row() {
        let mut coverage = Coverage::default();
        coverage.cover(&[[1, 10]], 10);
        coverage.cover(&[[1, 14]], 14);
        coverage.cover(&[[1, 14]], 14);
        assert_eq!(coverage.rows(), [Covered { first: 1, last: 14, horizon: 14 }]);
        assert_eq!(coverage.missing(&[[1, 20]]), [[15, 20]]);
    }

    #[test]
    fn a_month_in_the_middle_is_remembered() {
        let mut coverage = Coverage::default();
        coverage.cover(&[[5, 8]], 20);
        assert_eq!(coverage.missing(&[[1, 20]]), [[1, 4], [9, 20]]);
        assert_eq!((coverage.horizon(4), coverage.horizon(5), coverage.horizon(9)), (None, Some(20), None));
    }

    proptest! {
        /// The list says of each entry what a table with one cell an entry says.
        #[test]
        fn spans_are_a_table(exports in prop::collection::vec((1_i64..30, 0_i64..12, 1_i64..6), 0..12), from in 1_i64..30, length in 0_i64..30) {
            let mut coverage = Coverage::default();
            let mut table = [None; 64];
            for (first, more, horizon) in exports {
                coverage.cover(&[[first, first + more]], horizon);
                for cell in &mut table[usize::try_from(first).unwrap()..=usize::try_from(first + more).unwrap()] {
                    *cell = (*cell).max(Some(horizon));
                }
                let rows = coverage.rows();
                prop_assert!(rows.windows(2).all(|two| two[0].last < two[1].first));
                prop_assert!(rows.windows(2).all(|two| two[0].last + 1 < two[1].first || two[0].horizon != two[1].horizon));
                prop_assert_eq!(&Coverage::new(rows.to_vec()), &coverage);
            }
            let (spans, missing) = (coverage.spans(), coverage.missing(&[[from, from + length]]));
            prop_assert!(spans.windows(2).all(|two| two[0][1] + 1 < two[1][0]));
            for seq in from..=from + length {
                let cell = table[usize::try_from(seq).unwrap()];
                prop_assert_eq!(coverage.horizon(seq), cell);
                prop_assert_eq!(spans.iter().any(|[first, last]| (*first..=*last).contains(&seq)), cell.is_some());
                prop_assert_eq!(missing.iter().any(|[first, last]| (*first..=*last).contains(&seq)), cell.is_none());
            }
        }

        #[test]
        fn what_is_common_is_in_both(a in prop::collection::vec((1_i64..4, 0_i64..4), 0..5), b in prop::collection::vec((1_i64..4, 0_i64..4), 0..5)) {
            let spans = |lengths: Vec<(i64, i64)>| {
                let mut at = 0;
                lengths.into_iter().map(|(pause, more)| { let from = at + pause; at = from + more + 1; [from, from + more] }).collect::<Vec<_>>()
            };
            let (a, b) = (spans(a), spans(b));
            let both = common(&a, &b);
            let inside = |spans: &[[i64; 2]], seq| spans.iter().filter(|[from, to]| (*from..=*to).contains(&seq)).count();
            for seq in 0..50 {
                prop_assert_eq!(inside(&both, seq), inside(&a, seq) * inside(&b, seq));
            }
        }
    }
}
