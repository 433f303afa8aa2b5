//! E-mail in.
pub mod letter;
