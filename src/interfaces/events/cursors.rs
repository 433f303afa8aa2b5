//! Cursors as Server-Sent Events carry them: `<channel>:<seq>[,...]`, in `Last-Event-ID`, in the query, and in the `id` of each event.
//! Does not know channels from ids of nothing: a session says what a cursor is worth. Pure.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::kernel::base::limits::CURSORS_MAX;
use crate::kernel::base::{ChannelId, Refusal};
use crate::kernel::live::channel_name;

/// Channels that an `id` names. A client gives it back in a header, and 8 KiB is what a head may have.
const LISTED_MAX: usize = 100;

/// Reads cursors as the member of a `resume`.
///
/// # Errors
/// `invalid`, field `cursors`.
pub fn parse(text: &str) -> Result<Map<String, Value>, Refusal> {
    let wrong = || Refusal::invalid("cursors", "Cursors are <channel>:<seq>[,...], with seq a whole number from 0.");
    let mut cursors = Map::new();
    for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        let (channel, seq) = one.split_once(':').ok_or_else(wrong)?;
        let digits = !seq.is_empty() && seq.bytes().all(|byte| byte.is_ascii_digit());
        let seq: i64 = if digits { seq.parse().map_err(|_| wrong())? } else { return Err(wrong()) };
        cursors.insert(channel.to_owned(), seq.into());
    }
    if cursors.len() > CURSORS_MAX { Err(wrong()) } else { Ok(cursors) }
}

/// Which channels an `id` names: all that are followed, or, of too many, those that were named or moved last.
#[derive(Default)]
pub struct Trail {
    /// The last to move first.
    recent: VecDeque<ChannelId>,
}

impl Trail {
    /// A channel was named by a cursor, or has moved.
    pub fn note(&mut self, channel: ChannelId) {
        if self.recent.front() == Some(&channel) {
            return;
        }
        self.recent.retain(|other| *other != channel);
        self.recent.push_front(channel);
        self.recent.truncate(LISTED_MAX);
    }

    /// The `id` for where a session is.
    #[must_use]
    pub fn id(&self, mut cursors: Vec<(ChannelId, i64)>) -> String {
        if cursors.len() > LISTED_MAX {
            let places: HashMap<ChannelId, i64> = cursors.into_iter().collect();
            let recent = self.recent.iter().filter_map(|channel| Some((*channel, *places.get(channel)?)));
            cursors = recent.collect();
        }
        cursors.sort_unstable();
        let mut id = String::with_capacity(cursors.len() * 44);
        for (channel, seq) in cursors {
            let comma = if id.is_empty() { "" } else { "," };
            write!(id, "{comma}{}:{seq}", channel_name(channel)).expect("a text takes what is written to it");
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(number: u8) -> ChannelId {
        ChannelId::from_bytes([number; 16])
    }

    #[test]
    fn cursors_are_read_as_they_were_written() {
        let id = Trail::default().id(vec![(channel(2), 7), (channel(1), 0), (ChannelId::ZERO, 3)]);
        assert_eq!(id, format!("me:3,{}:0,{}:7", channel(1), channel(2)));
        let read = parse(&id).unwrap();
        assert_eq!(read.len(), 3);
        assert_eq!((&read["me"], &read[&channel(2).to_string()]), (&3.into(), &7.into()));
        assert!(parse("").unwrap().is_empty() && parse(" , ").unwrap().is_empty());
        for wrong in ["x", "x:", "x:-1", "x:+1", "x:1.5", "x:99999999999999999999", ":", "a:1;b:2"] {
            assert_eq!(parse(wrong).unwrap_err().field, Some("cursors"), "{wrong}");
        }
    }

    #[test]
    fn of_too_many_channels_those_that_moved_last_are_named() {
        let all: Vec<(ChannelId, i64)> = (0..=150).map(|number| (channel(number), i64::from(number))).collect();
        let mut trail = Trail::default();
        assert_eq!(trail.id(all.clone()), "");
        for number in (0..=150).rev() {
            trail.note(channel(number));
        }
        trail.note(channel(0));
        let named = parse(&trail.id(all)).unwrap();
        assert_eq!(named.len(), LISTED_MAX);
        assert!(named.contains_key(&channel(99).to_string()) && !named.contains_key(&channel(100).to_string()));
        assert!(trail.id((0..=150).map(|number| (channel(number), i64::MAX)).collect()).len() < 7000);
    }
}
