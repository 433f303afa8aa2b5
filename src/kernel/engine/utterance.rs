//! What an entry says that can be searched for, told by its feature; which of what was said before it stands in place of.
//! Does not know: how a search goes about it, or who asks.

use crate::kernel::base::ThingId;

/// The words of one entry, about one thing: a message, a note, a plan item, a task.
pub struct Utterance {
    /// The thing: what a hit is of.
    pub of: ThingId,
    /// The entry makes the thing: nothing was said of it before.
    pub first: bool,
    /// Nothing that was said of the thing before stands any more.
    pub anew: bool,
    /// The words, by part.
    pub parts: Vec<Part>,
}

/// One part of what is said of a thing.
pub struct Part {
    /// A part with a name stands in place of what earlier entries said under that name; one without stands beside all that was said.
    pub name: Option<&'static str>,
    /// The words; none where the part is no more.
    pub texts: Vec<String>,
}

impl Utterance {
    /// Of the entry that makes a thing.
    #[must_use]
    pub const fn first(of: ThingId) -> Self {
        Self { of, first: true, anew: false, parts: Vec::new() }
    }

    /// Of an entry that says more, or something else, of a thing that is there.
    #[must_use]
    pub const fn more(of: ThingId) -> Self {
        Self { of, first: false, anew: false, parts: Vec::new() }
    }

    /// Of an entry whose words stand in place of all that was said.
    #[must_use]
    pub const fn anew(of: ThingId) -> Self {
        Self { of, first: false, anew: true, parts: Vec::new() }
    }

    /// Of an entry after which nothing that was said stands: a retraction.
    #[must_use]
    pub const fn taken_back(of: ThingId) -> Self {
        Self::anew(of)
    }

    /// Adds words that stand beside all others.
    #[must_use]
    pub fn says(mut self, texts: impl IntoIterator<Item = String>) -> Self {
        self.parts.push(Part { name: None, texts: texts.into_iter().collect() });
        self
    }

    /// Adds the part of that name.
    #[must_use]
    pub fn has(mut self, name: &'static str, texts: impl IntoIterator<Item = String>) -> Self {
        self.parts.push(Part { name: Some(name), texts: texts.into_iter().collect() });
        self
    }
}
