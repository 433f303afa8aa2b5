//! A file on its way in: sealed while it arrives, durable before it has a row, and forgotten when it breaks off.
//! Invariants: no plaintext reaches a disk; one chunk is held in memory; permission and room are decided before the first byte and again
//! in the commit.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use zeroize::Zeroizing;

use super::attach::seal;
use super::model::{self, Manifest};
use super::shapes::Stored;
use super::sql::{self, FileRow};
use crate::kernel::base::world::MINUTE;
use crate::kernel::base::{ChannelId, Code, Fault, FileId, PatientId, Refusal, Stop};
use crate::kernel::crypto::file::{CHUNK_BYTES, FilePlace, FileSealer};
use crate::kernel::crypto::{Hash, Hasher, chain, from_base64, hex};
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Engine, Read, Reply, Write};
use crate::kernel::policy::{Right, Subject};

/// Asks for room: what is decided before the first byte.
pub(super) const ROOM: &str = "file.room";
/// Keeps what arrived.
pub(super) const UPLOAD: &str = "file.upload";
/// What one person uploads is counted over this time.
pub(super) const DAY: i64 = 24 * 60 * MINUTE;
/// Far beyond any line that people work over; what is left unnamed is swept later than that.
const WITHIN: Duration = Duration::from_secs(3600);
/// Chunks between two looks at the disk: 16 MiB.
const LOOK_EVERY: u64 = 256;

#[derive(Serialize, Deserialize)]
struct Room {
    patient: PatientId,
    bytes: u64,
}

/// `file.room`
pub(super) async fn room(cx: &mut Read, data: &Data) -> Result<serde_json::Value, Stop> {
    let channel: ChannelId = Fields(data).required_id("channel")?;
    let (permit, _) = cx.permit_channel(Right::Post, channel).await?;
    let (user, now) = (cx.subject().user, cx.now());
    let of_channel = sql::bytes_of_channel(cx.tx(), channel).await?;
    let of_user = sql::bytes_of_user(cx.tx(), user, now - DAY).await?;
    let shared = cx.shared();
    let bytes = model::room(&shared.config.files, of_channel, of_user, shared.files.disk_percent())?;
    let room = Room { patient: permit.patient(), bytes };
    Ok(serde_json::to_value(room).map_err(|_| Fault::Defect("room is not JSON"))?)
}

/// What arrived.
struct Arrived {
    bytes: u64,
    media_type: String,
    sha256: Hash,
    r: [u8; 32],
    commitment: Hash,
}

/// Takes a file into a channel. It is nobody's but its uploader's until an entry carries it.
///
/// # Errors
/// What `message.post` would say of the channel; `too_large`, `busy`; `bad_frame` when the content breaks off: then nothing is left of it.
pub async fn store(
    engine: &Engine,
    subject: &Subject,
    channel: ChannelId,
    name: &str,
    declared: Option<&str>,
    mut content: impl AsyncRead + Unpin + Send,
) -> Result<Stored, Refusal> {
    let mut data = Data::new();
    data.insert("channel".into(), channel.to_string().into());
    let room = engine.run_internal(subject.clone(), ROOM, data.clone()).await?;
    let room: Room = serde_json::from_value(room).map_err(|_| Refusal::new(Code::Internal))?;
    let name = model::name(name)?;
    let id = FileId(engine.world().id());
    let receiving = receive(engine, room.patient, channel, id, room.bytes, declared, &mut content);
    let arrived = tokio::time::timeout(WITHIN, receiving).await.unwrap_or_else(|_| Err(broken().into()));
    let arrived = arrived.map_err(told)?;
    let size = i64::try_from(arrived.bytes).map_err(|_| model::too_large(room.bytes))?;
    let sha256 = hex(&arrived.sha256);
    let media_type = arrived.media_type;
    let manifest = Manifest::new(name, media_type.clone(), sha256.clone(), &arrived.r, &arrived.commitment);
    let vault = &engine.shared().vault;
    let sealed = seal(vault, (room.patient, id.0), &manifest).await.map_err(|fault| told(fault.into()))?;
    data.insert("file".into(), id.to_string().into());
    data.insert("bytes".into(), size.into());
    data.insert("manifest".into(), crate::kernel::crypto::base64(&sealed).into());
    let kept = engine.run_internal(subject.clone(), UPLOAD, data).await;
    if let Err(refusal) = kept {
        // Where the outcome is unknown the file stays: it is swept if nothing names it.
        if !matches!(refusal.code, Code::Internal | Code::Busy) {
            let _ = engine.shared().files.remove(id.0).await;
        }
        return Err(refusal);
    }
    Ok(Stored { id, size, sha256, media_type })
}

