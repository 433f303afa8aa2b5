//! The job: attested exports are filed, one parcel after the other, until the receiver has all of them, holds them for review, or says that
//! it will not take them. How a filing stands is in the database between any two steps, so a server that was killed goes on where it was.
//! Invariants: one filing at a time per target; a parcel's bytes are kept before they are first sent.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::advance::{ADVANCE, Advance, Gained, Moved, seat};
use super::keep::{Found, Job, opened};
use super::ledger::{Holdings, Kept, hold, holdings, launch};
use super::making::{Making, Planned};
use super::model::State;
use super::planning::{Hindered, plan};
use super::setbacks::PAUSE_LAST;
use super::shapes::Said;
use super::sql::{self, ExportRow, ParcelRow};
use crate::features::chart::targets::{Outcome, Parcel, Receiver, Receivers, Remote, send};
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{Fault, Micros, Refusal, Stop, ThingId};
use crate::kernel::engine::{Data, Engine};
use crate::kernel::policy::Subject;

/// How often it looks what is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Filings of one look: one a target is under way, the others wait.
const DUE_MAX: i64 = 50;
/// How often a receiver is asked about what it holds for review, if it does not say.
const POLL_EVERY: Micros = 60_000_000;

/// The filings under way in this process, by target. Shared by cloning.
#[derive(Clone)]
pub struct Filings {
    pub(super) engine: Engine,
    receivers: Arc<Receivers>,
    /// The built-in user, with the authority of the host.
    host: Subject,
}

/// A target that is filed to; free again when dropped.
struct Turn {
    target: String,
    name: String,
}

/// Targets that are filed to in this process, by deployment: a command that files waits for the job, and the job for it.
static BUSY: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

impl Drop for Turn {
    fn drop(&mut self) {
        BUSY.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

impl Filings {
    /// Over the targets of the configuration. `host` is who steps are written by.
    #[must_use]
    pub fn new(engine: Engine, host: Subject) -> Self {
        let receivers = Arc::new(Receivers::of(&engine.shared().config.targets, engine.world()));
        Self { engine, receivers, host }
    }

    /// Files what is due, for as long as the engine runs.
    pub async fn keep(self) {
        let mut failing = false;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if self.engine.shared().vault.keyring().is_sealed() {
                continue;
            }
            let looked = self.look().await;
            if let (false, Err(fault)) = (failing, &looked) {
                tracing::error!(error = %fault, "What is to be filed cannot be looked up");
            }
            failing = looked.is_err();
        }
    }

    async fn look(&self) -> Result<(), Fault> {
        let now = self.engine.world().now();
        let mut tx = self.engine.shared().db.read().await?;
        let due = sql::due(&mut tx, now, DUE_MAX).await?;
        drop(tx);
        for row in due {
            let Some(turn) = self.turn(&row) else { continue };
            let filings = self.clone();
            tokio::spawn(async move { filings.file(row.id, turn).await });
        }
        Ok(())
    }

    fn turn(&self, row: &ExportRow) -> Option<Turn> {
        let target = row.target.clone()?;
        let name = format!("{}/{target}", self.engine.shared().vault.deployment());
        let mut busy = BUSY.lock().unwrap_or_else(PoisonError::into_inner);
        // Made only where it is taken: one that is dropped frees the target, and wants the lock that is held here.
        busy.insert(name.clone()).then(|| Turn { target, name })
    }

    /// Files one export as far as it goes now, and gives how it stands.
    ///
    /// # Errors
    /// `busy` while another is filed to the same target; `not_found`; a failure of the record.
    pub async fn file_now(&self, export: ThingId) -> Result<State, Stop> {
        let row = self.row(export).await?;
        if let Some(turn) = self.turn(&row) {
            self.file(export, turn).await;
        }
        let state = State::from_number(self.row(export).await?.state);
        Ok(state.ok_or(Fault::Integrity("unknown state of an export"))?)
    }

    async fn row(&self, export: ThingId) -> Result<ExportRow, Stop> {
        let mut tx = self.engine.shared().db.read().await.map_err(Fault::from)?;
        let row = sql::get(&mut tx, export).await.map_err(Fault::from)?;
        Ok(row.ok_or_else(Refusal::not_found)?)
    }

    async fn file(&self, export: ThingId, turn: Turn) {
        let mut filing = match self.begin(export, &turn.target).await {
            Ok(Some(filing)) => filing,
            Ok(None) => return,
            Err(stop) => return told(&stop),
        };
        if let Err(stop) = filing.run().await {
            told(&stop);
            if let Err(stop) = filing.hindered(stop).await {
                told(&stop);
            }
        }
    }

    async fn begin(&self, export: ThingId, target: &str) -> Result<Option<Filing<'_>>, Stop> {
        let mut cx = self.engine.reader(self.host.clone()).await?;
        let Some(row) = sql::get(cx.tx(), export).await? else { return Ok(None) };
        let now = self.engine.world().now();
        if row.next_at.is_none_or(|at| at > now) {
            return Ok(None);
        }
        let mut found = opened(&cx, row).await?;
        // What an attempt came to that was not heard of, a receiver may hold by now: what is there is looked at again.
        found.view.job.refetched = false;
        let holdings = holdings(&mut cx, found.row.patient, target).await?;
        Ok(Some(Filing { filings: self, target: target.to_owned(), found, holdings }))
    }
}

