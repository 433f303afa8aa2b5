//! `carethread bench`: what the server does under load, beside the least that could be called the same work.
//!
//! [`run::run`] is the command, [`limit::run`] `bench limit`; both write to what they are handed.

pub mod append;
pub mod arguments;
pub mod curves;
pub mod dialect;
pub mod export;
pub mod fill;
pub mod found;
pub mod growth;
pub mod histogram;
pub mod limit;
pub mod load;
pub mod process;
pub mod run;
pub mod scenario;
pub mod search;
pub mod setup;
