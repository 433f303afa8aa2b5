//! The record as resources of FHIR R4. Two passes: the first learns what surrounds the messages and what became of them, the second gives
//! them as they stand. Each kind of record gives its own resources; here they get their identity, their references and their request.
//!
//! `fhir-transaction` streams them into a Bundle that a chart takes in one step, twice without harm; a document and a filing to a target
//! gather them in memory first.

mod attached;
pub(super) mod attester;
mod bundle;
mod document;
mod people;
pub(super) mod refer;
mod scene;
mod sections;
mod signature;
pub(super) mod sink;
mod surveyed;
#[cfg(test)]
mod tests;
mod texts;
mod verify;
mod writing;

use super::export::Single;
use super::source::{Part, Source};
use super::{ExportRequest, ExportSummary, Out};
use crate::kernel::base::Stop;
use bundle::Bundle;
pub(super) use document::document;
use sink::{Gathered, Pieces};
use surveyed::{changed_again, scene, surveyed};
pub use verify::{DocumentVerdict, verify_document};
use writing::Writing;

/// Writes a transaction Bundle.
pub(super) async fn transaction(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    out: &mut dyn Out,
) -> Result<(ExportSummary, [u8; 32]), Stop> {
    let file = Single::begin(out, "bundle.json")?;
    let about = source.about(request, parts).await?;
    let (mut survey, taken) = surveyed(source, request, parts, &about).await?;
    survey.people.extend(request.vouching());
    let scene = scene(source, parts, survey).await?;
    let subject = scene.patient_reference(request.with_patient);
    let mut bundle = Bundle::new(file, scene.system.clone(), source.patient, subject);
    if taken.summary.entries == 0 {
        return Ok((taken.summary, bundle.finish()?));
    }
    let again = changed_again(source, request, parts, &scene).await?;
    if request.with_patient {
        bundle.patient(scene.patient_resource(), &scene.patient_search())?;
    }
    let sink = &mut bundle;
    let (scene, about, taken) = (&scene, &about, &taken);
    Writing { source, request, scene, parts, about, again, taken, sink }.all().await?;
    if let Some(vouched) = &request.vouched {
        bundle.attest(vouched, scene)?;
    }
    Ok((taken.summary, bundle.finish()?))
}

/// Gathers the resources of an export in memory.
///
/// # Errors
/// `too_large` beyond [`sink::GATHERED_ENTRIES_MAX`] entries; a message without a plan item; a failure of the record.
pub(super) async fn gather(source: &Source<'_>, request: &ExportRequest, parts: &[Part]) -> Result<Gathered, Stop> {
    let about = source.about(request, parts).await?;
    let (mut survey, taken) = surveyed(source, request, parts, &about).await?;
    sink::bounded(taken.summary)?;
    // Whoever exports is named by what is made of it.
    survey.people.insert(source.subject.user);
    survey.people.extend(request.vouching());
    let scene = scene(source, parts, survey).await?;
    let again = changed_again(source, request, parts, &scene).await?;
    let sent_again = again.keys().copied().collect();
    let mut pieces = Pieces::default();
    {
        let (scene, about, taken, sink) = (&scene, &about, &taken, &mut pieces);
        Writing { source, request, scene, parts, about, again, taken, sink }.all().await?;
    }
    Ok(Gathered { scene, pieces: pieces.pieces, summary: taken.summary, again: sent_again })
}
