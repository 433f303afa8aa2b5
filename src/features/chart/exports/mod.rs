//! The life of an export: drafted, attested, filed, told apart from what a receiver had before.

pub mod model;
pub mod parcel;
pub mod sql;
