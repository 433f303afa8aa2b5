//! Exports that wait ten minutes to be fetched: sealed on the disk as they are written, under keys that only this process holds. What an
//! earlier process left does not open any more, and is removed at start.
//! Does not know: HTTP. Invariant: no content of a patient lies on the disk in the clear; only who made an export fetches it.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use crate::features::chart::{ExportRequest, ExportSummary, Format, Out, export};
use crate::kernel::base::world::MINUTE;
use crate::kernel::base::{ChannelId, Fault, Micros, PatientId, Refusal, Stop, ThingId, UserId};
use crate::kernel::crypto::file::HEADER_BYTES;
use crate::kernel::crypto::{DataKey, FileOpener, FilePlace, FileSealer};
use crate::kernel::engine::Engine;
use crate::kernel::policy::audit::Draft;
use crate::kernel::policy::{Right, Subject};
use crate::kernel::store::Files;
use crate::kernel::store::files::Reading;

/// How long an export waits.
const WAITS: Micros = 10 * MINUTE;
/// Exports that wait at once: each may be as large as a record.
const WAITING_MAX: usize = 64;
/// Bytes of a record of an archive (POSIX.1-1988, *ustar*).
const RECORD: usize = 512;

/// Where they wait. Shared by cloning.
#[derive(Clone)]
pub struct Spool {
    engine: Engine,
    files: Files,
    held: Arc<Mutex<HashMap<Uuid, Arc<Spooled>>>>,
}

/// One of them.
struct Spooled {
    user: UserId,
    patient: PatientId,
    format: Format,
    key: DataKey,
    place: FilePlace,
    /// Its files, in the order of their bytes.
    names: Vec<(String, u64)>,
    until: Micros,
}

/// Takes an export on its way to the disk.
struct Sealing {
    file: std::fs::File,
    sealer: Option<FileSealer>,
    sealed: Vec<u8>,
    names: Vec<(String, u64)>,
}

impl Sealing {
    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.sealed)?;
        self.sealed.clear();
        Ok(())
    }
}

impl Out for Sealing {
    fn begin_file(&mut self, name: &str) -> io::Result<()> {
        self.names.push((name.to_owned(), 0));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some((_, length)) = self.names.last_mut() {
            *length += bytes.len() as u64;
        }
        let sealer = self.sealer.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        sealer.update(bytes, &mut self.sealed).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        let sealer = self.sealer.take().ok_or(io::ErrorKind::BrokenPipe)?;
        sealer.finish(&mut self.sealed);
        self.flush()
    }
}

impl Spool {
    /// Beside the files of the record. What lies there is removed.
    ///
    /// # Errors
    /// The disk's.
    pub async fn open(engine: Engine) -> io::Result<Self> {
        let files = engine.shared().files.beside("spool");
        let mut left = Vec::new();
        files.each(|id| left.push(id)).await?;
        for id in left {
            files.remove(id).await?;
        }
        Ok(Self { engine, files, held: Arc::default() })
    }

    /// Whose exports they are.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Arc<Spooled>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an export that waits for `subject`.
    ///
    /// # Errors
    /// What [`export`] is refused with; `busy` while too many wait.
    pub async fn make(&self, subject: &Subject, request: ExportRequest) -> Result<(ThingId, ExportSummary), Stop> {
        if self.held().len() >= WAITING_MAX {
            let refusal = Refusal::new(crate::kernel::base::Code::Busy).detail("Too many exports wait to be fetched.");
            return Err(refusal.retry_after_ms(60_000).into());
        }
        let world = self.engine.world();
        let (id, patient, format) = (world.id(), request.patient, request.format);
        let deployment = self.engine.shared().vault.deployment();
        let place = FilePlace { deployment, patient, channel: ChannelId::ZERO, file: *id.as_bytes() };
        let secret = zeroize::Zeroizing::new(world.bytes::<32>());
        let key = DataKey::new(1, &secret);
        let file = self.files.create_blocking(id).map_err(Fault::from)?;
        let mut sealed = Vec::new();
        let sealer = Some(FileSealer::new(world, &key, &place, &mut sealed));
        let mut out = Sealing { file, sealer, sealed, names: Vec::new() };
        let done = export(&self.engine, subject, request, &mut out).await;
        let summary = match done {
            Ok(summary) => summary,
            Err(stop) => {
                self.files.remove(id).await.map_err(Fault::from)?;
                return Err(stop);
            }
        };
        let until = world.now() + WAITS;
        let spooled = Spooled { user: subject.user, patient, format, key, place, names: out.names, until };
        self.held().insert(id, Arc::new(spooled));
        self.forget_later(id);
        Ok((ThingId(id), summary))
    }

