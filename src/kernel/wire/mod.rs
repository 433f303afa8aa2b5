//! Floor 1: frames in and out. Reads strictly, encodes once.
//! Does not know: who may, what an op means, SQL. One of the two places that know JSON frames; the other is `interfaces`.

pub mod close;
mod frame;
mod strict;
#[cfg(test)]
mod tests;

pub use frame::{Frame, Hello, Request, bytes, error, event, event_bytes, hello, notice, parse, parse_op, reply};
pub use strict::parse_value;

/// The subprotocol (RFC 6455 section 1.9) of this version.
pub const SUBPROTOCOL: &str = "carethread.v1";
