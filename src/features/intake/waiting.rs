//! Mails that wait for a person: who sees which, and what a person makes of them.
//! Invariant: a mail to a channel is seen by the staff who read that channel; one to no channel by whoever sent it, and by officers without
//! its content. To everybody else it does not exist.

use serde_json::Value;
use zeroize::Zeroizing;

use super::arrival::{REVISION, answer, log, read};
use super::letter::Letter;
use super::shapes::{Content, MailList, Waiting};
use super::sql::{self, Settled, WaitingRow};
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{ChannelId, Fault, Micros, PatientId, Refusal, Stop, ThingId};
use crate::kernel::crypto::Purpose;
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Read, Reply, Write};
use crate::kernel::log::Vault;
use crate::kernel::policy::{self, Access, Object, Right, Subject};

/// Mails of one list.
const LIST_MAX: i64 = 200;
/// Characters of a text in a list.
const EXCERPT_CHARS: usize = 500;

const FILED: i16 = 1;
const DISCARDED: i16 = 2;

fn hidden() -> Refusal {
    Refusal::not_found().field("mail")
}

/// How much of a mail somebody sees.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sight {
    All,
    Outside,
}

/// Of a mail to no channel.
fn sight_astray(subject: &Subject, row: &WaitingRow, now: Micros) -> Option<Sight> {
    match row.sender {
        Some(sender) if sender == subject.user => Some(Sight::All),
        _ => policy::decide(subject, Right::SeeStrayMail, Object::Server, now).is_ok().then_some(Sight::Outside),
    }
}

/// Whether somebody on the staff reads the channel.
fn reads(subject: &Subject, access: &Access, channel: ChannelId, now: Micros) -> bool {
    let object = Object::Channel(Some((access, channel)));
    policy::decide(subject, Right::Read, object, now).is_ok_and(|permit| !permit.family())
}

async fn original(vault: &Vault, row: &WaitingRow) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let sealed = row.original.as_deref().ok_or(Fault::Integrity("a waiting mail has no original"))?;
    match row.patient {
        Some(patient) => vault.open_view(patient, Purpose::View, row.id, REVISION, sealed).await,
        None => vault.open_system(Purpose::View, row.id, REVISION, sealed),
    }
}

/// `intake.list`
pub(super) async fn list(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let fields = Fields(data);
    let (patient, channel): (Option<PatientId>, Option<ChannelId>) = (fields.id("patient")?, fields.id("channel")?);
    let places = match (patient, channel) {
        (_, Some(channel)) => vec![cx.permit_channel(Right::Read, channel).await?],
        (Some(patient), None) => vec![cx.permit_patient(Right::SeePatient, patient).await?],
        (None, None) => cx.patients().await?,
    };
    let (subject, now) = (cx.subject().clone(), cx.now());
    let mut mails = Vec::new();
    for (_, access) in &places {
        let rows = sql::waiting_at(cx.tx(), Some(access.patient), LIST_MAX).await?;
        for row in rows {
            let there = row.channel.filter(|there| channel.is_none_or(|channel| channel == *there));
            if there.is_some_and(|there| reads(&subject, access, there, now)) {
                mails.push(shown(cx, row, Sight::All).await?);
            }
        }
    }
    if patient.is_none() && channel.is_none() {
        for row in sql::waiting_at(cx.tx(), None, LIST_MAX).await? {
            if let Some(sight) = sight_astray(&subject, &row, now) {
                mails.push(shown(cx, row, sight).await?);
            }
        }
    }
    Ok(serde_json::to_value(MailList { mails }).map_err(|_| Fault::Defect("a list is not JSON"))?)
}

async fn shown(cx: &Read, row: WaitingRow, sight: Sight) -> Result<Waiting, Fault> {
    let shared = cx.shared();
    let content = match sight {
        Sight::All => {
            let raw = original(&shared.vault, &row).await?;
            read(None, &raw).ok().map(|letter| content(letter, cx.now()))
        }
        Sight::Outside => None,
    };
    let domain = shared.vault.open_system(Purpose::Identity, row.id, REVISION, &row.domain)?;
    Ok(Waiting {
        id: ThingId(row.id),
        patient: row.patient,
        channel: row.channel,
        item: row.item,
        sender: row.sender.filter(|_| sight == Sight::All),
        reason: row.reason,
        at: rfc3339(row.at),
        bytes: row.bytes,
        domain: String::from_utf8_lossy(&domain).into_owned(),
        content,
    })
}

fn content(letter: Letter, now: Micros) -> Content {
    let held_at = rfc3339(letter.held(now).at);
    let (text, _) = letter.words(EXCERPT_CHARS);
    let files = letter.attachments.into_iter().map(|file| file.name).collect();
    Content { from: letter.sender, subject: letter.subject, text, held_at, files }
}

/// A waiting mail that the caller sees.
async fn find(cx: &mut Write<'_>, mail: ThingId) -> Result<(WaitingRow, Sight), Stop> {
    let row = sql::waiting(cx.ledger().tx(), mail).await?.ok_or_else(hidden)?;
    let (subject, now) = (cx.subject(), cx.now());
    let sight = match (row.patient, row.channel) {
        (Some(patient), Some(channel)) => {
            let access = cx.ledger().access(patient).await?;
            access.filter(|access| reads(subject, access, channel, now)).map(|_| Sight::All)
        }
        _ => sight_astray(subject, &row, now),
    };
    Ok((row, sight.ok_or_else(hidden)?))
}

/// `intake.file`
pub(super) async fn file(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let fields = Fields(data);
    let (mail, channel): (ThingId, ChannelId) = (fields.required_id("mail")?, fields.required_id("channel")?);
    let item = fields.id("item")?;
    let permit = cx.permit_channel(Right::Document, channel).await?;
    cx.about(mail);
    if let Some(reply) = cx.repeated(channel).await? {
        return Ok(reply);
    }
    let (row, sight) = find(cx, mail).await?;
    if sight != Sight::All {
        return Err(hidden().into());
    }
    let vault = cx.ledger().vault().clone();
    let raw = original(&vault, &row).await?;
    let reply = log(cx, &permit, item, &raw).await?;
    let (by, at) = (cx.subject().user, cx.now());
    let settled = Settled { state: FILED, by, at, word: None, original: None };
    sql::settle(cx.ledger().change(), mail, &settled).await?;
    Ok(reply)
}

/// `intake.discard`
pub(super) async fn discard(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let fields = Fields(data);
    let mail: ThingId = fields.required_id("mail")?;
    let (row, _) = find(cx, mail).await?;
    if let Some(channel) = row.channel {
        cx.permit_channel(Right::Document, channel).await?;
    }
    cx.about(mail);
    let reason = fields.reason()?;
    let word = cx.ledger().vault().seal_system(Purpose::AuditText, row.id, REVISION, reason.as_bytes())?;
    let (by, at) = (cx.subject().user, cx.now());
    let settled = Settled { state: DISCARDED, by, at, word: Some(&word), original: None };
    sql::settle(cx.ledger().change(), mail, &settled).await?;
    Ok(answer(mail))
}
