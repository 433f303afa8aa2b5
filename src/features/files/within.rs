//! Files that a command brings along, such as those of a mail: kept within the command, for the entry it records.
//! Invariant: room is asked for before anything is written; what is left on the disk by a command that failed is swept like any other.

use super::attach::seal;
use super::model::{self, Manifest};
use super::sql::{self, FileRow};
use super::upload::DAY;
use crate::kernel::base::{FileId, Stop};
use crate::kernel::crypto::file::{CHUNK_BYTES, FilePlace, FileSealer};
use crate::kernel::crypto::{Hasher, chain, hex};
use crate::kernel::engine::Write;
use crate::kernel::policy::Permit;

/// Asks for room in the channel of `permit` for so many bytes of the caller.
///
/// # Errors
/// `too_large`, `busy`.
pub async fn room(cx: &mut Write<'_>, permit: &Permit, bytes: u64) -> Result<(), Stop> {
    let (user, now, shared) = (cx.subject().user, cx.now(), cx.ledger().shared().clone());
    let of_channel = sql::bytes_of_channel(cx.ledger().tx(), permit.channel()).await?;
    let of_user = sql::bytes_of_user(cx.ledger().tx(), user, now - DAY).await?;
    let room = model::room(&shared.config.files, of_channel, of_user, shared.files.disk_percent())?;
    if bytes > room {
        return Err(model::too_large(room).into());
    }
    Ok(())
}

/// Keeps a file in the channel of `permit`: the caller's until the entry carries it. There is [`room`].
///
/// # Errors
/// The disk's or the database's.
pub async fn put(
    cx: &mut Write<'_>,
    permit: &Permit,
    name: &str,
    declared: &str,
    content: &[u8],
) -> Result<FileId, Stop> {
    let shared = cx.ledger().shared().clone();
    let vault = &shared.vault;
    let (patient, channel, id) = (permit.patient(), permit.channel(), FileId(cx.new_id()));
    // What somebody named so that it cannot be kept has its id for a name.
    let name = model::name(name).unwrap_or_else(|_| id.to_string());
    let key = vault.patient(patient).await?;
    let place = FilePlace { deployment: vault.deployment(), patient, channel, file: *id.bytes() };
    let r = vault.world().bytes::<32>();
    let (mut sha256, mut commitment) = (Hasher::default(), chain::file_committer(&r));
    let mut out = Vec::with_capacity(2 * CHUNK_BYTES);
    let mut sealer = FileSealer::new(vault.world(), &key, &place, &mut out);
    let mut writing = shared.files.create(id.0).await?;
    for chunk in content.chunks(CHUNK_BYTES) {
        sha256.update(chunk);
        commitment.update(chunk);
        sealer.update(chunk, &mut out)?;
        writing.write(&out).await?;
        out.clear();
    }
    sealer.finish(&mut out);
    writing.write(&out).await?;
    writing.finish().await?;
    let media_type = model::media_type(content.get(..CHUNK_BYTES).unwrap_or(content), Some(declared));
    let manifest = Manifest::new(name, media_type, hex(&sha256.finish()), &r, &commitment.finish());
    let manifest = seal(vault, (patient, id.0), &manifest).await?;
    let bytes = i64::try_from(content.len()).unwrap_or(i64::MAX);
    let row = FileRow { id, patient, channel, uploader: cx.subject().user, at: cx.now(), bytes, manifest };
    sql::add(cx.ledger().change(), &row).await?;
    Ok(id)
}
