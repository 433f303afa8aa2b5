//! Files in entries: taken by a command, attached by the projection of what it recorded, withheld with the entry.
//! Invariant: an entry carries files of its own channel only, which its author uploaded or could read there.

use serde::Deserialize;
use uuid::Uuid;

use super::model::{self, Manifest};
use super::sql::{self, FileRow};
use crate::kernel::base::{ChannelId, Fault, FileId, Micros, Refusal, Stop};
use crate::kernel::crypto::{Hash, Purpose};
use crate::kernel::engine::{Ledger, Read, Write};
use crate::kernel::log::{Fact, Vault};
use crate::kernel::policy::{Access, Interval, Permit, Right, Subject};

/// A manifest is sealed once and never changes.
pub(super) const REVISION: i64 = 1;

/// Files that a command may put into an entry of that channel.
#[derive(Default)]
pub struct Files {
    /// As they were named: the member `files` of the event's body.
    pub ids: Vec<FileId>,
    /// Their commitments in the same order, for [`Write::record_with`].
    pub commitments: Vec<Hash>,
}

/// All of a channel, for callers with the authority of the host.
const WHOLE: [Interval; 1] = [Interval { from: 1, to: None }];

/// The spans of a channel the subject may read at `now`.
fn spans<'a>(access: &'a Access, subject: &Subject, channel: ChannelId, now: Micros) -> &'a [Interval] {
    if subject.command_line {
        return &WHOLE;
    }
    let member = access.member(subject.user, now).is_some();
    let held = access.channels.get(&channel).filter(|_| member);
    held.and_then(|held| held.readable_by(subject.user)).unwrap_or(&[])
}

pub(super) async fn manifest(vault: &Vault, row: &FileRow) -> Result<Manifest, Fault> {
    let opened = vault.open_view(row.patient, Purpose::FileManifest, row.id.0, REVISION, &row.manifest).await?;
    serde_json::from_slice(&opened).map_err(|_| Fault::Integrity("a file's manifest is not JSON"))
}

/// `r` and commitment of a file.
pub(super) fn proof(manifest: &Manifest) -> Result<([u8; 32], Hash), Fault> {
    manifest.proof().ok_or(Fault::Integrity("a file's manifest holds no commitment"))
}

/// Finds a file the caller may read now.
pub(super) async fn find(cx: &mut Read, channel: ChannelId, file: FileId) -> Result<FileRow, Stop> {
    let (_, access) = cx.permit_channel(Right::Read, channel).await?;
    cx.audit.object = Some(file.into());
    let row = sql::get(cx.tx(), file).await?.filter(|row| row.channel == channel);
    let places = sql::places(cx.tx(), file).await?;
    let spans = spans(&access, cx.subject(), channel, cx.now());
    let user = cx.subject().user;
    row.filter(|row| model::reads(user, row.uploader, &places, spans)).ok_or_else(|| Refusal::not_found().into())
}

/// Checks the files that a command names for an entry in the channel it has a permit for: after its key, before its first entry.
///
/// # Errors
/// `not_found`, field `files`: of another channel, not one's own or not readable, or never there.
pub async fn take(cx: &mut Write<'_>, permit: &Permit, ids: &[FileId]) -> Result<Files, Stop> {
    let mut taken = Files::default();
    if ids.is_empty() {
        return Ok(taken);
    }
    let hidden = || Refusal::not_found().field("files");
    let access = cx.ledger().access(permit.patient()).await?.ok_or_else(hidden)?;
    let channel = permit.channel();
    let spans = spans(&access, cx.subject(), channel, cx.now()).to_vec();
    let (user, vault) = (cx.subject().user, cx.ledger().vault().clone());
    for id in ids {
        let tx = cx.ledger().tx();
        let row = sql::get(tx, *id).await?.filter(|row| row.channel == channel);
        let places = sql::places(tx, *id).await?;
        let row = row.filter(|row| model::reads(user, row.uploader, &places, &spans)).ok_or_else(hidden)?;
        let (_, commitment) = proof(&manifest(&vault, &row).await?)?;
        taken.ids.push(*id);
        taken.commitments.push(commitment);
    }
    Ok(taken)
}

/// As much of an event's body as is asked here.
#[derive(Deserialize)]
struct Carries {
    #[serde(default)]
    files: Vec<FileId>,
}

/// The files an entry names, in its order. Nothing of an entry whose content is withheld.
pub(super) fn named(fact: &Fact) -> Result<Vec<FileId>, Fault> {
    if fact.files == [0; 32] || fact.withheld {
        return Ok(Vec::new());
    }
    Ok(fact.read::<Carries>()?.files)
}

/// From here on the files of an entry are read by whoever reads it. Called from `project`.
///
/// # Errors
/// The database's.
pub async fn attach(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    for (place, file) in (0..).zip(named(fact)?) {
        sql::attach(ledger.change(), fact.channel, fact.seq, place, file).await?;
    }
    Ok(())
}

/// The files of these entries are read no more. Called from `project`.
///
/// # Errors
/// The database's.
pub async fn withhold(ledger: &mut Ledger, channel: ChannelId, seqs: &[i64]) -> Result<(), Fault> {
    for seq in seqs {
        sql::withhold(ledger.change(), channel, *seq).await?;
    }
    Ok(())
}

/// What a proof says of an entry's files: id and `r` of each, in its order.
///
/// # Errors
/// The database's; an integrity fault when they are not those that the entry committed to.
pub async fn proofs(cx: &mut Read, fact: &Fact) -> Result<Vec<(FileId, [u8; 32])>, Fault> {
    let (mut proofs, mut commitments) = (Vec::new(), Vec::new());
    for file in named(fact)? {
        let row = sql::get(cx.tx(), file).await?.ok_or(MISSING)?;
        let (r, commitment) = proof(&manifest(cx.vault(), &row).await?)?;
        proofs.push((file, r));
        commitments.push(commitment);
    }
    if !fact.withheld && crate::kernel::crypto::chain::files_hash(&commitments) != fact.files {
        return Err(Fault::Integrity("the files are not those the entry committed to"));
    }
    Ok(proofs)
}

/// An entry names a file that there is no row of.
pub(super) const MISSING: Fault = Fault::Integrity("a file of an entry is missing");

/// Seals a manifest.
pub(super) async fn seal(
    vault: &Vault,
    row: (crate::kernel::base::PatientId, Uuid),
    manifest: &Manifest,
) -> Result<Vec<u8>, Fault> {
    let text =
        zeroize::Zeroizing::new(serde_json::to_vec(manifest).map_err(|_| Fault::Defect("a manifest is not JSON"))?);
    vault.seal_view(row.0, Purpose::FileManifest, row.1, REVISION, &text).await
}
