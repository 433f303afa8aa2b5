//! An export from its beginning to its end: heads signed, bytes written, the filing recorded. The forms stand beside it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::filing::{BEGIN, Begun, CoveredChannel, FILE, Filing, Told};
use super::lines::Lines;
use super::source::{Part, Source, Walk};
use super::{ExportRequest, ExportSummary, Format, Out, hl7v2, proof, transcript};
use crate::features::files;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{ChannelId, Fault, FileId, Refusal, Stop};
use crate::kernel::crypto::chain;
use crate::kernel::crypto::head::HeadNote;
use crate::kernel::crypto::{self, Hash, Hasher, hex};
use crate::kernel::engine::{Data, Engine};
use crate::kernel::log::{site, verify::leaf_of};
use crate::kernel::policy::{Right, Subject};

/// Writes an export to `out` and files it in the record: signed heads first, an entry `export.filed` last. Only what the caller may
/// read is written, decided again for each page.
///
/// # Errors
/// A refusal (`not_found` for a patient or channel the caller may not see, `forbidden`), or a failure of the record or of `out`; then
/// nothing is filed, and what was written is not an export.
pub async fn export(
    engine: &Engine,
    subject: &Subject,
    request: ExportRequest,
    out: &mut dyn Out,
) -> Result<ExportSummary, Stop> {
    let source = Source { engine, subject, patient: request.patient, right: Right::Export, progress: out.progress() };
    request.check()?;
    let mut beginning = beginning(&request);
    if let Some(items) = &request.items {
        beginning.insert("items".into(), items.iter().map(|id| Value::from(id.to_string())).collect());
    }
    let begun = engine.run_internal(subject.clone(), BEGIN, beginning).await?;
    let begun: Begun = serde_json::from_value(begun).map_err(|_| Fault::Defect("signed heads cannot be read"))?;
    let parts = source.parts(&request, begun).await?;
    source.reckon(request.format, &parts);
    let (summary, digest) = write(&source, &request, &parts, out).await?;
    if request.names_entries() && summary.entries == 0 {
        return Err(Refusal::not_found().field("entries").into());
    }
    out.finish()?;
    let filing = Filing {
        patient: request.patient,
        told: Told {
            format: request.format.text().to_owned(),
            entries: summary.entries,
            channels: summary.channels,
            from: request.from.map(rfc3339),
            to: request.to.map(rfc3339),
            since: request.since_last.then(|| "last".to_owned()),
            sha256: hex(&digest),
            target: None,
            purpose: request.purpose.clone(),
        },
        covered: match request.is_picked() {
            // What was left out between two points is still to come.
            true => Vec::new(),
            false => parts.into_iter().filter(|part| !part.window.is_empty()).map(covered).collect(),
        },
    };
    engine.run_internal(subject.clone(), FILE, members(&filing)?).await?;
    source.progress.end();
    Ok(summary)
}

pub(super) fn beginning(request: &ExportRequest) -> Data {
    let mut data = Data::new();
    data.insert("patient".into(), request.patient.to_string().into());
    data.insert("format".into(), request.format.text().into());
    if let Some(channels) = &request.channels {
        data.insert("channels".into(), channels.iter().map(|id| Value::from(id.to_string())).collect());
    }
    data
}

fn members(filing: &Filing) -> Result<Data, Fault> {
    match serde_json::to_value(filing) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(Fault::Defect("a filing is not JSON")),
    }
}

/// Writes the form that is asked for; gives what was taken out and SHA-256 of it.
pub(super) async fn write(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    out: &mut dyn Out,
) -> Result<(ExportSummary, Hash), Stop> {
    // Each form is a walk of its own: kept off the stack of whoever asked for it.
    match request.format {
        Format::Ndjson => Box::pin(ndjson(source, request, parts, out)).await,
        Format::Proof => Box::pin(proof(source, request, parts, out)).await,
        Format::FhirTransaction => Box::pin(super::fhir::transaction(source, request, parts, out)).await,
        Format::FhirDocument => Box::pin(super::fhir::document(source, request, parts, out)).await,
        Format::Html => Box::pin(transcript::html(source, request, parts, out)).await,
        Format::Pdf => Box::pin(transcript::pdf(source, request, parts, out)).await,
        Format::Hl7v2 => Box::pin(hl7v2::export(source, request, parts, out)).await,
    }
}

/// What of a channel went out.
pub(super) fn covered(part: Part) -> CoveredChannel {
    CoveredChannel { channel: part.begun.id, spans: part.window, horizon: part.begun.size }
}

/// One file, hashed on its way.
pub(super) struct Single<'o> {
    out: &'o mut dyn Out,
    hasher: Hasher,
}

impl<'o> Single<'o> {
    pub fn begin(out: &'o mut dyn Out, name: &str) -> Result<Self, Fault> {
        out.begin_file(name)?;
        Ok(Self { out, hasher: Hasher::default() })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.hasher.update(bytes);
        Ok(self.out.write(bytes)?)
    }

    pub fn finish(self) -> Hash {
        self.hasher.finish()
    }
}

