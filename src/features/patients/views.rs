//! Answers about patients and their teams.

use serde_json::{Value, json};

use super::cover;
use super::entries::Identity;
use super::identity_of;
use super::similar::similar;
use super::team::{ROLE_REVISION, text};
use crate::features::identity;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{Fault, PatientId, Stop, UserId};
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Read};
use crate::kernel::policy::sql::MemberRow;
use crate::kernel::policy::{self, Access, Member, Permit, Responsibility, Right};

/// `patient.get`
pub(super) async fn get(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let patient: PatientId = Fields(data).required_id("patient")?;
    let (permit, access) = cx.permit_patient(Right::SeePatient, patient).await?;
    Ok(shown(cx, &permit, &access).await?)
}

/// `patient.list`
pub(super) async fn list(cx: &mut Read) -> Result<Value, Stop> {
    let mut patients = Vec::new();
    for (permit, access) in cx.patients().await? {
        patients.push(shown(cx, &permit, &access).await?);
    }
    let names: Vec<&str> = patients.iter().map(|patient| patient["name"].as_str().unwrap_or_default()).collect();
    for (patient, marked) in similar(&names).into_iter().enumerate() {
        if marked {
            patients[patient]["similar"] = true.into();
        }
    }
    Ok(json!({ "patients": patients }))
}

async fn shown(cx: &mut Read, permit: &Permit, access: &Access) -> Result<Value, Fault> {
    let patient = access.patient;
    let (tx, vault) = cx.log();
    let identity = identity_of(tx, vault, patient).await?.ok_or(Fault::Integrity("a patient without a name"))?;
    let mut shown = members_of(&identity)?;
    shown.insert("id".into(), patient.to_string().into());
    // The plan channel is for staff; family is not told that it is there.
    if let Some(channel) = access.plan_channel().filter(|_| !permit.family()) {
        shown.insert("channel".into(), channel.to_string().into());
    }
    let lead = access.lead(cx.now()).map_or(Value::Null, |lead| lead.to_string().into());
    shown.insert("lead".into(), lead);
    shown.insert("closed".into(), access.closed.into());
    Ok(Value::Object(shown))
}

fn members_of(identity: &Identity) -> Result<Data, Fault> {
    match serde_json::to_value(identity) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(Fault::Defect("an identity is not JSON")),
    }
}

/// `team.list`
pub(super) async fn team(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let patient: PatientId = Fields(data).required_id("patient")?;
    let (permit, access) = cx.permit_patient(Right::SeePatient, patient).await?;
    let rows = policy::sql::member_rows(cx.tx(), patient).await?;
    let users: Vec<UserId> = rows.iter().map(|row| row.member).collect();
    let accounts = identity::accounts(cx, &users).await?;
    let (mut members, mut past) = (Vec::new(), Vec::new());
    for row in rows {
        let role = text(&cx.open_view(patient, row.id, ROLE_REVISION, &row.role).await?)?;
        let mut member = membership(&row, role);
        if let (Some(account), Some(object)) = (accounts.get(&row.member), member.as_object_mut()) {
            object.insert("handle".into(), account.handle.as_str().into());
            object.insert("name".into(), account.name.reveal().as_str().into());
        }
        let covers = if permit.family() { Vec::new() } else { cover::shown(&access, row.member, cx.now()) };
        if let (true, false, Some(object)) = (row.ended.is_none(), covers.is_empty(), member.as_object_mut()) {
            object.insert("covers".into(), covers.into());
        }
        let over = row.ended.or(row.until.filter(|until| *until <= cx.now()));
        if let (Some(over), Some(object)) = (over, member.as_object_mut()) {
            object.insert("ended".into(), rfc3339(over).into());
            past.push(member);
        } else {
            members.push(member);
        }
    }
    Ok(json!({ "members": members, "past": past }))
}

fn membership(row: &MemberRow, role: String) -> Value {
    let MemberRow { family, lead, plan, barriers, until, .. } = *row;
    let held = Responsibility::of(&Member { family, lead, plan, barriers, until });
    json!({
        "user": row.member,
        "role": role,
        "responsibilities": held,
        "family": family,
        "lead": lead,
        "since": rfc3339(row.since),
        "until": until.map(rfc3339),
    })
}
