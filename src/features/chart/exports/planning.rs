//! What a filing is made of: the attested entries as the target takes them, held against what it has. Reads the record as whoever attested
//! may read it now.

use serde_json::Value;
use uuid::Uuid;

use super::keep::Found;
use super::layers::layers;
use super::ledger::{Holdings, Sent, holdings};
use super::making::{Carrier, Planned, Ready, parcels};
use super::replacing::replaced;
use super::superseding::marks;
use crate::features::chart::export::{self, covered};
use crate::features::chart::fhir::{self, sink::Gathered};
use crate::features::chart::filing::{self, BEGIN, Begun, CoveredChannel, Filing, Told};
use crate::features::chart::hl7v2;
use crate::features::chart::hl7v2::ack::control_id;
use crate::features::chart::hl7v2::acknowledged::Acknowledged;
use crate::features::chart::source::{Part, Source};
use crate::features::chart::targets::{Outcome, Receiver, Resolved};
use crate::features::chart::{ExportRequest, ExportSummary, Format, Memory, Progress};
use crate::kernel::base::config::targets::{FhirTarget, Profile, Target};
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{Fault, Refusal, Stop};
use crate::kernel::crypto::{Hash, Hasher, hash, hex};
use crate::kernel::engine::Engine;
use crate::kernel::policy::{Right, Subject};

/// Why a filing is not planned.
pub(super) enum Hindered {
    /// The receiver's doing.
    Outcome(Outcome),
    /// The record's.
    Stop(Stop),
}

impl From<Stop> for Hindered {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<Fault> for Hindered {
    fn from(fault: Fault) -> Self {
        Self::Stop(fault.into())
    }
}

impl From<Refusal> for Hindered {
    fn from(refusal: Refusal) -> Self {
        Self::Stop(refusal.into())
    }
}

/// A filing that can begin.
pub(super) struct Plan {
    pub parcels: Vec<Planned>,
    pub filing: Filing,
    /// Who the receiver takes the patient for.
    pub patient: Option<String>,
    pub resources: u64,
}

/// Makes it whole where it takes the place of what its receiver has, and names that.
pub(super) async fn replace(
    source: &Source<'_>,
    request: &mut ExportRequest,
    parts: &mut [Part],
    found: &Found,
) -> Result<(), Stop> {
    let former = replaced(source, request, parts, found).await?;
    if !former.is_empty() && request.format != Format::Hl7v2 {
        request.since_last = false;
        parts.iter_mut().for_each(|part| part.fresh.clone_from(&part.window));
    }
    if let Some(vouched) = &mut request.vouched {
        vouched.replaces = former;
    }
    Ok(())
}

/// Works out what is to be sent.
pub(super) async fn plan(
    engine: &Engine,
    subject: &Subject,
    found: &Found,
    receiver: &Receiver,
) -> Result<Plan, Hindered> {
    let request = found.filed()?;
    let source =
        Source { engine, subject, patient: request.patient, right: Right::Export, progress: Progress::default() };
    let begun = engine.run_internal(subject.clone(), BEGIN, export::beginning(&request)).await?;
    let begun: Begun = serde_json::from_value(begun).map_err(|_| Fault::Defect("signed heads cannot be read"))?;
    let parts = source.parts(&request, begun).await?;
    let target = found.row.target.as_deref().ok_or(Fault::Defect("a file is not sent"))?;
    let held = holdings(&mut source.read().await?, request.patient, target).await?;
    match receiver.settings() {
        Target::Fhir(fhir) if fhir.profile != Profile::Document => {
            let gathered = fhir::gather(&source, &request, &parts).await?;
            let making = Resources { found, receiver, settings: fhir, request: &request, held: &held };
            making.plan(gathered, parts).await
        }
        _ => files(&source, &request, parts, found, &held).await,
    }
}

/// A filing of resources.
struct Resources<'a> {
    found: &'a Found,
    receiver: &'a Receiver,
    settings: &'a FhirTarget,
    request: &'a ExportRequest,
    held: &'a Holdings,
}

