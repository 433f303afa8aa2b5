//! The op that brings a parcel in: first each patient is found or not and every right is asked, then all is written.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::json;

use super::super::change::record_added;
use super::super::entries::{Added, Content};
use super::super::sql;
use super::again::{self, Plan};
use super::known::by_hand;
use super::merge::State;
use super::parcel::{Parcel, ParcelItem, ParcelPatient, ParcelResource};
use super::store::{Held, key_mac};
use super::{ImportedPatient, collections};
use crate::features::patients::{self, Identity};
use crate::kernel::base::{Fault, ItemId, PatientId, Refusal, Stop};
use crate::kernel::engine::{Data, Reply, Write};
use crate::kernel::policy::Right;

const OTHER_PERSON: &str = "a different person than the patient known by the same identifier";
const ANOTHER: &str = "another patient than the one that was asked for";
const SEVERAL: &str = "several patients are known by the same identifiers";

/// Where a patient of the parcel goes.
#[derive(Clone, PartialEq, Eq)]
enum Chart {
    /// To somebody who is here.
    Known(PatientId),
    /// Registered, as the one at this position of the parcel is.
    New(usize),
    /// Nowhere: nothing is guessed.
    LeftOut(&'static str),
}

/// What became of a parcel.
pub(super) struct Brought {
    pub patients: Vec<ImportedPatient>,
    /// Positions of patients left out, with the reason.
    pub left_out: Vec<(usize, String)>,
}

impl Brought {
    /// From the op's answer.
    pub(super) fn of(answer: &Data) -> Result<Self, Fault> {
        #[derive(Deserialize)]
        struct Patient {
            id: PatientId,
            name: String,
            items: usize,
            created: bool,
        }
        #[derive(Deserialize)]
        struct Answer {
            patients: Vec<Patient>,
            left_out: Vec<(usize, String)>,
        }
        let answer = Answer::deserialize(answer).map_err(|_| Fault::Defect("an answer is not what it should be"))?;
        let patients = answer.patients.into_iter();
        let patients =
            patients.map(|Patient { id, name, items, created }| ImportedPatient { id, name, items, created });
        Ok(Self { patients: patients.collect(), left_out: answer.left_out })
    }
}

/// `patient.import`
pub async fn bring(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let parcel = Parcel::deserialize(data).map_err(|_| Fault::Defect("a parcel is not what it should be"))?;
    cx.permit_server(Right::RegisterPatient)?;
    let charts = charts(cx, &parcel).await?;
    let mut imported: Vec<ImportedPatient> = Vec::new();
    let mut made: HashMap<usize, PatientId> = HashMap::new();
    let mut left_out: Vec<(usize, &'static str)> = Vec::new();
    for (position, (source, chart)) in parcel.patients.iter().zip(&charts).enumerate() {
        let (patient, created) = match chart {
            Chart::LeftOut(reason) => {
                left_out.push((position, reason));
                continue;
            }
            Chart::Known(patient) => (*patient, false),
            Chart::New(first) => match made.get(first) {
                Some(patient) => (*patient, false),
                None => {
                    let patient = register(cx, &source.identity).await?;
                    made.insert(position, patient);
                    (patient, true)
                }
            },
        };
        lay_in(cx, patient, source, created, parcel.server.as_deref()).await?;
        match imported.iter_mut().find(|other| other.id == patient) {
            Some(other) => other.items += source.items.len(),
            None => {
                let name = name_of(cx, patient).await?;
                imported.push(ImportedPatient { id: patient, name, items: source.items.len(), created });
            }
        }
    }
    keep_loose(cx, &parcel.loose).await?;
    let mut reply = Data::new();
    reply.insert("patients".into(), json!(imported));
    reply.insert("left_out".into(), json!(left_out));
    Ok(Reply::Plain(reply))
}

/// Where each patient goes, with every right asked. Nothing is written here.
async fn charts(cx: &mut Write<'_>, parcel: &Parcel) -> Result<Vec<Chart>, Stop> {
    let mut charts: Vec<Chart> = Vec::with_capacity(parcel.patients.len());
    for (position, source) in parcel.patients.iter().enumerate() {
        let found = find(cx, source).await?;
        let chart = match parcel.only {
            Some(only) if found == Some(Chart::Known(only)) => Chart::Known(only),
            Some(_) => Chart::LeftOut(ANOTHER),
            None => found.unwrap_or_else(|| beside(parcel, &charts, position)),
        };
        // What is gone from a server changes the plan, and nothing of it came.
        if let Chart::Known(patient) = chart
            && (parcel.only.is_some() || brings_something(cx, patient, source).await?)
        {
            cx.permit_patient(Right::ImportPlan, patient).await?;
        }
        charts.push(chart);
    }
    Ok(charts)
}

/// Who a patient of the source is here; none for nobody yet. By the source's key first, which the reading has held against what is
/// known of that person, then by identifiers. An identifier alone is not enough: sources share and reuse them.
async fn find(cx: &mut Write<'_>, source: &ParcelPatient) -> Result<Option<Chart>, Stop> {
    if let Some(patient) = by_hand(&source.key) {
        // Asked for by the reading, which was told of them: with no standing left there is no such patient.
        let known = known_to(cx, patient).await?;
        return if known { Ok(Some(Chart::Known(patient))) } else { Err(Refusal::not_found().into()) };
    }
    let mac = key_mac(cx.ledger().vault(), &source.key)?;
    for row in sql::by_key(cx.ledger().tx(), &mac).await? {
        if row.patient != PatientId::ZERO && known_to(cx, row.patient).await? {
            return Ok(Some(Chart::Known(row.patient)));
        }
    }
    let mut other_person = false;
    for identifier in &source.identity.identifiers {
        let vault = cx.ledger().vault().clone();
        let found = patients::by_identifier(cx.ledger().tx(), &vault, &identifier.system, &identifier.value).await?;
        let mut same = Vec::new();
        for patient in found {
            if !known_to(cx, patient).await? {
                continue;
            }
            let known = patients::identity_of(cx.ledger().tx(), &vault, patient).await?;
            if known.is_some_and(|known| may_be_one(&known, &source.identity)) {
                same.push(patient);
            } else {
                other_person = true;
            }
        }
        match same.as_slice() {
            [] => {}
            [one] => return Ok(Some(Chart::Known(*one))),
            _ => return Ok(Some(Chart::LeftOut(SEVERAL))),
        }
    }
    Ok(other_person.then_some(Chart::LeftOut(OTHER_PERSON)))
}

/// A new patient, unless one before in this parcel is the same person by an identifier.
fn beside(parcel: &Parcel, charts: &[Chart], position: usize) -> Chart {
    let identity = &parcel.patients[position].identity;
    for (other, chart) in charts.iter().enumerate() {
        let before = &parcel.patients[other].identity;
        let shares = before.identifiers.iter().any(|identifier| identity.identifiers.contains(identifier));
        if shares && matches!(chart, Chart::New(_)) {
            return if may_be_one(before, identity) { chart.clone() } else { Chart::LeftOut(OTHER_PERSON) };
        }
    }
    Chart::New(position)
}

/// Whether two who share an identifier may be one person: born on the same day as far as both say, and else of one name.
fn may_be_one(a: &Identity, b: &Identity) -> bool {
    match (&a.birth_date, &b.birth_date) {
        (Some(a), Some(b)) => a.starts_with(b.as_str()) || b.starts_with(a.as_str()),
        _ => a.name.to_lowercase() == b.name.to_lowercase(),
    }
}

/// Whether the importer stands at a patient as staff. Who does not is told nothing, not even by what happens.
async fn known_to(cx: &mut Write<'_>, patient: PatientId) -> Result<bool, Stop> {
    match cx.permit_patient(Right::SeePatient, patient).await {
        Ok(permit) => Ok(!permit.family()),
        Err(Stop::Refused(_)) => Ok(false),
        Err(failed) => Err(failed),
    }
}

/// Whether anything of this is not held yet.
async fn brings_something(cx: &mut Write<'_>, patient: PatientId, source: &ParcelPatient) -> Result<bool, Fault> {
    let held = Held::of(cx.ledger().tx(), patient).await?;
    let vault = cx.ledger().vault().clone();
    for item in &source.items {
        if held.item(&vault, &item.resource.key)?.is_none() || !held.has(&vault, &item.resource)? {
            return Ok(true);
        }
    }
    for resource in &source.resources {
        if !held.has(&vault, resource)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// As `patient.register`: a member of staff leads whom they bring, the command line does not.
async fn register(cx: &mut Write<'_>, identity: &Identity) -> Result<PatientId, Stop> {
    let lead = Some(cx.subject().user).filter(|_| !cx.subject().command_line);
    Ok(patients::register(cx, identity.clone(), lead).await?.id)
}

async fn name_of(cx: &mut Write<'_>, patient: PatientId) -> Result<String, Fault> {
    let vault = cx.ledger().vault().clone();
    let identity = patients::identity_of(cx.ledger().tx(), &vault, patient).await?;
    Ok(identity.ok_or(Fault::Integrity("a patient without a name"))?.name)
}

/// Records what is new of a patient's plan and what changed of it, and keeps what is new of the rest.
async fn lay_in(
    cx: &mut Write<'_>,
    patient: PatientId,
    source: &ParcelPatient,
    created: bool,
    server: Option<&str>,
) -> Result<(), Stop> {
    let mut held = if created { Held::nothing() } else { Held::of(cx.ledger().tx(), patient).await? };
    let vault = cx.ledger().vault().clone();
    // Ids first, so that an item may name one that stands after it.
    let mut plan = Plan { patient, ids: HashMap::new() };
    let first = held.is_empty();
    let mut known: Vec<ItemId> = Vec::new();
    for item in &source.items {
        if let Some(id) = held.item(&vault, &item.resource.key)? {
            plan.ids.insert(&item.resource.key, id);
            known.push(id);
        }
    }
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    for item in &source.items {
        let key = item.resource.key.as_str();
        if let Some(id) = plan.ids.get(key) {
            if !held.has(&vault, &item.resource)? {
                changed.push((item, (*id, held.row(&vault, key)?)));
            }
            continue;
        }
        let before = if first { None } else { again::by_identifier(cx, patient, item, &known).await? };
        match before {
            Some((id, before)) => {
                plan.ids.insert(key, id);
                known.push(id);
                changed.push((item, (id, Some(before))));
            }
            None => {
                plan.ids.insert(key, ItemId(cx.new_id()));
                new.push(item);
            }
        }
    }
    for resource in &source.resources {
        held.keep(cx.ledger(), patient, resource, None, None).await?;
    }
    add(cx, &held, &plan, &new).await?;
    for (item, known) in changed {
        again::meet(cx, &mut held, &plan, item, known).await?;
    }
    for item in &source.items {
        let id = plan.ids.get(item.resource.key.as_str()).copied();
        held.keep(cx.ledger(), patient, &item.resource, Some(&item.said), id).await?;
    }
    collections::compare(cx, &plan, source, server).await
}

/// Records items that nobody here knew.
async fn add(cx: &mut Write<'_>, held: &Held, plan: &Plan<'_>, new: &[&ParcelItem]) -> Result<(), Stop> {
    let access = cx.ledger().access(plan.patient).await?.ok_or(Fault::Integrity("a patient is not there"))?;
    let channel = access.plan_channel().ok_or(Fault::Integrity("a patient without a plan channel"))?;
    for item in new {
        let State { addresses, .. } = again::state(cx, held, &plan.ids, &item.said).await?;
        let body = Added {
            id: plan.ids[item.resource.key.as_str()],
            patient: plan.patient,
            kind: Some(item.kind),
            standing: None,
            content: Content { addresses, ..item.said.content.clone() },
            shared: false,
            status: item.said.status.clone(),
            closed: item.said.closed,
        };
        record_added(cx, &access, channel, &body).await?;
    }
    Ok(())
}

/// Keeps what belongs to nobody.
async fn keep_loose(cx: &mut Write<'_>, loose: &[ParcelResource]) -> Result<(), Fault> {
    if loose.is_empty() {
        return Ok(());
    }
    let mut held = Held::of(cx.ledger().tx(), PatientId::ZERO).await?;
    for resource in loose {
        held.keep(cx.ledger(), PatientId::ZERO, resource, None, None).await?;
    }
    Ok(())
}
