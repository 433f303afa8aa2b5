//! A slice of a channel looked at: opened, what it says laid against what was said later, and compared. Work for the processor alone.

use std::collections::HashMap;

use super::ground::Ground;
use super::query::{Place, Query};
use super::track::Later;
use crate::kernel::base::{Fault, ThingId, UserId};
use crate::kernel::engine::{Shared, Utterance};
use crate::kernel::log::scan::{self, DataKeys, Line, SealedLine};

/// An entry that says what is looked for, and still stands.
pub struct Candidate {
    /// The thing it is about.
    pub of: ThingId,
    /// Where it stands.
    pub place: Place,
    /// Event name.
    pub event: String,
    /// Author.
    pub by: UserId,
    /// The part of it that says so.
    pub text: String,
    /// It stands before what is asked for now: an answer before has told it.
    pub told: bool,
}

/// What came of a slice.
#[derive(Default)]
pub struct Found {
    /// Hits, unless the thing is another's, or hidden.
    pub candidates: Vec<Candidate>,
    /// Corrections met so far.
    pub later: HashMap<ThingId, Later>,
}

/// What a look needs besides the entries.
pub struct Look<'a> {
    /// Features and keys.
    pub shared: &'a Shared,
    /// The keys the entries name.
    pub keys: &'a DataKeys,
    /// The channel.
    pub ground: &'a Ground,
    /// What is looked for.
    pub query: &'a Query,
}

impl Look<'_> {
    /// Goes over entries, newest first. `later` is what those above them corrected.
    ///
    /// # Errors
    /// An entry does not open or is not what its event says: nothing is skipped.
    pub fn over(&self, lines: Vec<SealedLine>, later: HashMap<ThingId, Later>) -> Result<Found, Fault> {
        let mut found = Found { later, ..Found::default() };
        for line in lines {
            let Some(line) = scan::open(&self.shared.vault, &self.ground.head, self.keys, line)? else { continue };
            let Some(feature) = self.shared.registry.of_event(&line.event) else { continue };
            if let Some(said) = feature.words(&line)? {
                self.weigh(line, said, &mut found);
            }
        }
        Ok(found)
    }

    fn weigh(&self, line: Line, said: Utterance, found: &mut Found) {
        let Utterance { of, first, anew, parts } = said;
        let known = found.later.get(&of);
        if known.is_some_and(|later| later.anew) {
            return;
        }
        let place = Place { at: line.at, channel: self.ground.head.channel, seq: line.seq };
        let wanted = self.ground.shows(line.seq) && self.query.allows(line.at, line.by);
        let mut text = None;
        let mut names = Vec::new();
        for part in parts {
            if part.name.is_some_and(|name| known.is_some_and(|later| later.parts.contains(&name))) {
                continue;
            }
            if wanted && text.is_none() {
                text = part.texts.into_iter().find(|text| self.query.needle.is_in(text));
            }
            names.extend(part.name);
        }
        if !first && (anew || !names.is_empty()) {
            let later = found.later.entry(of).or_default();
            later.anew |= anew;
            later.parts.extend(names);
        }
        if let Some(text) = text {
            let told = !self.query.is_ahead(place);
            found.candidates.push(Candidate { of, place, event: line.event, by: line.by, text, told });
        }
    }
}
