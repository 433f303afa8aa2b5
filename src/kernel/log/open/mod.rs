//! Open work: things that wait for somebody, found by patient or by the item they are linked to.
//! Does not know: what settles them.

pub mod sql;
