//! Exports that wait ten minutes to be fetched: sealed on the disk as they are written, under keys that only this process holds. What an
//! earlier process left does not open any more, and is removed at start.
//! Does not know: HTTP. Invariant: no content of a patient lies on the disk in the clear; only who made an export fetches it.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use crate::features::chart::{ExportRequest, ExportSummary, Format, Out, Progress, export};
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
    held: Arc<Mutex<HashMap<Uuid, Held>>>,
}

/// One of them, whose it is, and until when it waits.
#[derive(Clone)]
struct Held {
    user: UserId,
    patient: PatientId,
    until: Micros,
    how: How,
}

/// How far it is.
#[derive(Clone)]
enum How {
    Making(Progress),
    Made(Arc<Spooled>),
    /// It came to nothing after it was promised.
    Refused(Refusal),
}

/// What whoever made an export finds in its place.
pub enum Found {
    /// It is there.
    Made(Box<Fetched>),
    /// Not yet: entries done, and of how many.
    Making(u64, u64),
}

/// What came of a promise to make one.
pub struct Promised {
    /// Its id.
    pub id: ThingId,
    /// How far it was when the promise was given: entries done, and of how many.
    pub entries: (u64, u64),
}

/// One that is whole.
struct Spooled {
    format: Format,
    key: DataKey,
    place: FilePlace,
    /// Its files, in the order of their bytes.
    names: Vec<(String, u64)>,
}

/// Takes an export on its way to the disk.
struct Sealing {
    file: std::fs::File,
    sealer: Option<FileSealer>,
    sealed: Vec<u8>,
    names: Vec<(String, u64)>,
    progress: Progress,
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