    fn forget_later(&self, id: Uuid) {
        let spool = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_micros(WAITS.unsigned_abs())).await;
            spool.held().remove(&id);
            if let Err(error) = spool.files.remove(id).await {
                tracing::warn!(error = %error.kind(), "An export that was not fetched could not be removed");
            }
        });
    }

    /// An export that waits for `subject`; that they fetch it is in the audit trail then.
    ///
    /// # Errors
    /// `not_found` for others, after ten minutes, and where they may not see the patient any more.
    pub async fn fetch(&self, subject: &Subject, patient: PatientId, id: ThingId) -> Result<Fetched, Stop> {
        let now = self.engine.world().now();
        let spooled = self.held().get(&id.0).cloned();
        let mine = |one: &Arc<Spooled>| one.user == subject.user && one.patient == patient && now < one.until;
        let spooled = spooled.filter(mine).ok_or_else(Refusal::not_found)?;
        let mut cx = self.engine.reader(subject.clone()).await?;
        cx.permit_patient(Right::DraftExport, patient).await.map_err(|_| Refusal::not_found())?;
        let row = Draft { category: "export", object: Some(id), outcome: "done", ..cx.audit.clone() };
        drop(cx);
        self.engine.audit(vec![Draft { action: "export.download".to_owned(), ..row }]).await?;
        let mut reading = self.files.open(id.0).await.map_err(Fault::from)?;
        let header = reading.range(0..HEADER_BYTES as u64).await.map_err(Fault::from)?;
        let header: [u8; HEADER_BYTES] =
            header.try_into().map_err(|_| Fault::Integrity("a sealed file has no header"))?;
        let opener = FileOpener::new(&spooled.key, &spooled.place, &header, reading.bytes())?;
        let archive = spooled.format.is_folder().then(|| Archive::of(spooled.names.clone()));
        Ok(Fetched { name: name(spooled.format), format: spooled.format, reading, opener, next: 0, archive })
    }
}

fn name(format: Format) -> String {
    match format {
        Format::Ndjson => "record.ndjson".to_owned(),
        Format::FhirTransaction | Format::FhirDocument => "bundle.json".to_owned(),
        Format::Html => "record.html".to_owned(),
        Format::Pdf => "record.pdf".to_owned(),
        Format::Hl7v2 | Format::Proof => format!("{}.tar", format.text()),
    }
}

/// An export that is fetched, chunk by chunk.
pub struct Fetched {
    /// How it is called.
    pub name: String,
    format: Format,
    reading: Reading,
    opener: FileOpener,
    next: u32,
    archive: Option<Archive>,
}

impl Fetched {
    /// As what it is served.
    #[must_use]
    pub const fn media_type(&self) -> &'static str {
        match self.format {
            Format::Ndjson => "application/x-ndjson",
            Format::FhirTransaction | Format::FhirDocument => "application/fhir+json",
            Format::Html => "text/html; charset=utf-8",
            Format::Pdf => "application/pdf",
            Format::Hl7v2 | Format::Proof => "application/x-tar",
        }
    }

    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// The disk's, or it does not open.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        if self.next == self.opener.chunks() {
            return Ok(self.archive.take().map(Archive::end));
        }
        let mut chunk = self.reading.range(self.opener.range(self.next)).await?;
        self.opener.open(self.next, &mut chunk)?;
        self.next += 1;
        Ok(Some(match &mut self.archive {
            Some(archive) => archive.take(&chunk),
            None => chunk,
        }))
    }
}

/// Files one behind the other as an archive (POSIX.1-1988, *ustar*), as their bytes come.
struct Archive {
    names: std::vec::IntoIter<(String, u64)>,
    /// Bytes of the present file that are still to come, and what fills its last record.
    left: u64,
    padding: usize,
}

impl Archive {
    fn of(names: Vec<(String, u64)>) -> Self {
        Self { names: names.into_iter(), left: 0, padding: 0 }
    }

    /// Begins files until one has bytes.
    fn begin(&mut self, out: &mut Vec<u8>) {
        while self.left == 0 {
            out.resize(out.len() + std::mem::take(&mut self.padding), 0);
            let Some((name, bytes)) = self.names.next() else { return };
            let mut header = tar::Header::new_ustar();
            // A path of ours fits: the longest has 88 bytes of 100.
            if header.set_path(&name).is_err() {
                continue;
            }
            header.set_size(bytes);
            header.set_mode(0o600);
            header.set_mtime(0);
            header.set_entry_type(tar::EntryType::Regular);
            header.set_cksum();
            out.extend_from_slice(header.as_bytes());
            self.left = bytes;
            self.padding = (RECORD - usize::try_from(bytes % RECORD as u64).unwrap_or_default()) % RECORD;
        }
    }

    fn take(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() + 2 * RECORD);
        while !bytes.is_empty() {
            self.begin(&mut out);
            if self.left == 0 {
                break;
            }
            let (now, later) = bytes.split_at(bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX)));
            out.extend_from_slice(now);
            self.left -= now.len() as u64;
            bytes = later;
        }
        out
    }

    fn end(mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.begin(&mut out);
        out.resize(out.len() + 2 * RECORD, 0);
        out
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the sizes and wherever chunks end, a reader of archives finds the files.
        #[test]
        fn an_archive_is_read_by_others(files in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1500), 0..8), chunk in 1_usize..2000) {
            let names: Vec<(String, u64)> = files.iter().enumerate().map(|(n, file)| (format!("channels/{n}/leaves"), file.len() as u64)).collect();
            let mut archive = Archive::of(names.clone());
            let all: Vec<u8> = files.concat();
            let mut bytes: Vec<u8> = all.chunks(chunk).flat_map(|chunk| archive.take(chunk)).collect();
            bytes.extend(archive.end());
            let mut found = BTreeMap::new();
            for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
                let mut entry = entry.unwrap();
                let (name, mut content) = (entry.path().unwrap().display().to_string(), Vec::new());
                entry.read_to_end(&mut content).unwrap();
                found.insert(name, content);
            }
            let expected: BTreeMap<String, Vec<u8>> = names.into_iter().map(|(name, _)| name).zip(files).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
