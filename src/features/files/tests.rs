//! Files over a whole engine.
