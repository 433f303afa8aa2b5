//! Floor 2: the record. Entries in channels, gapless and chained; pages of them; named things; the site log.
//! Does not know: who may read (policy), what an op means (features), frames to sockets (live).
//! Invariants: `seq` of a channel is 1..n; an entry is never changed; bodies leave as the bytes that were sealed, but those
//! that are withheld.

mod append;
pub mod document;
mod fact;
pub mod open;
mod page;
pub mod recent;
pub mod scan;
pub mod site;
pub mod sql;
#[cfg(test)]
mod tests;
mod thing;
pub mod trail;
pub mod vault;
pub mod verify;

pub use append::{Appended, Head, NewFact, append};
pub use fact::Fact;
pub use page::{Cursor, entries, newest, page, sequels, since};
pub use thing::{Thing, ThingKind};
pub use vault::Vault;
