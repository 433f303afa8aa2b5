//! Files of another system become patients and plans: what is known is found again, what is new is recorded, and every resource that
//! came is kept byte for byte.
//! Does not know: how a resource is read (`import` does), how files come in.
//! What came before and comes again changed is a new version of what it became; what was changed here, too, waits for the lead.
//! Invariants: one call is one transaction; a second import of the same files records nothing; no patient is found for somebody who
//! does not stand at them, so an import tells nobody who else is here.

mod again;
mod bring;
mod collections;
pub(super) mod conflicts;
mod known;
mod merge;
mod parcel;
pub mod sql;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

pub(super) use bring::bring;
pub use store::{KeptSource, kept};

use super::import::{self, Known, Reading};
use crate::kernel::base::{Fault, PatientId, Refusal, Stop};
use crate::kernel::engine::{Data, Engine};
use crate::kernel::policy::{Right, Subject};
use parcel::Parcel;

/// The internal op that brings a reading in.
pub(super) const OP: &str = "patient.import";

/// One reading finds what the next needs; sources do not refer to each other in chains longer than this.
const ROUNDS_MAX: usize = 8;

/// A file of the source.
pub struct ImportFile {
    /// Its name; `.ndjson` at its end means one resource a line.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What came of an import. No `Debug`: it holds names.
#[derive(Serialize, JsonSchema)]
pub struct ImportReport {
    /// Patients of the files, each once.
    pub patients: Vec<ImportedPatient>,
    /// What was left out, and why.
    pub not_understood: Vec<LeftOut>,
}

/// A patient of an import.
#[derive(Serialize, JsonSchema)]
pub struct ImportedPatient {
    /// The patient here.
    pub id: PatientId,
    /// Their name here.
    pub name: String,
    /// Plan items of theirs in these files, open and closed.
    pub items: usize,
    /// Whether they were new.
    pub created: bool,
}

/// Something that was not understood, and that nothing was guessed for.
#[derive(Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LeftOut {
    /// The file.
    pub file: String,
    /// Where in it.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// What was read of one patient from a server that holds their plan.
pub struct Pulled {
    /// The patient. Nobody else is brought in.
    pub patient: PatientId,
    /// The server's name in the configuration.
    pub server: String,
    /// It is all that the server holds of their plan: what it held before, and is not here, is gone there.
    pub whole: bool,
    /// A Bundle.
    pub bytes: Vec<u8>,
}

/// Imports files that belong together, as one transaction: all of it or nothing.
///
/// # Errors
/// `forbidden` for who is not staff, or brings something new for a patient whose plan they do not change; `busy`, `internal`.
pub async fn import_files(engine: &Engine, subject: &Subject, files: Vec<ImportFile>) -> Result<ImportReport, Refusal> {
    let permitted = async {
        let mut reader = engine.reader(subject.clone()).await?;
        reader.permit_server(Right::RegisterPatient)
    };
    match permitted.await {
        Ok(_) => {}
        // Before the work of reading, but by the same op, which writes the audit row.
        Err(Stop::Refused(_)) => drop(run(engine, subject, &Parcel::default()).await?),
        Err(stop) => return Err(stop.refusal()),
    }
    import(engine, subject, files, |parcel| parcel).await
}

/// Imports what a server holds of a patient who is registered here, as [`import_files`] does.
///
/// # Errors
/// As [`import_files`].
pub async fn import_pulled(engine: &Engine, subject: &Subject, pulled: Pulled) -> Result<ImportReport, Refusal> {
    let Pulled { patient, server, whole, bytes } = pulled;
    let files = vec![ImportFile { name: format!("{server}.json"), bytes }];
    let server = whole.then_some(server);
    import(engine, subject, files, |parcel| Parcel { only: Some(patient), server, ..parcel }).await
}

async fn import(
    engine: &Engine,
    subject: &Subject,
    files: Vec<ImportFile>,
    with: impl FnOnce(Parcel) -> Parcel,
) -> Result<ImportReport, Refusal> {
    let reading = read(engine, subject, files).await.map_err(|fault| Stop::Failed(fault).refusal())?;
    let mut not_understood: Vec<LeftOut> = reading
        .not_understood
        .iter()
        .map(|one| LeftOut { file: one.file.clone(), path: one.path.clone(), reason: one.reason.clone().into_owned() })
        .collect();
    let places: Vec<Option<import::Place>> = reading.patients.iter().map(|patient| patient.place.clone()).collect();
    let mut parcel = with(Parcel::of(reading));
    parcel.forget_ours(&own_system(engine));
    let brought = run(engine, subject, &parcel).await?;
    for (position, reason) in brought.left_out {
        let place = places.get(position).cloned().flatten();
        let (file, path) = place.map(|place| (place.file, place.path)).unwrap_or_default();
        not_understood.push(LeftOut { file, path, reason });
    }
    Ok(ImportReport { patients: brought.patients, not_understood })
}

/// `system` of the identifiers that this deployment gives.
fn own_system(engine: &Engine) -> String {
    let shared = engine.shared();
    let set = shared.config.export.identifier_system.clone();
    set.unwrap_or_else(|| format!("urn:uuid:{}", shared.vault.deployment()))
}

async fn run(engine: &Engine, subject: &Subject, parcel: &Parcel) -> Result<bring::Brought, Refusal> {
    let defect = |what| Stop::Failed(Fault::Defect(what)).refusal();
    let data = match serde_json::to_value(parcel) {
        Ok(serde_json::Value::Object(data)) => data,
        _ => return Err(defect("a parcel is not JSON")),
    };
    let answer: Data = match engine.run_internal(subject.clone(), OP, data).await? {
        serde_json::Value::Object(answer) => answer,
        _ => return Err(defect("an answer is no object")),
    };
    bring::Brought::of(&answer).map_err(|fault| Stop::Failed(fault).refusal())
}

/// Reads until nothing that is known here was missed.
async fn read(engine: &Engine, subject: &Subject, files: Vec<ImportFile>) -> Result<Reading, Fault> {
    let files = Arc::new(files);
    let mut memory = Known::nothing();
    let mut asked = std::collections::BTreeSet::new();
    for round in 1.. {
        let (again, held) = (files.clone(), memory);
        // Tens of megabytes take seconds to read: not where sockets are served.
        let done = tokio::task::spawn_blocking(move || {
            let files: Vec<import::SourceFile<'_>> =
                again.iter().map(|file| import::SourceFile { name: &file.name, bytes: &file.bytes }).collect();
            (import::read(&files, &held), held)
        });
        let (reading, held) = done.await.map_err(|_| Fault::Defect("a reading was given up"))?;
        memory = held;
        let new: Vec<_> = reading.sought.difference(&asked).cloned().collect();
        asked.extend(new.iter().cloned());
        let found = known::remember(engine, subject, &new, &mut memory).await?;
        if found == 0 || round >= ROUNDS_MAX {
            return Ok(reading);
        }
    }
    Err(Fault::Defect("a reading without end"))
}
