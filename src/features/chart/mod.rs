//! The record on its way to the chart: exports, proofs, and their verification.

mod out;
pub mod proof;

pub use out::{Memory, Out};
pub use proof::{Verdict, verify};
