//! Documented notes: what was discussed outside, logged back in.
