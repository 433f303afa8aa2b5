//! Floor 4: fan-out. Which sessions listen to which channel, what waits for each, and how one catches up.
//! Does not know: sockets, HTTP, what an event says. It moves frames that were encoded once.
//! Invariants: a queue is bounded, and a full one ends its session, never the hub; events of a channel leave in order of `seq`;
//! whatever leaves was decided by policy under the rights the person has at that moment.

mod hub;
#[cfg(test)]
mod laws;
mod pages;
mod presence;
mod queue;
mod resume;
mod session;
#[cfg(test)]
mod tests;

pub use hub::{Full, Hub};
pub use presence::announce;
pub use resume::{channel_of, name as channel_name};
pub use session::{Delivery, End, Session};
