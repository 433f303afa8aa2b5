//! The life of an export: drafted, attested, filed, told apart from what a receiver had before.

pub mod parcel;
