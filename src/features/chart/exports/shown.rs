//! What is going to be filed, as a person reads it: the words, summaries and signatures that will be, before they are. Does not know
//! receivers. Invariant: nothing is written, neither in the record nor of what a receiver has; that it was read is in the audit trail.

use super::keep::{Found, seen};
use super::model::State;
use super::planning::replace;
use super::status::places;
use crate::features::chart::filing::{Begun, BegunChannel};
use crate::features::chart::source::Source;
use crate::features::chart::{ExportRequest, Format, Memory, Progress, transcript};
use crate::kernel::base::{Code, Fault, PatientId, Refusal, Stop, ThingId};
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Engine, Read};
use crate::kernel::policy::{Right, Subject};

/// Says what may be read of it, as `export.begin` does for what leaves; no head is signed for that.
pub(super) const READ: &str = "export.read";

/// `export.read`: data {patient, export}.
pub(super) async fn begin(cx: &mut Read, data: &Data) -> Result<Begun, Stop> {
    let fields = Fields(data);
    let patient: PatientId = fields.required_id("patient")?;
    of(cx, patient, fields.required_id("export")?).await?;
    cx.permit_patient(Right::PreviewExport, patient).await?;
    let places = places(cx, patient).await?;
    let channels = places.into_iter().map(|place| BegunChannel {
        id: place.id,
        size: place.size,
        readable: place.spans,
        chosen: true,
        note: String::new(),
        index: 0,
    });
    Ok(Begun { channels: channels.collect() })
}

/// One that waits to be signed for or filed.
async fn of(cx: &mut Read, patient: PatientId, export: ThingId) -> Result<Found, Stop> {
    let found = seen(cx, export).await?;
    if found.row.patient != patient {
        return Err(Refusal::not_found().into());
    }
    if !matches!(found.state()?, State::Draft | State::Attested) {
        let detail = "Only what waits to be signed for or filed has a preview.";
        return Err(Refusal::new(Code::BadTransition).detail(detail).field("export").into());
    }
    Ok(found)
}

/// The transcript of what an export will file, as HTML, for a caller who sees it.
///
/// # Errors
/// `not_found`; `bad_transition` once it is on its way; `too_large` for more entries than are read at once.
pub async fn preview(engine: &Engine, subject: &Subject, patient: PatientId, export: ThingId) -> Result<Vec<u8>, Stop> {
    let mut named = Data::new();
    named.insert("patient".into(), patient.to_string().into());
    named.insert("export".into(), export.to_string().into());
    let begun = engine.run_internal(subject.clone(), READ, named).await?;
    let mut begun: Begun = serde_json::from_value(begun).map_err(|_| Fault::Defect("what may be read is not JSON"))?;
    let found = of(&mut engine.reader(subject.clone()).await?, patient, export).await?;
    let mut request = found.filed()?;
    if let Some(channels) = &request.channels {
        begun.channels.retain(|begun| channels.contains(&begun.id));
    }
    let right = Right::PreviewExport;
    let source = Source { engine, subject, patient, right, progress: Progress::default() };
    let mut parts = source.parts(&request, begun).await?;
    replace(&source, &mut request, &mut parts, &found).await?;
    let request = ExportRequest { format: Format::Html, preview: true, ..request };
    let mut out = Memory::default();
    Box::pin(transcript::html(&source, &request, &parts, &mut out)).await?;
    Ok(out.files.into_values().next().unwrap_or_default())
}