    fn progress(&self) -> Progress {
        self.progress.clone()
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

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for an export in the making.
    fn begin(&self, subject: &Subject, request: &ExportRequest) -> Result<(Uuid, Progress), Refusal> {
        let mut held = self.held();
        if held.len() >= WAITING_MAX {
            let refusal = Refusal::new(crate::kernel::base::Code::Busy).detail("Too many exports wait to be fetched.");
            return Err(refusal.retry_after_ms(60_000));
        }
        let (id, progress) = (self.engine.world().id(), Progress::default());
        let how = How::Making(progress.clone());
        held.insert(id, Held { user: subject.user, patient: request.patient, until: Micros::MAX, how });
        Ok((id, progress))
    }

    /// What is in that place from now on, for ten minutes.
    fn end(&self, id: Uuid, how: How) {
        let until = self.engine.world().now() + WAITS;
        if let Some(held) = self.held().get_mut(&id) {
            (held.how, held.until) = (how, until);
        }
        self.forget_later(id);
    }

    /// Makes an export that waits for `subject`.
    ///
    /// # Errors
    /// What [`export`] is refused with; `busy` while too many wait.
    pub async fn make(&self, subject: &Subject, request: ExportRequest) -> Result<(ThingId, ExportSummary), Stop> {
        let (id, progress) = self.begin(subject, &request)?;
        // Given up on the way, it leaves its place.
        let mut place = Place { spool: self, id, kept: false };
        let (spooled, summary) = self.seal(subject, id, request, progress).await?;
        place.kept = true;
        self.end(id, How::Made(Arc::new(spooled)));
        Ok((ThingId(id), summary))
    }

    /// Promises an export as soon as it is clear that `subject` may make it and how large it is; `place` is held until it is made.
    ///
    /// # Errors
    /// As for [`Spool::make`], up to the first entry; what is refused later is said by [`Spool::fetch`].
    pub async fn promise(
        &self,
        subject: &Subject,
        request: ExportRequest,
        place: impl Send + 'static,
    ) -> Result<Promised, Stop> {
        let (id, progress) = self.begin(subject, &request)?;
        let (spool, subject, counted) = (self.clone(), subject.clone(), progress.clone());
        let (promising, promised) = tokio::sync::oneshot::channel::<Stop>();
        let making = tokio::spawn({
            let spool = self.clone();
            async move { spool.seal(&subject, id, request, counted).await }
        });
        tokio::spawn(async move {
            let made = making.await;
            drop(place);
            match made {
                Ok(Ok((spooled, _))) => spool.end(id, How::Made(Arc::new(spooled))),
                Ok(Err(stop)) => {
                    let refusal = stop.refusal();
                    // Nobody waits for it any more: it is said to whoever comes for the export.
                    let _ = promising.send(stop);
                    spool.end(id, How::Refused(refusal));
                }
                // It panicked, and has said where.
                Err(_) => {
                    let _ = promising.send(Fault::Defect("an export was given up").into());
                    spool.end(id, How::Refused(Refusal::new(crate::kernel::base::Code::Internal)));
                }
            }
        });
        tokio::select! {
            // Whoever is refused at once is not promised anything.
            biased;
            Ok(stop) = promised => {
                self.held().remove(&id);
                Err(stop)
            }
            () = progress.known() => Ok(Promised { id: ThingId(id), entries: progress.entries() }),
        }
    }

    async fn seal(
        &self,
        subject: &Subject,
        id: Uuid,
        request: ExportRequest,
        progress: Progress,
    ) -> Result<(Spooled, ExportSummary), Stop> {
        let world = self.engine.world();
        let (patient, format) = (request.patient, request.format);
        let deployment = self.engine.shared().vault.deployment();
        let place = FilePlace { deployment, patient, channel: ChannelId::ZERO, file: *id.as_bytes() };
        let secret = zeroize::Zeroizing::new(world.bytes::<32>());
        let key = DataKey::new(1, &secret);
        let file = self.files.create_blocking(id).map_err(Fault::from)?;
        let mut sealed = Vec::new();
        let sealer = Some(FileSealer::new(world, &key, &place, &mut sealed));
        let mut out = Sealing { file, sealer, sealed, names: Vec::new(), progress };
        match export(&self.engine, subject, request, &mut out).await {
            Ok(summary) => Ok((Spooled { format, key, place, names: out.names }, summary)),
            Err(stop) => {
                self.files.remove(id).await.map_err(Fault::from)?;
                Err(stop)
            }
        }
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

    /// An export that waits for `subject`, or how far it is; that they fetch it is in the audit trail then.
    ///
    /// # Errors
    /// `not_found` for others, after ten minutes, and where they may not see the patient any more; what a promised one was refused with.
    pub async fn fetch(&self, subject: &Subject, patient: PatientId, id: ThingId) -> Result<Found, Stop> {
        let now = self.engine.world().now();
        let held = self.held().get(&id.0).cloned();
        let mine = |one: &Held| one.user == subject.user && one.patient == patient && now < one.until;
        let held = held.filter(mine).ok_or_else(Refusal::not_found)?;
        let mut cx = self.engine.reader(subject.clone()).await?;
        cx.permit_patient(Right::DraftExport, patient).await.map_err(|_| Refusal::not_found())?;
        let spooled = match held.how {
            How::Made(spooled) => spooled,
            How::Making(progress) => {
                let (done, total) = progress.entries();
                return Ok(Found::Making(done, total));
            }
            How::Refused(refusal) => return Err(refusal.into()),
        };
        let row = Draft { category: "export", object: Some(id), outcome: "done", ..cx.audit.clone() };
        drop(cx);
        self.engine.audit(vec![Draft { action: "export.download".to_owned(), ..row }]).await?;
        let mut reading = self.files.open(id.0).await.map_err(Fault::from)?;
        let header = reading.range(0..HEADER_BYTES as u64).await.map_err(Fault::from)?;
        let header: [u8; HEADER_BYTES] =
            header.try_into().map_err(|_| Fault::Integrity("a sealed file has no header"))?;
        let opener = FileOpener::new(&spooled.key, &spooled.place, &header, reading.bytes())?;
        let archive = spooled.format.is_folder().then(|| Archive::of(spooled.names.clone()));
        let (name, format) = (name(spooled.format), spooled.format);
        Ok(Found::Made(Box::new(Fetched { name, format, reading, opener, next: 0, archive })))
    }
}

/// The place of an export that somebody waits for: empty again when they are gone before it is made.
struct Place<'s> {
    spool: &'s Spool,
    id: Uuid,
    kept: bool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let (files, id) = (self.spool.files.clone(), self.id);
        self.spool.held().remove(&id);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // What is left all the same is removed at start.
            runtime.spawn(async move { files.remove(id).await });
        }
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
