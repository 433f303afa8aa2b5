//! A file on its way out: opened chunk by chunk, and whether the caller may still read it decided before each.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::attach::{find, manifest};
use super::model::parse;
use super::shapes::{FileList, FileShape};
use super::sql;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{ChannelId, Code, Fault, FileId, PatientId, Refusal, Stop};
use crate::kernel::crypto::file::{FileOpener, FilePlace, HEADER_BYTES, file_key_version_of};
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Engine, Read, Shared};
use crate::kernel::policy::Subject;
use crate::kernel::store::files::Reading;

/// Asks for a file's content: audited before its first byte leaves.
pub(super) const OPEN: &str = "file.open";

/// What the program needs to know of a file it opens. Holds its name, hence no `Debug`.
#[derive(Serialize, Deserialize)]
struct Found {
    patient: PatientId,
    name: String,
    media_type: String,
}

/// `file.open`
pub(super) async fn answer(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let fields = Fields(data);
    let row = find(cx, fields.required_id("channel")?, fields.required_id("file")?).await?;
    let manifest = manifest(cx.vault(), &row).await?;
    Ok(json!({ "patient": row.patient, "name": manifest.name, "media_type": manifest.media_type }))
}

/// `file.info`
pub(super) async fn info(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let channel: ChannelId = Fields(data).required_id("channel")?;
    let ids = parse(Fields(data))?;
    cx.permit_channel(crate::kernel::policy::Right::Read, channel).await?;
    let mut files = Vec::with_capacity(ids.len());
    for id in ids {
        let row = find(cx, channel, id).await.map_err(|stop| match stop {
            Stop::Refused(refusal) if refusal.code == Code::NotFound => Stop::Refused(refusal.field("files")),
            other => other,
        })?;
        let manifest = manifest(cx.vault(), &row).await?;
        files.push(FileShape {
            id,
            name: manifest.name,
            media_type: manifest.media_type,
            size: row.bytes,
            sha256: manifest.sha256,
            by: row.uploader,
            at: rfc3339(row.at),
        });
    }
    Ok(serde_json::to_value(FileList { files }).map_err(|_| Fault::Defect("a list is not JSON"))?)
}

/// The sealed chunks of a file.
pub(super) struct Chunks {
    reading: Reading,
    opener: FileOpener,
    next: u32,
}

impl Chunks {
    /// Opens what lies on the disk.
    pub(super) async fn open(
        shared: &Shared,
        patient: PatientId,
        channel: ChannelId,
        file: FileId,
    ) -> Result<Self, Fault> {
        const CUT: Fault = Fault::Integrity("a sealed file is cut off");
        let mut reading = shared.files.open(file.0).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => super::attach::MISSING,
            _ => Fault::Io(error),
        })?;
        if reading.bytes() < HEADER_BYTES as u64 {
            return Err(CUT);
        }
        let header = reading.range(0..HEADER_BYTES as u64).await?;
        let header: &[u8; HEADER_BYTES] = header.first_chunk().ok_or(CUT)?;
        let version = file_key_version_of(header).ok_or(Fault::Integrity("a sealed file has no header"))?;
        let key = shared.vault.patient_at(patient, version).await?;
        let place = FilePlace { deployment: shared.vault.deployment(), patient, channel, file: *file.bytes() };
        let opener = FileOpener::new(&key, &place, header, reading.bytes())?;
        Ok(Self { reading, opener, next: 0 })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.opener.bytes()
    }

    /// The next chunk; none after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        if self.next == self.opener.chunks() {
            return Ok(None);
        }
        let mut chunk = self.reading.range(self.opener.range(self.next)).await?;
        self.opener.open(self.next, &mut chunk)?;
        self.next += 1;
        Ok(Some(chunk))
    }
}

/// A file that somebody reads.
pub struct Opened {
    engine: Engine,
    subject: Subject,
    channel: ChannelId,
    file: FileId,
    chunks: Chunks,
    /// As it was called.
    pub name: String,
    /// As what it is served.
    pub media_type: String,
}

/// Opens a file of a channel; that somebody did is in the audit trail then.
///
/// # Errors
/// `not_found` for what the caller may not read, and for what never was.
pub async fn open(engine: &Engine, subject: &Subject, channel: ChannelId, file: FileId) -> Result<Opened, Refusal> {
    let mut data = Data::new();
    data.insert("channel".into(), channel.to_string().into());
    data.insert("file".into(), file.to_string().into());
    let found = engine.run_internal(subject.clone(), OPEN, data).await?;
    let found: Found = serde_json::from_value(found).map_err(|_| Refusal::new(Code::Internal))?;
    let chunks = Chunks::open(engine.shared(), found.patient, channel, file).await;
    let chunks = chunks.map_err(|fault| failed(file, fault))?;
    let Found { name, media_type, .. } = found;
    Ok(Opened { engine: engine.clone(), subject: subject.clone(), channel, file, chunks, name, media_type })
}

/// Logged here, once.
fn failed(file: FileId, fault: Fault) -> Refusal {
    tracing::error!(file.id = %file, error = %fault, "A file does not open");
    Stop::Failed(fault).refusal()
}

impl Opened {
    /// How long it is.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.chunks.bytes()
    }

    /// The next bytes; none at the end. Whether the caller may read them is decided at this moment.
    ///
    /// # Errors
    /// What is said to somebody who may not, or a failure of ours: nothing more follows then.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        self.may().await.map_err(|stop| stop.refusal())?;
        self.chunks.next().await.map_err(|fault| failed(self.file, fault))
    }

    async fn may(&self) -> Result<(), Stop> {
        let mut cx = self.engine.reader(self.subject.clone()).await?;
        // Account and session, too.
        cx.renew(std::future::ready(())).await?;
        find(&mut cx, self.channel, self.file).await.map(drop)
    }
}

/// What is wrong with a file as it lies on the disk; none if it is what was committed to.
///
/// # Errors
/// The database's, or sealed.
pub(super) async fn flaw(shared: &Shared, file: FileId) -> Result<Option<&'static str>, Fault> {
    let row = sql::get(&mut shared.db.read().await?, file).await?;
    let Some(row) = row else { return Ok(Some("a file of the entry is missing")) };
    match whole(shared, &row).await {
        Ok(true) => Ok(None),
        Ok(false) => Ok(Some("a file is not what was committed to")),
        Err(Fault::Integrity(reason)) => Ok(Some(reason)),
        Err(other) => Err(other),
    }
}

/// Whether content, length and digest are those of the manifest.
async fn whole(shared: &Shared, row: &sql::FileRow) -> Result<bool, Fault> {
    let manifest = manifest(&shared.vault, row).await?;
    let (r, wanted) = super::attach::proof(&manifest)?;
    let mut chunks = Chunks::open(shared, row.patient, row.channel, row.id).await?;
    let (mut sha256, mut commitment) =
        (crate::kernel::crypto::Hasher::default(), crate::kernel::crypto::chain::file_committer(&r));
    let length = i64::try_from(chunks.bytes()).unwrap_or(i64::MAX);
    while let Some(chunk) = chunks.next().await? {
        sha256.update(&chunk);
        commitment.update(&chunk);
    }
    let same = crate::kernel::crypto::hex(&sha256.finish()) == manifest.sha256 && commitment.finish() == wanted;
    Ok(same && length == row.bytes)
}
