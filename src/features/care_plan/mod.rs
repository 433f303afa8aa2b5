//! The living plan of a patient: problems, goals, activities, barriers.

pub mod import;
