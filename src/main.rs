//! The `carethread` program.
fn main() {}