impl Resources<'_> {
    async fn plan(&self, gathered: Gathered, parts: Vec<Part>) -> Result<Plan, Hindered> {
        let patient = self.patient(&gathered).await.map_err(Hindered::Outcome)?;
        let missing = patient.is_none();
        let sent = layers(self.found, &gathered, self.held, missing);
        let superseding = marks(&sent, self.held);
        let there = |one: &Sent| self.held.get(&one.id).is_some_and(|held| held.hash == one.hash);
        let sent: Vec<Sent> = self.found.view.job.files.apart(sent).into_iter().filter(|one| !there(one)).collect();
        let limit = if self.settings.profile == Profile::Full { self.limit().await? } else { 0 };
        let resources = sent.len() as u64;
        let digest = digest(&sent);
        // A patient who is to be made stands by themself: everything else refers to them.
        let (first, rest): (Vec<Sent>, Vec<Sent>) = sent.into_iter().partition(|one| missing && one.class == "Patient");
        let mut all = parcels(first, 0);
        all.extend(parcels(rest, limit));
        // What takes their place is there by then.
        all.extend(superseding);
        let covered = covered_by(self.request, &gathered, parts);
        Ok(Plan {
            parcels: all,
            filing: filing(self.found, self.request, gathered.summary, digest, covered),
            patient,
            resources,
        })
    }

    /// Entries of a transaction; 0 where the server takes none.
    async fn limit(&self) -> Result<usize, Hindered> {
        if let Some(limit) = self.found.view.job.limit {
            return Ok(limit as usize);
        }
        let capable = self.receiver.capabilities().await.map_err(Hindered::Outcome)?;
        Ok(if capable.transaction { self.settings.entries_max as usize } else { 0 })
    }

    /// Who the receiver takes the patient for: exactly one, or, where the site says so, nobody yet.
    async fn patient(&self, gathered: &Gathered) -> Result<Option<String>, Outcome> {
        let scene = &gathered.scene;
        let theirs = scene.survey.identity.iter().flat_map(|identity| &identity.identifiers);
        let mut known: Vec<(String, String)> = theirs.map(|one| (one.system.clone(), one.value.clone())).collect();
        known.push((scene.system.clone(), scene.patient.to_string()));
        match self.receiver.resolve(&known).await? {
            Resolved::One(location) => Ok(Some(location)),
            Resolved::Nobody if self.settings.create_patient => Ok(None),
            Resolved::Nobody => Err(stopped("patient_unknown", "The receiver knows nobody by these identifiers.")),
            Resolved::Several => {
                Err(stopped("patient_ambiguous", "The receiver knows several people by these identifiers."))
            }
        }
    }
}

fn stopped(code: &str, words: &str) -> Outcome {
    Outcome::Stopped { code: code.to_owned(), words: words.to_owned() }
}

fn digest(sent: &[Sent]) -> String {
    let mut hasher = Hasher::default();
    sent.iter().for_each(|one| hasher.update(one.hash.as_bytes()));
    hex(&hasher.finish())
}

/// What the receiver has had once this is through.
fn covered_by(request: &ExportRequest, gathered: &Gathered, parts: Vec<Part>) -> Vec<CoveredChannel> {
    if !request.is_picked() {
        return parts.into_iter().filter(|part| !part.window.is_empty()).map(covered).collect();
    }
    let spans = |part: &Part| {
        let here = gathered.pieces.iter().filter_map(|piece| piece.entry).filter(|(id, _)| *id == part.begun.id);
        let mut places: Vec<i64> = here.map(|(_, seq)| seq).collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().map(|seq| [seq, seq]).collect::<Vec<_>>()
    };
    let all = parts.iter().map(|part| CoveredChannel {
        channel: part.begun.id,
        spans: spans(part),
        horizon: part.begun.size,
    });
    all.filter(|covered| !covered.spans.is_empty()).collect()
}

fn filing(
    found: &Found,
    request: &ExportRequest,
    summary: ExportSummary,
    sha256: String,
    covered: Vec<CoveredChannel>,
) -> Filing {
    let told = Told {
        format: found.row.form.clone(),
        entries: summary.entries,
        channels: summary.channels,
        from: request.from.map(rfc3339),
        to: request.to.map(rfc3339),
        since: request.since_last.then(|| "last".to_owned()),
        sha256,
        target: found.row.target.clone(),
        purpose: request.purpose.clone(),
    };
    filing::Filing { patient: request.patient, told, covered }
}

