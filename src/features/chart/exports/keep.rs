//! An export as it is kept: its row, and what of it says something about the patient, sealed. Who sees it. Does not know receivers.
//! Invariant: an export that names a channel, or an entry of one, is seen only by who reads that channel; to anybody else it does not exist.

use serde::{Deserialize, Serialize};

use super::model::State;
use super::outsized::Files;
use super::shapes::{Attestation, FiledAs, Progress, Said, Selection, Shown, Standing, Summary};
use super::sql::{self, ExportRow};
use crate::features::chart::filing;
use crate::features::chart::{ExportRequest, Format, Vouched};
use crate::kernel::base::world::{parse_rfc3339, rfc3339};
use crate::kernel::base::{ChannelId, Code, Fault, Micros, PatientId, Refusal, Stop, ThingId, UserId};
use crate::kernel::crypto::{Hasher, hex};
use crate::kernel::engine::{Data, Engine, Ledger, Read, Write};
use crate::kernel::policy::{self, Access, Interval, Permit, Right, Subject};

/// Everything of an export that its row does not say.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct View {
    pub selection: Selection,
    /// Channels it names, and where the entries stand that it names: the whole of a channel is `None`.
    pub places: Vec<(ChannelId, Option<i64>)>,
    pub summaries: Vec<Summary>,
    pub contributors: Vec<UserId>,
    pub attesters: Vec<UserId>,
    pub attestations: Vec<Attestation>,
    /// The first attester stood with the authority of the host.
    pub of_host: bool,
    /// What came later was not attested.
    pub until: Option<Micros>,
    pub purpose: Option<String>,
    pub supersedes: Option<ThingId>,
    pub superseded_by: Option<ThingId>,
    pub withdrawn: Option<String>,
    pub outcome: Option<Said>,
    pub filed: Option<FiledAs>,
    /// MAC of the command that drafted it, and the version of the key of that.
    pub drafted: Option<(Vec<u8>, u32)>,
    /// What may have left since it was last told.
    #[serde(default)]
    pub left: Option<filing::Told>,
    #[serde(default)]
    pub job: Job,
}

/// What the job knows of its filing.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Job {
    /// Its parcels are made.
    pub planned: bool,
    /// Entries of a transaction that the receiver stands; none: as its settings say, 0: no transactions.
    pub limit: Option<u32>,
    /// Who the receiver takes the patient for.
    pub patient: Option<String>,
    /// Where to ask about what it holds for review.
    pub poll: Option<String>,
    /// How files travel, as far as the receiver said what is too large for it.
    #[serde(default)]
    pub files: Files,
    /// What is there was looked at again for the parcel that is next.
    pub refetched: bool,
    /// What is recorded once it is through.
    pub filing: Option<filing::Filing>,
    /// Of how many resources.
    pub resources: u64,
}

impl Job {
    /// Another beginning, with what the receiver said of itself.
    pub fn anew(&self) -> Self {
        Self { limit: self.limit, files: self.files, ..Self::default() }
    }
}

/// An export that the caller sees.
pub(super) struct Found {
    pub row: ExportRow,
    pub view: View,
}

/// Channels with what of them may be read; all of it if none is said.
pub(super) type Scope<'a> = [(ChannelId, Option<&'a [Interval]>)];

/// Whether a channel, or an entry of it, may be read. What was written while somebody was away is not theirs.
pub(super) fn is_in(scope: &Scope<'_>, channel: ChannelId, seq: Option<i64>) -> bool {
    let Some((_, spans)) = scope.iter().find(|(id, _)| *id == channel) else { return false };
    let (Some(spans), Some(seq)) = (spans, seq) else { return true };
    !policy::spans(spans, seq, seq).is_empty()
}

fn parse(plain: &[u8]) -> Result<View, Fault> {
    serde_json::from_slice(plain).map_err(|_| Fault::Integrity("an export's view is not JSON"))
}

impl View {
    /// Whether everybody attested who has to.
    pub fn is_attested(&self) -> bool {
        let did = |user: &UserId| self.attestations.iter().any(|one| one.by == *user);
        !self.attestations.is_empty() && self.attesters.iter().all(did)
    }

