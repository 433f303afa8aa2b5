//! What the privacy officer is shown: which messages were moved, by whom, and who had been sent or had read them. Ids, times, and the
//! names of staff; no content of either record.

use std::collections::HashMap;

use serde_json::Value;
use uuid::Uuid;

use super::REASON_REVISION;
use super::sql::{self, ExposureRow, MisfiledRow};
use crate::features::channels::shapes::{Exposed, Place, Writer, WrongPatient, WrongPatientList};
use crate::features::identity::{self, Account};
use crate::kernel::base::limits::{HISTORY_DEFAULT, HISTORY_MAX};
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{Fault, Micros, PatientId, Refusal, Stop, ThingId, UserId};
use crate::kernel::crypto::Purpose;
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Read};
use crate::kernel::policy::{PersonKind, Right};

type Accounts = HashMap<UserId, Account>;

/// `wrong_patient.list`
pub async fn list(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let fields = Fields(data);
    let patient: Option<PatientId> = fields.id("patient")?;
    let before: Option<ThingId> = fields.id("before")?;
    let limit = fields.integer("limit")?.unwrap_or(HISTORY_DEFAULT);
    if !(1..=HISTORY_MAX).contains(&limit) {
        return Err(Refusal::invalid("limit", "A page holds 1 to 200 messages.").into());
    }
    cx.permit_server(Right::ReviewPrivacy)?;
    let from = match before {
        None => (Micros::MAX, ThingId(Uuid::max())),
        Some(message) => {
            let row = sql::get(cx.tx(), message).await?.ok_or_else(|| Refusal::not_found().field("before"))?;
            (row.at, row.message)
        }
    };
    let mut rows = sql::page(cx.tx(), patient, from, limit + 1).await?;
    let more = rows.len() as i64 > limit;
    rows.truncate(usize::try_from(limit).unwrap_or_default());
    let mut exposures = Vec::with_capacity(rows.len());
    for row in &rows {
        exposures.push(sql::exposures(cx.tx(), row.message).await?);
    }
    let named = rows.iter().flat_map(|row| [row.author, row.mover]);
    let users: Vec<UserId> = named.chain(exposures.iter().flatten().map(|one| one.person)).collect();
    let accounts = identity::accounts(cx, &users).await?;
    let mut messages = Vec::with_capacity(rows.len());
    for (row, exposed) in rows.into_iter().zip(exposures) {
        messages.push(shown(cx, row, exposed, &accounts)?);
    }
    let list = WrongPatientList { messages, more };
    Ok(serde_json::to_value(list).map_err(|_| Fault::Defect("an answer is not JSON"))?)
}

fn shown(cx: &Read, row: MisfiledRow, exposed: Vec<ExposureRow>, accounts: &Accounts) -> Result<WrongPatient, Fault> {
    let reason = cx.vault().open_system(Purpose::AuditText, row.message.0, REASON_REVISION, &row.reason)?;
    let reason = String::from_utf8(reason.to_vec()).map_err(|_| Fault::Integrity("a reason is not UTF-8"))?;
    // Of patients and families the account is named, and not the person.
    let staff = |user: &UserId| {
        let account = accounts.get(user).filter(|account| account.kind == PersonKind::Practitioner)?;
        Some(account.name.clone().into_revealed())
    };
    let exposed = exposed.into_iter().map(|one| Exposed { name: staff(&one.person), ..Exposed::from(one) });
    Ok(WrongPatient {
        message: row.message,
        patient: row.patient,
        channel: row.channel,
        seq: row.seq,
        author: Writer { user: row.author, name: staff(&row.author) },
        moved_by: Writer { user: row.mover, name: staff(&row.mover) },
        moved_at: rfc3339(row.at),
        reason,
        retracted: Place { channel: row.channel, seq: row.retracted },
        to_message: row.moved,
        to_patient: row.moved_patient,
        to: Place { channel: row.moved_channel, seq: row.moved_seq },
        exposed: exposed.collect(),
    })
}