fn broken() -> Refusal {
    Refusal::new(Code::BadFrame).detail("The content broke off or came too slowly.")
}

/// A failure of ours is logged here, once.
fn told(stop: Stop) -> Refusal {
    if let Stop::Failed(fault) = &stop {
        tracing::error!(error = %fault, "A file was not kept");
    }
    stop.refusal()
}

async fn receive(
    engine: &Engine,
    patient: PatientId,
    channel: ChannelId,
    id: FileId,
    room: u64,
    declared: Option<&str>,
    content: &mut (impl AsyncRead + Unpin + Send),
) -> Result<Arrived, Stop> {
    let shared = engine.shared();
    let vault = &shared.vault;
    let key = vault.patient(patient).await?;
    let place = FilePlace { deployment: vault.deployment(), patient, channel, file: *id.bytes() };
    let r = vault.world().bytes::<32>();
    let (mut sha256, mut commitment) = (Hasher::default(), chain::file_committer(&r));
    let mut out = Vec::with_capacity(2 * CHUNK_BYTES);
    let mut sealer = FileSealer::new(vault.world(), &key, &place, &mut out);
    let mut writing = shared.files.create(id.0).await?;
    let mut chunk = Zeroizing::new(vec![0; CHUNK_BYTES]);
    let (mut bytes, mut chunks, mut media_type) = (0, 0_u64, None);
    loop {
        let filled = fill(content, &mut chunk).await?;
        let plain = &chunk[..filled];
        bytes += filled as u64;
        if bytes > room {
            return Err(model::too_large(room).into());
        }
        media_type.get_or_insert_with(|| model::media_type(plain, declared));
        sha256.update(plain);
        commitment.update(plain);
        sealer.update(plain, &mut out)?;
        writing.write(&out).await?;
        out.clear();
        if filled < CHUNK_BYTES {
            break;
        }
        chunks += 1;
        if chunks.is_multiple_of(LOOK_EVERY) {
            model::disk(&shared.config.files, shared.files.disk_percent())?;
        }
    }
    sealer.finish(&mut out);
    writing.write(&out).await?;
    writing.finish().await?;
    let media_type = media_type.unwrap_or_default();
    Ok(Arrived { bytes, media_type, sha256: sha256.finish(), r, commitment: commitment.finish() })
}

/// Fills a chunk as far as the content goes.
async fn fill(content: &mut (impl AsyncRead + Unpin), chunk: &mut [u8]) -> Result<usize, Refusal> {
    let mut filled = 0;
    while filled < chunk.len() {
        match content.read(&mut chunk[filled..]).await.map_err(|_| broken())? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// `file.upload`: what arrived has a row from now on.
pub(super) async fn upload(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let fields = Fields(data);
    let (channel, id): (ChannelId, FileId) = (fields.required_id("channel")?, fields.required_id("file")?);
    let bytes = fields.required_integer("bytes")?;
    let manifest =
        fields.string("manifest")?.and_then(from_base64).ok_or(Fault::Defect("an upload without manifest"))?;
    let permit = cx.permit_channel(Right::Post, channel).await?;
    cx.about(id.into());
    let (user, now) = (cx.subject().user, cx.now());
    // Others may have uploaded meanwhile.
    let limits = cx.ledger().shared().config.files.clone();
    let of_channel = sql::bytes_of_channel(cx.ledger().tx(), channel).await?;
    let of_user = sql::bytes_of_user(cx.ledger().tx(), user, now - DAY).await?;
    let room = model::room(&limits, of_channel, of_user, None)?;
    if bytes.unsigned_abs() > room {
        return Err(model::too_large(room).into());
    }
    let row = FileRow { id, patient: permit.patient(), channel, uploader: user, at: now, bytes, manifest };
    sql::add(cx.ledger().change(), &row).await?;
    Ok(Reply::Plain(Data::new()))
}
