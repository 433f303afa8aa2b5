//! What an entry says, read by name: old entries lack members that later ones have, and a transcript shows what is there.
//! Also how times and spans of time are said.

use std::str::FromStr;

use serde_json::Value;

use crate::kernel::base::world::{MINUTE, parse_rfc3339, rfc3339};
use crate::kernel::base::{Fault, Micros};
use crate::kernel::log::Fact;

/// The body of an entry. No `Debug`: it holds what was said.
pub struct Body(Value);

impl Body {
    /// Reads it.
    pub fn of(fact: &Fact) -> Result<Self, Fault> {
        fact.read().map(Self)
    }

    /// All of it.
    pub fn whole(&self) -> &Value {
        &self.0
    }

    /// A member; null if it is not there.
    pub fn get(&self, name: &str) -> &Value {
        self.0.get(name).unwrap_or(&Value::Null)
    }

    /// A text; empty if it is not there.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).as_str().unwrap_or_default()
    }

    /// A text that is there and not empty.
    pub fn some(&self, name: &str) -> Option<&str> {
        self.get(name).as_str().filter(|text| !text.is_empty())
    }

    /// An id.
    pub fn id<T: FromStr>(&self, name: &str) -> Option<T> {
        self.get(name).as_str().and_then(|text| text.parse().ok())
    }

    /// A list; empty if it is not there.
    pub fn list(&self, name: &str) -> &[Value] {
        list(self.get(name))
    }

    /// Texts of a list.
    pub fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.list(name).iter().filter_map(Value::as_str)
    }

    /// Ids of a list.
    pub fn ids<T: FromStr>(&self, name: &str) -> Vec<T> {
        self.texts(name).filter_map(|text| text.parse().ok()).collect()
    }

    /// Whether it is said.
    pub fn is(&self, name: &str) -> bool {
        self.get(name).as_bool().unwrap_or(false)
    }

    /// A number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.get(name).as_i64()
    }
}

/// The elements of a list; none if it is no list.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A time with its zone, to the second.
pub fn time(at: Micros) -> String {
    let text = rfc3339(at);
    format!("{} {} UTC", &text[..10], &text[11..19])
}

/// A time of an entry (RFC 3339); what is none is shown as it is: a day, or what an old entry holds.
pub fn told_time(text: &str) -> String {
    parse_rfc3339(text).map_or_else(|_| text.to_owned(), time)
}

/// A span of time in words, to the minute.
pub fn span(of: Micros) -> String {
    let minutes = (of / MINUTE).max(0);
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    let word = |count: i64, one: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        _ => Some(format!("{count} {one}s")),
    };
    let words: Vec<String> =
        [word(days, "day"), word(hours, "hour"), word(minutes, "minute")].into_iter().flatten().collect();
    if words.is_empty() { "less than a minute".into() } else { words.join(" ") }
}

/// A count and what is counted.
pub fn count(of: u64, one: &str, many: &str) -> String {
    if of == 1 { format!("1 {one}") } else { format!("{of} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_times_are_words() {
        assert_eq!(span(40 * MINUTE), "40 minutes");
        assert_eq!(span(1_501 * MINUTE), "1 day 1 hour 1 minute");
        assert_eq!((span(0), span(-MINUTE)), ("less than a minute".into(), "less than a minute".into()));
        assert_eq!(time(1_772_462_430_500_000), "2026-03-02 14:40:30 UTC");
        assert_eq!(told_time("2026-03-02T15:10:00+01:00"), "2026-03-02 14:10:00 UTC");
        assert_eq!(told_time("2026-03"), "2026-03");
        assert_eq!(
            (count(1, "entry", "entries"), count(2, "entry", "entries")),
            ("1 entry".into(), "2 entries".into())
        );
    }
}
