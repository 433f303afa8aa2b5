//! The record on its way to the chart: exports, proofs, and their verification.
