//! Where a task stands in its column: a text, so that there is always room between two.
//! Invariants: a task begins at the place of its id, so that columns begin in the order of making; a place that was made lies strictly
//! between its neighbours, and nobody else's place moves.

use crate::kernel::base::ThingId;

/// Digits in the order of their bytes.
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// Characters of a place: a column would have to be halved at one point a hundred times to need as many.
pub const PLACE_CHARS_MAX: usize = 120;

/// Where a new task stands: ids begin with the time they were drawn.
#[must_use]
pub fn first(task: ThingId) -> String {
    task.0.simple().to_string()
}

fn digit(place: &str, at: usize) -> usize {
    place.as_bytes().get(at).and_then(|byte| DIGITS.iter().position(|digit| digit == byte)).unwrap_or(0)
}

/// A place between two, read as fractions; an empty `low` is the top. None if there is no room left to write one down.
fn between(low: &str, high: &str) -> Option<String> {
    let (mut place, mut bounded) = (String::new(), true);
    for at in 0..PLACE_CHARS_MAX {
        let from = digit(low, at);
        let to = if bounded { digit(high, at) } else { DIGITS.len() };
        let middle = usize::midpoint(from, to);
        if middle > from {
            place.push(char::from(DIGITS[middle]));
            return Some(place);
        }
        place.push(char::from(DIGITS[from]));
        // Once a digit is below the upper neighbour's, only the lower one bounds what follows.
        bounded &= from == to;
    }
    None
}

/// The place behind a task, before whoever follows it; none if there is no room left.
#[must_use]
pub fn behind(after: Option<&str>, next: Option<&str>) -> Option<String> {
    match (after, next) {
        (after, Some(next)) => between(after.unwrap_or_default(), next),
        // Right behind the last one: what is made later still begins below.
        (Some(last), None) => Some(format!("{last}i")).filter(|place| place.len() <= PLACE_CHARS_MAX),
        // Alone, any place will do: half way down.
        (None, None) => between("", "z"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    proptest! {
        /// However a column is shuffled, its order is what was asked for, and nobody stands where another one stands.
        #[test]
        fn a_column_is_in_the_order_it_was_put(moves in prop::collection::vec((0..8_usize, 0..9_usize), 0..60)) {
            let mut column: Vec<(usize, String)> =
                (0..8).map(|n| (n, first(ThingId(Uuid::from_u128((n as u128 + 1) * 16))))).collect();
            for (who, to) in moves {
                let at = column.iter().position(|(n, _)| *n == who).unwrap();
                column.remove(at);
                let to = to.min(column.len());
                let after = to.checked_sub(1).map(|at| column[at].1.as_str());
                let place = behind(after, column.get(to).map(|(_, place)| place.as_str()));
                prop_assume!(place.is_some());
                column.insert(to, (who, place.unwrap()));
                let mut sorted = column.clone();
                sorted.sort_by(|a, b| a.1.cmp(&b.1));
                prop_assert_eq!(&sorted, &column);
                prop_assert!(column.windows(2).all(|two| two[0].1 < two[1].1));
            }
        }
    }

    #[test]
    fn where_there_is_no_room_there_is_no_place() {
        assert_eq!(between("a", "a"), None);
        assert_eq!(between("", "000"), None);
    }

    #[test]
    fn what_is_made_later_stands_below() {
        let id = |n| ThingId(Uuid::from_u128(n));
        let last = behind(Some(&first(id(5))), None).unwrap();
        assert!(first(id(5)) < last && last < first(id(6)));
    }
}
