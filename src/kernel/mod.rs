//! The kernel: the record, its order, its proof, its fan-out, its access rule.
//! Floors, each knowing only those below: live, engine, log and policy, then wire, crypto and store, base.

pub mod base;
pub mod crypto;
pub mod engine;
pub mod live;
pub mod log;
pub mod policy;
pub mod store;
pub mod wire;