/// A form whose files go as they are: messages, documents.
async fn files(
    source: &Source<'_>,
    request: &ExportRequest,
    mut parts: Vec<Part>,
    found: &Found,
    held: &Holdings,
) -> Result<Plan, Hindered> {
    let format = Format::from_text(&found.row.form).ok_or(Fault::Defect("a target of a form that is none"))?;
    let mut request = ExportRequest { format, ..request.clone() };
    replace(source, &mut request, &mut parts, found).await?;
    let folder = found.row.target.as_deref().and_then(|name| source.engine.shared().config.targets.get(name));
    let folder = matches!(folder, Some(Target::Folder(_)));
    let (summary, digest, parcels) = match format {
        Format::Hl7v2 => messages(source, &request, &parts, found, held, folder).await?,
        _ => written(source, &request, &parts, found, held, folder).await?,
    };
    let resources = parcels.len() as u64;
    let covered = match request.is_picked() {
        true => Vec::new(),
        false => parts.into_iter().filter(|part| !part.window.is_empty()).map(covered).collect(),
    };
    Ok(Plan { parcels, filing: filing(found, &request, summary, hex(&digest), covered), patient: None, resources })
}

/// What is to be sent, with what was counted and SHA-256 of it.
type Files = (ExportSummary, Hash, Vec<Planned>);

/// Documents of one file.
async fn written(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    found: &Found,
    held: &Holdings,
    folder: bool,
) -> Result<Files, Stop> {
    let mut out = Memory::default();
    let (summary, digest) = export::write(source, request, parts, &mut out).await?;
    let export = found.row.id;
    let files = out.files.into_iter().filter(|(_, bytes)| !bytes.is_empty() && summary.entries > 0);
    let parcels = files.map(|(name, bytes)| {
        let carrier = match folder {
            true => Carrier::File(format!("{export}-{}", name.replace('/', "-"))),
            false => Carrier::Document,
        };
        let sent = whole(request, Uuid::new_v5(&export.0, name.as_bytes()), hex(&hash(&bytes)));
        Planned { sent: vec![sent], bundle: false, marks: false, ready: Some(Ready::written(carrier, &bytes)) }
    });
    // Of what was sent before, what was acknowledged is there.
    let is_missing = |one: &Sent| held.get(&one.id).is_none_or(|held| held.hash.is_empty());
    let parcels = parcels.filter(|planned| planned.sent.iter().any(is_missing)).collect();
    Ok((summary, digest, parcels))
}

/// Documents of one message each.
async fn messages(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    found: &Found,
    held: &Holdings,
    folder: bool,
) -> Result<Files, Stop> {
    let acknowledged = held.iter().filter(|(_, held)| !held.hash.is_empty());
    let acknowledged = Acknowledged::of(acknowledged.map(|(id, held)| (*id, held.hash.as_str())));
    let (summary, messages) = hl7v2::messages(source, request, parts, &acknowledged).await?;
    let (export, mut hasher) = (found.row.id, Hasher::default());
    let parcels = messages.into_iter().zip(1..).map(|(message, n)| {
        hasher.update(&message.bytes);
        let carrier = match folder {
            // Tried again, an export may have other messages in the same place.
            true => Carrier::File(format!("{export}-{n:04}-{}.hl7", control_id(&message.bytes).unwrap_or_default())),
            false => Carrier::Hl7v2,
        };
        let sent = whole(request, message.original, message.stamp);
        Planned { sent: vec![sent], bundle: false, marks: false, ready: Some(Ready::written(carrier, &message.bytes)) }
    });
    let parcels = parcels.collect();
    Ok((summary, hasher.finish(), parcels))
}

/// Something that is no resource.
fn whole(request: &ExportRequest, id: Uuid, hash: String) -> Sent {
    let class = request.format.text().to_owned();
    Sent { id, class, resource: Value::Null, update: false, hash, carries: Vec::new() }
}