    /// SHA-256 of what an attester sees, hex.
    pub fn digest(&self) -> Result<String, Fault> {
        let seen = serde_json::to_vec(&(&self.selection, &self.summaries));
        let mut hasher = Hasher::default();
        hasher.update(&seen.map_err(|_| Fault::Defect("a selection is not JSON"))?);
        Ok(hex(&hasher.finish()))
    }

    fn is_seen(&self, subject: &Subject, permit: &Permit, access: &Access, now: Micros) -> bool {
        let scope = filing::scope(subject, permit, access, now);
        self.places.iter().all(|(channel, seq)| is_in(&scope, *channel, *seq))
    }
}

impl Found {
    /// The state it is in.
    pub fn state(&self) -> Result<State, Fault> {
        State::from_number(self.row.state).ok_or(Fault::Integrity("unknown state of an export"))
    }

    /// What is taken out: as it was attested, nothing that came later.
    pub fn request(&self) -> Result<ExportRequest, Stop> {
        let Selection { channels, items, classes, entries, from, to } = self.view.selection.clone();
        let time = |text: Option<String>| {
            text.map(|text| parse_rfc3339(&text)).transpose().map_err(|_| Fault::Integrity("a time is none"))
        };
        let to = match (time(to)?, self.view.until) {
            (Some(to), Some(until)) => Some(to.min(until)),
            (to, until) => to.or(until),
        };
        let format = Format::from_text(&self.row.form).unwrap_or(Format::FhirTransaction);
        let all = ExportRequest::all(self.row.patient, format);
        let (purpose, target) = (self.view.purpose.clone(), self.row.target.clone());
        let vouched = Some(Vouched {
            export: self.row.id,
            attestations: self.view.attestations.clone(),
            summaries: self.view.summaries.clone(),
            replaces: self.view.supersedes.into_iter().collect(),
        });
        Ok(ExportRequest { channels, items, classes, entries, from: time(from)?, to, purpose, target, vouched, ..all })
    }

    /// What is filed of it: what the target has not had. What takes the place of another is whole; resources that the receiver has
    /// unchanged are not sent again even so.
    pub fn filed(&self) -> Result<ExportRequest, Stop> {
        let adds = self.view.supersedes.is_none() || self.row.form == Format::Hl7v2.text();
        Ok(ExportRequest { since_last: adds && self.row.target.is_some(), ..self.request()? })
    }

    /// As it is shown.
    pub fn shown(self) -> Result<Shown, Fault> {
        let state = self.state()?;
        let Self { row, view } = self;
        Ok(Shown {
            export: row.id,
            patient: row.patient,
            state,
            rev: row.rev,
            target: row.target,
            format: row.form,
            by: row.drafter,
            at: rfc3339(row.at),
            changed_at: rfc3339(row.changed_at),
            selection: view.selection,
            summaries: view.summaries,
            contributors: view.contributors,
            attesters: view.attesters,
            attestations: view.attestations,
            purpose: view.purpose,
            supersedes: view.supersedes,
            superseded_by: view.superseded_by,
            withdrawn: view.withdrawn,
            progress: Progress { done: row.sent, of: row.parcels },
            attempts: row.attempts,
            next_at: row.next_at.filter(|_| state != State::Draft).map(rfc3339),
            outcome: view.outcome,
            filed: view.filed,
        })
    }

    /// The members of an answer.
    pub fn standing(&self, repeat: bool) -> Result<Data, Fault> {
        let standing =
            Standing { export: self.row.id, state: self.state()?, rev: self.row.rev, repeat: repeat.then_some(true) };
        match serde_json::to_value(standing) {
            Ok(serde_json::Value::Object(members)) => Ok(members),
            _ => Err(Fault::Defect("an answer is not JSON")),
        }
    }

    /// Seals what is kept into the row, under the next revision.
    pub async fn seal(&mut self, ledger: &Ledger) -> Result<(), Fault> {
        let plain = serde_json::to_vec(&self.view).map_err(|_| Fault::Defect("an export is not JSON"))?;
        self.row.revision += 1;
        self.row.sealed = ledger.seal_view(self.row.patient, self.row.id.0, self.row.revision, &plain).await?;
        Ok(())
    }

