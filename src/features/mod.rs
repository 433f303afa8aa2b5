//! The record kinds. Each is one folder and one line here; a new one changes nothing else.

use crate::kernel::engine::Feature;

pub mod board;
pub mod care_plan;
pub mod channels;
pub mod chart;
pub mod checkins;
pub mod discharge;
pub mod files;
pub mod handoffs;
pub mod identity;
pub mod intake;
pub mod notes;
pub mod patients;
pub mod search;
pub mod tasks;

/// THE REGISTRY: one line per record kind, in the order they may know each other.
pub const FEATURES: &[&dyn Feature] = &[
    &identity::Identity,
    &patients::Patients,
    &care_plan::CarePlan,
    &files::Attachments,
    &channels::Channels,
    &tasks::Tasks,
    &notes::Notes,
    &handoffs::Handoffs,
    &checkins::Checkins,
    &intake::Intake,
    &board::Board,
    &discharge::Discharge,
    &search::Search,
    &chart::Chart,
    &chart::exports::Exports,
];
