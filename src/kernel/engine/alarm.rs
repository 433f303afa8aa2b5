//! Things that are to be done at a time: set by entries, rung by the clock. A ring is an internal op of the feature, in a transaction
//! like any other, so that it is done once, or not yet. Does not know: what an alarm is about.
//! Invariants: an alarm is a projection of the log; that it was run is not, so a rebuild runs none twice; one that cannot be run now is
//! tried again later, and holds up no other.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::fields::Fields;
use super::ledger::Ledger;
use super::{Data, Engine, Write, sql};
use crate::kernel::base::{Fault, Micros, PatientId, Stop};
use crate::kernel::policy::{Right, Subject};

/// How often it looks what is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Alarms of one look: more wait for the next one, so that other commands come between.
const DUE_MAX: i64 = 200;
/// The first pause before what was refused is tried again; it doubles each time.
const RETRY_FIRST: Micros = 30_000_000;
/// The longest such pause.
const RETRY_LAST: Micros = 3_600_000_000;

/// Something that is due.
#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Alarm {
    /// The thing it is about.
    pub thing: Uuid,
    /// The internal op that is run.
    pub op: String,
    /// At whose record.
    pub patient: PatientId,
    /// For when it was set.
    pub at: Micros,
}

/// What was rung and is not to be rung again yet: what was refused, tried again later, and what should not come back at all.
#[derive(Default)]
struct Pauses {
    until: Mutex<HashMap<Rung, Pause>>,
}

/// An alarm for the time it was set for.
type Rung = (Uuid, String, Micros);

#[derive(Clone, Copy)]
struct Pause {
    until: Micros,
    length: Micros,
}

impl Pauses {
    /// Forgets what is long over, and gives how many alarms pause.
    fn count(&self, now: Micros) -> i64 {
        let mut held = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, pause| now < pause.until + RETRY_LAST);
        held.len() as i64
    }

    fn holds(&self, alarm: &Alarm, now: Micros) -> bool {
        let held = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&name(alarm)).is_some_and(|pause| now < pause.until)
    }

    fn begin(&self, alarm: &Alarm, now: Micros) {
        let mut held = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let length = held.get(&name(alarm)).map_or(RETRY_FIRST, |pause| (pause.length * 2).min(RETRY_LAST));
        held.insert(name(alarm), Pause { until: now + length, length });
    }
}

fn name(alarm: &Alarm) -> Rung {
    (alarm.thing, alarm.op.clone(), alarm.at)
}

/// Rings what is due for as long as the engine runs. `by` is who the entries name: the deployment's built-in user, with the authority of
/// the host.
pub async fn keep(engine: Engine, by: Subject) {
    let (pauses, mut failing) = (Pauses::default(), false);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if engine.shared().vault.keyring().is_sealed() {
            continue;
        }
        let rung = ring(&engine, &by, &pauses).await;
        if let (false, Err(fault)) = (failing, &rung) {
            tracing::error!(error = %fault, "What is due cannot be looked up");
        }
        failing = rung.is_err();
    }
}

/// Rings everything that is due now, and what becomes due by that, and gives how much was done.
///
/// # Errors
/// The database's.
pub async fn ring_due(engine: &Engine, by: &Subject) -> Result<usize, Fault> {
    let (pauses, mut done) = (Pauses::default(), 0);
    loop {
        match ring(engine, by, &pauses).await? {
            0 => return Ok(done),
            rung => done += rung,
        }
    }
}

async fn ring(engine: &Engine, by: &Subject, pauses: &Pauses) -> Result<usize, Fault> {
    let now = engine.world().now();
    let mut tx = engine.shared().db.read().await?;
    let due = sql::alarms_due(&mut tx, now, DUE_MAX + pauses.count(now)).await?;
    drop(tx);
    let mut done = 0;
    for alarm in due.into_iter().filter(|alarm| !pauses.holds(alarm, now)) {
        let mut data = Data::new();
        data.insert("thing".into(), alarm.thing.to_string().into());
        data.insert("patient".into(), alarm.patient.to_string().into());
        data.insert("at".into(), alarm.at.into());
        data.insert("op".into(), alarm.op.clone().into());
        let outcome = engine.run_internal(by.clone(), &alarm.op, data).await;
        pauses.begin(&alarm, now);
        match outcome {
            Ok(_) => done += 1,
            Err(refusal) => {
                tracing::warn!(op = alarm.op, code = refusal.code.text(), "What was due could not be done yet");
            }
        }
    }
    Ok(done)
}

impl Ledger {
    /// At that time the server runs the internal op `op` about `thing`; `None` ends what was set. One alarm a thing and op. Called from
    /// `project`.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_alarm(
        &mut self,
        thing: Uuid,
        op: &'static str,
        patient: PatientId,
        at: Option<Micros>,
    ) -> Result<(), Fault> {
        // A rebuild sets and ends again what was set and ended before: what was run for the last time it was set stays run.
        if at.is_none() && !self.rebuilding {
            sql::forget_run(self.change(), thing, op).await?;
        }
        Ok(sql::set_alarm(self.change(), thing, op, patient, at).await?)
    }
}

impl Write<'_> {
    /// The alarm that an internal op was run for; none if it was set anew or ended meanwhile, or was run before. While a record is closed
    /// nothing is due in it: what is comes up again once it is reopened.
    ///
    /// # Errors
    /// Not asked by the server itself, or the database's.
    pub async fn alarm(&mut self, data: &Data) -> Result<Option<Alarm>, Stop> {
        self.permit_server(Right::Administer)?;
        let fields = Fields(data);
        let thing: Uuid = fields.required_id("thing")?;
        let op = data.get("op").and_then(Value::as_str).unwrap_or_default().to_owned();
        let at = fields.required_integer("at")?;
        let found = sql::alarm(self.ledger().tx(), thing, &op).await?;
        let Some(alarm) = found.filter(|alarm| alarm.at == at) else { return Ok(None) };
        let access = self.ledger().access(alarm.patient).await?;
        Ok(access.is_some_and(|access| !access.closed).then_some(alarm))
    }

    /// The alarm was run: with the commit it is over, unless an entry sets it for another time.
    ///
    /// # Errors
    /// The database's.
    pub async fn alarm_done(&mut self, alarm: &Alarm) -> Result<(), Stop> {
        Ok(sql::ran(self.ledger().change(), alarm).await?)
    }
}
