//! The accounting of disclosures (45 CFR 164.528): for one patient, when the record left, who took it out, who received it, what it was
//! and why. Made of the entries `export.filed` and `export.failed` alone; no content of the record. As an op, as CSV and as FHIR AuditEvent.
//! Does not know: how anything is exported.

mod audit_event;
mod csv;
pub mod shapes;
pub mod sql;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use audit_event::audit_events;
pub use csv::{HEADINGS, line};
pub use shapes::{Disclosure, Disclosures};

use super::filing::Told;
use crate::features::identity::{self, Account};
use crate::kernel::base::limits::{HISTORY_DEFAULT, HISTORY_MAX};
use crate::kernel::base::world::{parse_rfc3339, rfc3339};
use crate::kernel::base::{Code, Fault, Micros, PatientId, Refusal, Stop, UserId};
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Engine, Ledger, Read};
use crate::kernel::log::{self, Fact};
use crate::kernel::policy::{PersonKind, Right, Subject};
use sql::DisclosureRow;

/// The op.
pub(super) const LIST: &str = "disclosure.list";
/// Disclosures of one report: two decades of daily filings.
const DISCLOSURES_MAX: usize = 10_000;

/// `disclosure.list`
pub(super) async fn list(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let fields = Fields(data);
    let patient: PatientId = fields.required_id("patient")?;
    let before = fields.integer("before")?.unwrap_or(i64::MAX);
    let limit = fields.integer("limit")?.unwrap_or(HISTORY_DEFAULT);
    if !(1..=HISTORY_MAX).contains(&limit) {
        return Err(Refusal::invalid("limit", "A page holds 1 to 200 disclosures.").into());
    }
    let times = [time(fields, "from")?.unwrap_or(0), time(fields, "to")?.unwrap_or(Micros::MAX)];
    cx.permit_patient(Right::AccountForDisclosures, patient).await?;
    let mut rows = sql::page(cx.tx(), patient, before, times, limit + 1).await?;
    let more = rows.len() as i64 > limit;
    rows.truncate(usize::try_from(limit).unwrap_or_default());
    let facts = facts(cx, &rows).await?;
    let users: Vec<UserId> = facts.iter().map(|fact| fact.by).collect();
    let accounts = identity::accounts(cx, &users).await?;
    let disclosures = facts.iter().map(|fact| shown(fact, &accounts)).collect::<Result<_, _>>()?;
    Ok(serde_json::to_value(Disclosures { disclosures, more }).map_err(|_| Fault::Defect("an answer is not JSON"))?)
}

fn time(fields: Fields<'_>, name: &'static str) -> Result<Option<Micros>, Refusal> {
    let wrong = |_| Refusal::invalid(name, "A time is written as RFC 3339: 2026-11-21T21:00:00Z.");
    fields.string(name)?.map(parse_rfc3339).transpose().map_err(wrong)
}

/// The entries of these rows, in their order.
async fn facts(cx: &mut Read, rows: &[DisclosureRow]) -> Result<Vec<Fact>, Stop> {
    let mut facts = Vec::with_capacity(rows.len());
    for DisclosureRow { channel, seq } in rows {
        let head = cx.head(*channel).await?.ok_or(Fault::Integrity("a channel without a head"))?;
        let (tx, vault) = cx.log();
        let fact = log::since(tx, vault, &head, seq - 1, *seq, 1).await?.into_iter().next();
        facts.push(fact.ok_or(Fault::Integrity("a disclosure without its entry"))?);
    }
    Ok(facts)
}

/// As much of both entries as is told.
#[derive(Deserialize)]
struct Left {
    #[serde(flatten)]
    told: Told,
    /// Of a filing that failed.
    #[serde(default)]
    outcome: Option<String>,
}

fn shown(fact: &Fact, accounts: &HashMap<UserId, Account>) -> Result<Disclosure, Fault> {
    let Left { told, outcome } = fact.read()?;
    // Of patients and families the account is named, and not the person.
    let account = accounts.get(&fact.by).filter(|account| account.kind == PersonKind::Practitioner);
    Ok(Disclosure {
        seq: fact.seq,
        id: fact.id,
        at: rfc3339(fact.at),
        by: fact.by,
        name: account.map(|account| account.name.clone().into_revealed()),
        failed: outcome,
        told,
    })
}

/// Every disclosure between two times (RFC 3339), the newest first, as `disclosure.list` gives them page by page; each page is decided
/// and audited.
///
/// # Errors
/// Those of the op; `too_large` beyond [`DISCLOSURES_MAX`].
pub async fn all(
    engine: &Engine,
    subject: &Subject,
    patient: PatientId,
    [from, to]: [Option<&str>; 2],
) -> Result<Vec<Disclosure>, Stop> {
    let mut found: Vec<Disclosure> = Vec::new();
    loop {
        let mut data = Data::new();
        data.insert("patient".into(), patient.to_string().into());
        data.insert("limit".into(), HISTORY_MAX.into());
        for (name, time) in [("from", from), ("to", to)] {
            data.extend(time.map(|time| (name.to_owned(), time.into())));
        }
        data.extend(found.last().map(|last| ("before".to_owned(), last.seq.into())));
        let page = engine.run_internal(subject.clone(), LIST, data).await?;
        let Disclosures { disclosures, more } =
            serde_json::from_value(page).map_err(|_| Fault::Defect("disclosures cannot be read"))?;
        found.extend(disclosures);
        if !more {
            return Ok(found);
        }
        if found.len() >= DISCLOSURES_MAX {
            let detail = "There are more than 10,000 disclosures. Narrow them with `from` and `to`.";
            return Err(Refusal::new(Code::TooLarge).detail(detail).into());
        }
    }
}

/// The Bundle of [`audit_events`], as this deployment names things.
#[must_use]
pub fn bundle(engine: &Engine, patient: PatientId, disclosures: &[Disclosure]) -> Value {
    let shared = engine.shared();
    let deployment = shared.vault.deployment();
    let system = shared.config.export.identifier_system.clone().unwrap_or_else(|| format!("urn:uuid:{deployment}"));
    audit_events(disclosures, patient, &system, deployment.0)
}

/// Keeps where an `export.filed` or `export.failed` stands.
pub(super) async fn project(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let row = DisclosureRow { channel: fact.channel, seq: fact.seq };
    Ok(sql::add(ledger.change(), fact.patient, row, fact.at).await?)
}