    /// Writes it: another state, another number for who changes it next.
    pub async fn write(&mut self, cx: &mut Write<'_>, state: State) -> Result<(), Fault> {
        self.row.state = state.number();
        self.row.rev += 1;
        self.row.changed_at = cx.now();
        self.seal(cx.ledger()).await?;
        Ok(sql::set(cx.ledger().change(), &self.row).await?)
    }
}

/// Of what is family's nothing is exported by them: to them no export exists.
fn hidden(stop: Stop) -> Stop {
    match stop {
        Stop::Refused(refusal) if refusal.code == Code::Forbidden => Refusal::not_found().into(),
        other => other,
    }
}

/// An export that the caller of a write sees.
pub(super) async fn find(cx: &mut Write<'_>, id: ThingId) -> Result<Found, Stop> {
    let row = sql::get(cx.ledger().tx(), id).await?.ok_or_else(Refusal::not_found)?;
    let permit = cx.permit_patient(Right::DraftExport, row.patient).await.map_err(hidden)?;
    let found = open(cx.ledger(), row).await?;
    let access = cx.ledger().access(found.row.patient).await?.ok_or_else(Refusal::not_found)?;
    if !found.view.is_seen(cx.subject(), &permit, &access, cx.now()) {
        return Err(Refusal::not_found().into());
    }
    cx.about(id);
    Ok(found)
}

/// Opens what a row keeps.
pub(super) async fn open(ledger: &Ledger, row: ExportRow) -> Result<Found, Fault> {
    let view = parse(&ledger.open_view(row.patient, row.id.0, row.revision, &row.sealed).await?)?;
    Ok(Found { row, view })
}

/// As [`open`], for who reads.
pub(super) async fn opened(cx: &Read, row: ExportRow) -> Result<Found, Fault> {
    let view = parse(&cx.open_view(row.patient, row.id.0, row.revision, &row.sealed).await?)?;
    Ok(Found { row, view })
}

/// An export that the caller of a read sees.
pub(super) async fn seen(cx: &mut Read, id: ThingId) -> Result<Found, Stop> {
    let row = sql::get(cx.tx(), id).await?.ok_or_else(Refusal::not_found)?;
    let (permit, access) = cx.permit_patient(Right::DraftExport, row.patient).await.map_err(hidden)?;
    let found = opened(cx, row).await?;
    if !found.view.is_seen(cx.subject(), &permit, &access, cx.now()) {
        return Err(Refusal::not_found().into());
    }
    cx.audit.object = Some(id);
    Ok(found)
}

/// What is taken out of an attested draft of a file, for a caller who sees it.
///
/// # Errors
/// `not_found`; `bad_transition` before everybody attested who has to, and for what goes to a target.
pub async fn attested(
    engine: &Engine,
    subject: &Subject,
    patient: PatientId,
    export: ThingId,
) -> Result<ExportRequest, Stop> {
    let mut cx = engine.reader(subject.clone()).await?;
    let found = seen(&mut cx, export).await?;
    if found.row.patient != patient {
        return Err(Refusal::not_found().into());
    }
    let ready = found.state()? == State::Attested && found.view.is_attested() && found.row.target.is_none();
    if !ready {
        let detail = "A file is made of an export without a target, once everybody attested it who has to.";
        return Err(Refusal::new(Code::BadTransition).detail(detail).field("export").into());
    }
    found.request()
}

/// Exports of one list.
const LIST_MAX: i64 = 200;

/// Those of a patient that the caller sees, the newest first.
pub(super) async fn all(cx: &mut Read, patient: PatientId) -> Result<Vec<Found>, Stop> {
    let (permit, access) = cx.permit_patient(Right::DraftExport, patient).await?;
    let rows = sql::newest(cx.tx(), patient, LIST_MAX).await?;
    let mut exports = Vec::with_capacity(rows.len());
    for row in rows {
        let found = opened(cx, row).await?;
        if found.view.is_seen(cx.subject(), &permit, &access, cx.now()) {
            exports.push(found);
        }
    }
    Ok(exports)
}