async fn ndjson(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    out: &mut dyn Out,
) -> Result<(ExportSummary, Hash), Stop> {
    let signer = source.engine.shared().vault.keyring().signer()?;
    let mut file = Single::begin(out, "record.ndjson")?;
    let about = source.about(request, parts).await?;
    let mut summary = ExportSummary::default();
    for part in parts {
        let before = summary.entries;
        let mut lines = Lines::of(part, signer.verifier(), !request.is_picked() && !request.since_last);
        let mut walk = Walk::writing(source, part.begun.id, &part.fresh);
        loop {
            let facts = walk.next().await?;
            if facts.is_empty() {
                break;
            }
            for fact in facts.iter().filter(|fact| request.takes(fact, about.item(fact))) {
                file.write(&lines.line(fact).map_err(|_| Fault::Defect("a line is not JSON"))?)?;
                summary.entries += 1;
            }
        }
        summary.channels += u64::from(summary.entries > before);
    }
    Ok((summary, file.finish()))
}

async fn proof(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    out: &mut dyn Out,
) -> Result<(ExportSummary, Hash), Stop> {
    let vault = source.engine.shared().vault.clone();
    let signer = vault.keyring().signer()?;
    let checkpoint = {
        let mut cx = source.read().await?;
        site::checkpoint(cx.tx(), &vault).await?
    };
    let mut writer = proof::Writer::new(out, vault.deployment(), source.patient);
    let mut summary = ExportSummary::default();
    for part in parts {
        let BegunRef { id, size, index } = begun(part)?;
        writer.begin_leaves(id)?;
        let mut chain = chain::Walk::from_start(vault.deployment(), source.patient, id);
        let mut walk = Walk::new(source, id, &[[1, size]]);
        loop {
            let facts = walk.next().await?;
            if facts.is_empty() {
                break;
            }
            for fact in &facts {
                let leaf = leaf_of(fact).to_bytes();
                chain.step(&leaf)?;
                writer.leaf(&leaf)?;
            }
        }
        // A proof that would fail is never handed out: what is wrong is wrong here.
        if HeadNote::verify(&part.begun.note, signer.verifier())?.head != *chain.head() {
            return Err(Fault::Integrity("the chain does not end in the head that was signed").into());
        }
        let disclosed = entries(source, request, part, &mut writer).await?;
        let taken: u64 = disclosed.iter().map(|[from, to]| to - from + 1).sum();
        summary.entries += taken;
        summary.channels += u64::from(taken > 0);
        let inclusion = site::inclusion(source.read().await?.tx(), index, checkpoint.size).await?;
        let inclusion = inclusion.ok_or(Fault::Integrity("a signed head is not in the site log"))?;
        let signed = proof::SignedChannel { note: &part.begun.note, index, inclusion: &inclusion, disclosed };
        writer.end_channel(id, signed)?;
    }
    let digest: crypto::Hash = writer.finish(&checkpoint.note, &signer)?;
    Ok((summary, digest))
}

/// The numbers of a channel that are never negative.
struct BegunRef {
    id: ChannelId,
    size: i64,
    index: u64,
}

fn begun(part: &Part) -> Result<BegunRef, Fault> {
    let index = u64::try_from(part.begun.index).map_err(|_| Fault::Integrity("a negative place in the site log"))?;
    Ok(BegunRef { id: part.begun.id, size: part.begun.size, index })
}

/// The content of a channel that is disclosed; gives its spans.
async fn entries(
    source: &Source<'_>,
    request: &ExportRequest,
    part: &Part,
    writer: &mut proof::Writer<'_>,
) -> Result<Vec<[u64; 2]>, Stop> {
    let (mut disclosed, mut carried): (Vec<[u64; 2]>, BTreeSet<FileId>) = (Vec::new(), BTreeSet::new());
    writer.begin_entries(part.begun.id)?;
    let about = source.about(request, std::slice::from_ref(part)).await?;
    let mut walk = Walk::writing(source, part.begun.id, &part.fresh);
    loop {
        let facts = walk.next().await?;
        if facts.is_empty() {
            attachments(source, part.begun.id, carried, writer).await?;
            return Ok(disclosed);
        }
        for fact in facts.iter().filter(|fact| request.takes(fact, about.item(fact)) && !fact.withheld) {
            let seq = fact.seq.unsigned_abs();
            let files = match fact.files == [0; 32] {
                true => Vec::new(),
                false => files::proofs(&mut source.read().await?, fact).await?,
            };
            writer.entry(seq, fact.id, &fact.r, fact.body.get().as_bytes(), &files)?;
            carried.extend(files.into_iter().map(|(file, _)| file));
            match disclosed.last_mut() {
                Some([_, last]) if *last + 1 == seq => *last = seq,
                _ => disclosed.push([seq, seq]),
            }
        }
    }
}

/// The files of disclosed entries, chunk by chunk. Which of them may be read is decided as for everybody.
async fn attachments(
    source: &Source<'_>,
    channel: ChannelId,
    carried: BTreeSet<FileId>,
    writer: &mut proof::Writer<'_>,
) -> Result<(), Stop> {
    for file in carried {
        let mut opened = files::open(source.engine, source.subject, channel, file).await?;
        writer.begin_attachment(channel, file)?;
        while let Some(chunk) = opened.next().await? {
            writer.attachment(&chunk)?;
        }
    }
    Ok(())
}
