//! Floor 0: ids, time and randomness, the two kinds of "no", limits.
//! Knows nothing above it: no SQL, no frames, no keys.

pub mod config;
pub mod fault;
pub mod id;
pub mod limits;
pub mod phi;
pub mod recurrence;
pub mod refusal;
mod words;
pub mod world;

pub use fault::{Fault, Stop};
pub use id::{ChannelId, EntryId, FileId, ItemId, OrganizationId, PatientId, SessionId, ThingId, UserId};
pub use phi::{Phi, Secret};
pub use recurrence::Recurrence;
pub use refusal::{Code, Refusal};
pub(crate) use words::words;
pub use world::{Micros, World};
