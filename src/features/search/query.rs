//! What is asked for: the text, the filters, and from where on. Does not know: entries, who may see them. Pure.

use super::fold::Needle;
use crate::kernel::base::{ChannelId, Code, ItemId, Micros, PatientId, Refusal, UserId};
use crate::kernel::engine::Data;
use crate::kernel::engine::fields::Fields;

/// Characters of what is looked for: longer than any phrase somebody remembers.
pub const QUERY_CHARS_MAX: usize = 200;
/// Hits of one answer.
pub const HITS_MAX: usize = 50;

/// Where an entry stands in the order of all entries: by time, within one time by channel, there by `seq`. The newest is the greatest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// When.
    pub at: Micros,
    /// Where.
    pub channel: ChannelId,
    /// Place in the channel.
    pub seq: i64,
}

impl Place {
    /// As a client gives it back in `before`.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}.{}.{}", self.at, self.seq, self.channel)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let (at, seq, channel) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { at: at.parse().ok()?, channel: channel.parse().ok()?, seq: seq.parse().ok()? })
    }
}

/// The command `search`.
pub struct Query {
    /// What is looked for.
    pub needle: Needle,
    /// Of whom only.
    pub patient: Option<PatientId>,
    /// Where only.
    pub channel: Option<ChannelId>,
    /// By whom only.
    pub author: Option<UserId>,
    /// About what only.
    pub item: Option<ItemId>,
    /// At this time or later.
    pub from: Option<Micros>,
    /// Before this time.
    pub to: Option<Micros>,
    /// Behind this place, as the answer before named it.
    pub before: Option<Place>,
    /// Hits at most.
    pub limit: usize,
}

impl Query {
    /// Reads the command.
    ///
    /// # Errors
    /// `invalid` or `too_large`, naming the field.
    pub fn parse(data: &Data) -> Result<Self, Refusal> {
        let fields = Fields(data);
        let text = fields.string("text")?.map(str::trim).filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| Refusal::invalid("text", "Say what to look for."))?;
        if text.chars().count() > QUERY_CHARS_MAX {
            let detail = format!("At most {QUERY_CHARS_MAX} characters.");
            return Err(Refusal::new(Code::TooLarge).field("text").detail(&detail));
        }
        let (from, to) = (fields.time("from")?, fields.time("to")?);
        if from.zip(to).is_some_and(|(from, to)| from > to) {
            return Err(Refusal::invalid("to", "`to` is not before `from`."));
        }
        let before = fields.string("before")?.map(|text| {
            Place::parse(text).ok_or_else(|| Refusal::invalid("before", "This field is `next` of the answer before."))
        });
        let most = i64::try_from(HITS_MAX).unwrap_or(i64::MAX);
        let limit = fields.integer("limit")?.unwrap_or(most);
        let limit = usize::try_from(limit).ok().filter(|limit| (1..=HITS_MAX).contains(limit));
        Ok(Self {
            needle: Needle::new(text),
            patient: fields.id("patient")?,
            channel: fields.id("channel")?,
            author: fields.id("author")?,
            item: fields.id("item")?,
            from,
            to,
            before: before.transpose()?,
            limit: limit.ok_or_else(|| Refusal::invalid("limit", "An answer holds 1 to 50 hits."))?,
        })
    }

    /// Whether the times and the author allow an entry.
    #[must_use]
    pub fn allows(&self, at: Micros, by: UserId) -> bool {
        self.from.is_none_or(|from| at >= from)
            && self.to.is_none_or(|to| at < to)
            && self.author.is_none_or(|author| author == by)
    }

    /// Whether an entry stands behind what was answered before.
    #[must_use]
    pub fn is_ahead(&self, place: Place) -> bool {
        self.before.is_none_or(|before| place < before)
    }

    /// The highest place of a channel whose newest entry is of `newest` that can be shown.
    #[must_use]
    pub fn top(&self, channel: ChannelId, newest: Micros) -> Place {
        let until = self.to.map_or(newest, |to| newest.min(to.saturating_sub(1)));
        Place { at: self.before.map_or(until, |before| until.min(before.at)), channel, seq: i64::MAX }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(data: &serde_json::Value) -> Result<Query, Refusal> {
        Query::parse(data.as_object().unwrap())
    }

    #[test]
    fn what_is_asked_is_bounded_and_named() {
        let wrong = |data: serde_json::Value| {
            let refusal = parse(&data).err().unwrap_or_else(|| panic!("{data} was taken"));
            (refusal.code, refusal.field.unwrap())
        };
        assert_eq!(wrong(json!({})), (Code::Invalid, "text"));
        assert_eq!(wrong(json!({"text": " \n"})), (Code::Invalid, "text"));
        assert_eq!(wrong(json!({"text": "x".repeat(201)})), (Code::TooLarge, "text"));
        for (field, value) in [
            ("patient", json!(1)),
            ("channel", json!("x")),
            ("author", json!("x")),
            ("item", json!([])),
            ("from", json!("yesterday")),
            ("to", json!(3)),
            ("before", json!("x")),
            ("before", json!("1.2.3")),
            ("limit", json!(0)),
            ("limit", json!(51)),
        ] {
            assert_eq!(wrong(json!({"text": "a", field: value})), (Code::Invalid, field));
        }
        let times = json!({"text": "a", "from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"});
        assert_eq!(wrong(times), (Code::Invalid, "to"));
        assert!(parse(&json!({"text": "é".repeat(200), "patient": null})).is_ok());
    }

    #[test]
    fn a_place_comes_back_as_it_went() {
        let place = Place { at: 17, channel: ChannelId::from_bytes([7; 16]), seq: 3 };
        assert_eq!(Place::parse(&place.text()), Some(place));
        let asked = parse(&json!({"text": "a", "before": place.text()})).unwrap();
        assert!(asked.is_ahead(Place { seq: 2, ..place }) && !asked.is_ahead(place));
        assert!(
            asked.is_ahead(Place { at: 16, seq: 9, ..place }) && !asked.is_ahead(Place { at: 18, seq: 1, ..place })
        );
    }
}