/// A failure of ours is logged here; nothing of what is filed.
fn told(stop: &Stop) {
    match stop {
        Stop::Failed(fault) => tracing::error!(error = %fault, "A filing could not take its next step"),
        Stop::Refused(refusal) => tracing::warn!(code = refusal.code.text(), "A filing could not take its next step"),
    }
}

/// One filing, as this process works on it.
pub(super) struct Filing<'f> {
    pub filings: &'f Filings,
    target: String,
    pub found: Found,
    pub holdings: Holdings,
}

/// What is written of a step besides the row.
#[derive(Default)]
pub(super) struct Written {
    pub plan: Option<Vec<Planned>>,
    pub parcel: Option<Moved>,
    pub held: Vec<Gained>,
}

impl Filing<'_> {
    /// Goes on until there is nothing to do, or a time to wait for.
    async fn run(&mut self) -> Result<(), Stop> {
        let filings = self.filings;
        let Some(receiver) = filings.receivers.named(&self.target) else {
            return self.fail("misconfigured", "No target of that name is configured any more.").await;
        };
        loop {
            let state = self.found.state()?;
            if !matches!(state, State::Attested | State::Filing | State::Held) || self.waits() {
                return Ok(());
            }
            if !self.found.view.job.planned {
                self.plan(receiver).await?;
                continue;
            }
            let Some(row) = self.next().await? else {
                self.found.view.outcome = None;
                self.write(State::Filed, None, Written::default()).await?;
                return Ok(());
            };
            self.attempt(receiver, row).await?;
        }
    }

    fn waits(&self) -> bool {
        let now = self.filings.engine.world().now();
        self.found.row.next_at.is_none_or(|at| at > now)
    }

    pub(super) fn now(&self) -> Micros {
        self.filings.engine.world().now()
    }

    /// Who the record is read as.
    fn subject(&self) -> Result<Subject, Stop> {
        let first = self.found.view.attestations.first().ok_or(Fault::Defect("filed, and nobody attested"))?;
        if self.found.view.of_host {
            return Ok(Subject { user: first.by, ..self.filings.host.clone() });
        }
        Ok(self.filings.engine.subject(first.by).ok_or_else(Refusal::not_found)?.attested())
    }

    async fn plan(&mut self, receiver: &Receiver) -> Result<(), Stop> {
        let subject = self.subject()?;
        let planned = plan(&self.filings.engine, &subject, &self.found, receiver).await;
        let planned = match planned {
            Ok(planned) => planned,
            Err(Hindered::Stop(stop)) => return Err(stop),
            Err(Hindered::Outcome(outcome)) => return self.unplanned(outcome).await,
        };
        let job = &mut self.found.view.job;
        *job = Job { planned: true, patient: planned.patient, ..job.anew() };
        if !planned.parcels.is_empty() {
            self.found.view.left = Some(planned.filing.told.clone());
        }
        (job.filing, job.resources) = (Some(planned.filing), planned.resources);
        (self.found.row.attempts, self.found.row.sent) = (0, 0);
        let (parcels, now) = (planned.parcels, self.now());
        self.write(State::Filing, Some(now), Written { plan: Some(parcels), ..Written::default() }).await
    }

    async fn next(&self) -> Result<Option<ParcelRow>, Fault> {
        let mut tx = self.filings.engine.shared().db.read().await?;
        Ok(sql::next_parcel(&mut tx, self.found.row.id).await?)
    }

    async fn attempt(&mut self, receiver: &Receiver, mut row: ParcelRow) -> Result<(), Stop> {
        let (mut planned, parcel) = self.opened(&row).await?;
        let parcel = match parcel {
            Some(parcel) => parcel,
            None if planned.marks => return self.mark(receiver, planned, &row).await,
            None => {
                self.make(&mut planned, &mut row).await?;
                let ready = planned.ready.as_ref().ok_or(Fault::Defect("a parcel without bytes"))?;
                ready.parcel(row.n)?
            }
        };
        let outcome = match self.found.view.job.poll.clone() {
            Some(poll) => receiver.poll(&parcel, &poll).await,
            None => send(receiver, &parcel).await,
        };
        self.judge(receiver, outcome, planned, row).await
    }

    async fn opened(&self, row: &ParcelRow) -> Result<(Planned, Option<Parcel>), Stop> {
        let cx = self.filings.engine.reader(self.filings.host.clone()).await?;
        let plain = cx.open_view(self.found.row.patient, seat(row.export, row.n), row.revision, &row.sealed).await?;
        let planned: Planned =
            serde_json::from_slice(&plain).map_err(|_| Fault::Integrity("a parcel is not what was kept"))?;
        let parcel = planned.ready.as_ref().map(|ready| ready.parcel(row.n)).transpose()?;
        Ok((planned, parcel))
    }

    /// Makes the bytes and keeps them: from now on nobody knows what the receiver has of them, until it says so.
    pub(super) async fn make(&mut self, planned: &mut Planned, row: &mut ParcelRow) -> Result<(), Stop> {
        let shared = self.filings.engine.shared();
        let system = shared.config.export.identifier_system.clone();
        let system = system.unwrap_or_else(|| format!("urn:uuid:{}", shared.vault.deployment()));
        let making = Making {
            system: &system,
            patient: self.found.row.patient,
            at_receiver: self.found.view.job.patient.as_deref(),
            holdings: &self.holdings,
        };
        planned.ready = Some(making.make(planned)?);
        for sent in &planned.sent {
            launch(&mut self.holdings, sent);
        }
        let held = self.gained(planned, "");
        let parcel = Moved { n: row.n, state: 1, revision: row.revision, planned: Some(planned.clone()) };
        let (state, now) = (self.found.state()?, self.now());
        self.write(state, Some(now), Written { parcel: Some(parcel), held, plan: None }).await?;
        (row.state, row.revision) = (1, row.revision + 1);
        Ok(())
    }

    /// The ledger's rows of a parcel, as the holdings have them now.
    fn gained(&self, planned: &Planned, words: &str) -> Vec<Gained> {
        let rows = planned.sent.iter().flat_map(|sent| {
            let carried = sent.carries.iter().map(|(id, _)| (*id, "Communication"));
            std::iter::once((sent.id, sent.class.as_str())).chain(carried)
        });
        rows.map(|(resource, class)| {
            let held = self.holdings.get(&resource).cloned().unwrap_or_default();
            let (location, etag) = (held.location, held.etag);
            let kept = Kept { class: class.to_owned(), id: None, location, etag, words: words.to_owned() };
            Gained { resource, hash: held.hash, kept }
        })
        .collect()
    }

    async fn judge(
        &mut self,
        receiver: &Receiver,
        outcome: Outcome,
        planned: Planned,
        row: ParcelRow,
    ) -> Result<(), Stop> {
        match outcome {
            Outcome::Done { .. } | Outcome::Refetch { .. } | Outcome::TooLarge | Outcome::Stopped { .. }
                if planned.marks =>
            {
                self.marked(receiver, outcome, planned, &row).await
            }
            Outcome::Done { remote, words } => self.done(&planned, &row, &remote, &words).await,
            Outcome::Held { poll, after } => {
                let next = self.now() + after.map_or(POLL_EVERY, micros);
                self.say("held", "");
                self.found.view.job.poll = Some(poll);
                // To be asked for patience is no failure, however often it happens.
                self.found.row.attempts = 0;
                self.write(State::Held, Some(next), Written::default()).await
            }
            Outcome::Again { after, words } => {
                let state = self.found.state()?;
                self.again(state, after, words).await
            }
            Outcome::Refetch { words } => self.refetch(receiver, planned, row, words).await,
            Outcome::TooLarge => self.smaller(&planned).await,
            Outcome::Stopped { code, .. } if planned.bundle && code == "unsupported" => {
                self.found.view.job.limit = Some(0);
                self.replan().await
            }
            Outcome::Stopped { code, words } => self.fail(&code, &words).await,
        }
    }

    pub(super) async fn done(
        &mut self,
        planned: &Planned,
        row: &ParcelRow,
        remote: &[Remote],
        words: &str,
    ) -> Result<(), Stop> {
        for sent in &planned.sent {
            // A patient who was made is known by the identifier they came with.
            let ours = sent.id.to_string();
            let alone = planned.sent.len() == 1;
            let place = remote.iter().find(|one| one.id == ours).or_else(|| remote.first().filter(|_| alone));
            let (location, etag) = place.map_or((None, None), |one| (Some(one.location.clone()), one.etag.clone()));
            hold(&mut self.holdings, sent, location, etag);
        }
        let held = self.gained(planned, words);
        self.found.row.sent += 1;
        self.found.row.attempts = 0;
        (self.found.view.job.poll, self.found.view.job.refetched, self.found.view.outcome) = (None, false, None);
        let parcel = Moved { n: row.n, state: 2, revision: row.revision, planned: None };
        let now = self.now();
        // What was held for review stands as held until all of it is there.
        let state = self.found.state()?;
        self.write(state, Some(now), Written { parcel: Some(parcel), held, plan: None }).await
    }

    pub(super) async fn fail(&mut self, code: &str, words: &str) -> Result<(), Stop> {
        self.say(code, words);
        self.write(State::Failed, None, Written::default()).await
    }

    pub(super) fn say(&mut self, code: &str, words: &str) {
        let at = rfc3339(self.now());
        self.found.view.outcome = Some(Said { code: code.to_owned(), words: words.to_owned(), at });
    }

    /// Takes the step in the database, and here.
    pub(super) async fn write(&mut self, state: State, next_at: Option<Micros>, written: Written) -> Result<(), Stop> {
        let Written { plan, parcel, held } = written;
        let laid = plan.as_ref().map(Vec::len);
        let advance = Advance {
            export: self.found.row.id,
            revision: self.found.row.revision,
            state,
            sent: self.found.row.sent,
            attempts: self.found.row.attempts,
            next_at,
            view: self.found.view.clone(),
            plan,
            parcel,
            held,
        };
        let data: Data = match serde_json::to_value(&advance) {
            Ok(Value::Object(members)) => members,
            _ => return Err(Fault::Defect("a step of a filing is not JSON").into()),
        };
        let filings = self.filings;
        let answer = filings.engine.run_internal(filings.host.clone(), ADVANCE, data).await?;
        self.found.row.revision = answer["revision"].as_i64().unwrap_or(self.found.row.revision + 1);
        (self.found.row.state, self.found.row.next_at) = (state.number(), next_at);
        if let Some(laid) = laid {
            (self.found.row.parcels, self.found.row.sent) = (i64::try_from(laid).unwrap_or(i64::MAX), 0);
        }
        Ok(())
    }
}

pub(super) fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(PAUSE_LAST)
}
