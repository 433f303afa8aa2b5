//! The kernel: the record, its order, its proof, its fan-out, its access rule.

pub mod base;
pub mod crypto;
pub mod store;
