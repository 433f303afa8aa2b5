//! Reads FHIR R4 JSON (Bundles, single resources, NDJSON) into patients, plan items and what is kept beside them.
//!
//! Pure: bytes in, a [`Reading`] out. Does not know: the record, ids of ours, SQL, files, time. Whoever calls it decides what
//! is new. Laws: no resource is lost (each is a patient, an item, kept, a repeat, or listed as not understood); no patient is
//! ever guessed; the answer does not depend on the order of the files; no input can make it panic.
//!
//! What an earlier import brought is handed in as [`Known`]. [`Reading::sought`] names what was looked up there, so a caller
//! whose knowledge lies in a database reads once with nothing, fetches what was sought, and reads again until nothing new is.

mod bundle;
mod concept;
mod element;
mod items;
mod json;
mod kinds;
mod known;
mod owners;
mod patient;
mod plan;
mod raw;
mod reading;
mod references;
mod settle;
mod status;
mod team;
mod titles;

#[cfg(test)]
mod tests;

pub use known::{Known, KnownResource, Sought};
pub use raw::{identifiers_of, type_and_id};
pub use reading::{
    Code, ItemKind, ItemSource, KeptResource, NotUnderstood, NoteSource, Participant, PatientSource, Place, Reading,
    ResourceKey, Role, SourceFile, TeamSource,
};

use element::Report;
use known::Lookup;
use owners::Owner;
use plan::Drafts;
use references::Index;
use settle::Settled;

/// Characters (Unicode scalar values) of a title; a longer one is cut and stands in full in the detail.
pub const TITLE_CHARS_MAX: usize = 500;

/// Characters of a detail: as much as a message may hold. What is longer stays whole in the verbatim JSON.
pub const DETAIL_CHARS_MAX: usize = 8000;

/// Listed things of one call. A file of nothing but faults would otherwise answer with many times its own size.
pub const NOT_UNDERSTOOD_MAX: usize = 10_000;

/// Reads the files of one call together, so that a reference may lead from any of them into any other.
///
/// Sizes are bounded by the caller; what this adds is bounded by the input's size times a constant.
#[must_use]
pub fn read(files: &[SourceFile<'_>], known: &Known) -> Reading {
    let lookup = Lookup::new(known);
    let mut report = Report::default();
    let mut ordered: Vec<&SourceFile<'_>> = files.iter().collect();
    ordered.sort_by_key(|file| (file.name, file.bytes));

    let mut sources = Vec::new();
    for (document, file) in ordered.iter().enumerate() {
        bundle::load(file, document, &mut sources, &mut report);
    }
    let Settled { sources, repeats, doubtful } = settle::settle(sources, &lookup, &mut report);
    let index = Index::new(&sources, &doubtful, &lookup);
    let owners = owners::owners(&sources, &index, &mut report);

    let mut drafts = Drafts::new(&sources, &index, &owners);
    drafts.read_plans(&mut report);
    drafts.read_loose(&mut report);

    let mut reading = Reading { repeats, ..Reading::default() };
    let mut patients = patient::charts(&sources, &owners, &mut report);
    for position in 0..sources.len() {
        let source = &sources[position];
        let kept = || KeptResource::of(source);
        match &owners[position] {
            Owner::Refused | Owner::Themself(_) => {}
            Owner::Nobody => reading.kept_without_patient.push(kept()),
            Owner::Patient(_) if drafts.is_item(position) => {}
            Owner::Patient(key) => patient::chart(&mut patients, key, &lookup).kept.push(kept()),
        }
    }
    team::read_teams(&sources, &owners, &index, &mut patients, &mut report);
    drafts.hand_out(&mut patients, &lookup);

    reading.patients = patients.into_values().collect();
    reading.not_understood = report.into_listed();
    reading.sought = lookup.into_sought();
    reading
}
