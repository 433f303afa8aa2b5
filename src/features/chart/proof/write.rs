//! Writes a proof folder, file after file, in constant memory but for four bytes an entry.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use super::{CHECKPOINT, KEYS, KeysFile, MANIFEST, Manifest, ManifestChannel, PAGE, SIGNATURE, VERSION};
use super::{attachment, channel_file, mark};
use crate::features::chart::out::Out;
use crate::kernel::base::id::DeploymentId;
use crate::kernel::base::{ChannelId, EntryId, FileId, PatientId};
use crate::kernel::crypto::chain::LEAF_BYTES;
use crate::kernel::crypto::head::sign_manifest;
use crate::kernel::crypto::{Hash, Hasher, Signer, base64, hex, jwk, merkle};

/// The page that checks a proof in a browser.
const VERIFY_PAGE: &str = include_str!("verify.html");

/// What was signed of a channel.
pub struct SignedChannel<'a> {
    /// The head note.
    pub note: &'a str,
    /// Where it stands in the site log, from 0.
    pub index: u64,
    /// That it stands there.
    pub inclusion: &'a [Hash],
    /// What is disclosed: ascending spans, both ends inclusive.
    pub disclosed: Vec<[u64; 2]>,
}

/// A line of `entries.ndjson`.
#[derive(Serialize)]
struct Line {
    seq: u64,
    id: EntryId,
    r: String,
    body: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<FileLine>,
}

/// A file of an entry.
#[derive(Serialize)]
struct FileLine {
    id: FileId,
    r: String,
}

/// A proof folder in the making: per channel its leaves, its entries, its end; then [`Writer::finish`].
pub struct Writer<'o> {
    out: &'o mut dyn Out,
    manifest: Manifest,
    open: Option<(String, Hasher)>,
    marks: Vec<u8>,
    leaves: u64,
}

impl<'o> Writer<'o> {
    /// Nothing written yet.
    pub fn new(out: &'o mut dyn Out, deployment: DeploymentId, patient: PatientId) -> Self {
        let manifest = Manifest { version: VERSION, deployment, patient, channels: Vec::new(), files: BTreeMap::new() };
        Self { out, manifest, open: None, marks: Vec::new(), leaves: 0 }
    }

    /// The leaves of a channel follow, from the first.
    ///
    /// # Errors
    /// The receiver's.
    pub fn begin_leaves(&mut self, channel: ChannelId) -> io::Result<()> {
        self.marks.clear();
        self.leaves = 0;
        self.begin(channel_file(channel, "leaves"))
    }

    /// The next leaf.
    ///
    /// # Errors
    /// The receiver's.
    pub fn leaf(&mut self, leaf: &[u8; LEAF_BYTES]) -> io::Result<()> {
        self.marks.extend_from_slice(&mark(leaf));
        self.leaves += 1;
        self.bytes(leaf)
    }

    /// The disclosed entries of the channel follow, ascending.
    ///
    /// # Errors
    /// The receiver's.
    pub fn begin_entries(&mut self, channel: ChannelId) -> io::Result<()> {
        self.begin(channel_file(channel, "entries.ndjson"))
    }

    /// The next disclosed entry.
    ///
    /// # Errors
    /// The receiver's.
    pub fn entry(
        &mut self,
        seq: u64,
        id: EntryId,
        r: &[u8; 32],
        body: &[u8],
        files: &[(FileId, [u8; 32])],
    ) -> io::Result<()> {
        let files = files.iter().map(|(id, r)| FileLine { id: *id, r: base64(r) }).collect();
        let line = Line { seq, id, r: base64(r), body: base64(body), files };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        self.bytes(&text)
    }

    /// The bytes of a file that a disclosed entry of the channel carries follow.
    ///
    /// # Errors
    /// The receiver's.
    pub fn begin_attachment(&mut self, channel: ChannelId, file: FileId) -> io::Result<()> {
        self.begin(attachment(channel, file))
    }

    /// The next bytes of that file.
    ///
    /// # Errors
    /// The receiver's.
    pub fn attachment(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes(bytes)
    }

    /// Ends a channel with what was signed of it.
    ///
    /// # Errors
    /// The receiver's.
    pub fn end_channel(&mut self, id: ChannelId, signed: SignedChannel<'_>) -> io::Result<()> {
        self.file(channel_file(id, "head"), signed.note.as_bytes())?;
        self.file(channel_file(id, "inclusion"), merkle::proof_text(signed.inclusion).as_bytes())?;
        self.manifest.channels.push(ManifestChannel {
            id,
            first: 1,
            size: self.leaves,
            index: signed.index,
            disclosed: signed.disclosed,
            marks: base64(&std::mem::take(&mut self.marks)),
        });
        Ok(())
    }

    /// Writes what stands beside the channels and signs the manifest. Gives the manifest's SHA-256: it names the whole folder.
    ///
    /// # Errors
    /// The receiver's.
    pub fn finish(mut self, checkpoint: &str, signer: &Signer) -> io::Result<Hash> {
        self.file(CHECKPOINT.to_owned(), checkpoint.as_bytes())?;
        let keys = KeysFile { signer: signer.verifier().to_string(), keys: vec![jwk::head_key(signer.verifier())] };
        self.file(KEYS.to_owned(), &pretty(&keys)?)?;
        self.file(PAGE.to_owned(), VERIFY_PAGE.as_bytes())?;
        self.close();
        let manifest = pretty(&self.manifest)?;
        self.out.begin_file(MANIFEST)?;
        self.out.write(&manifest)?;
        self.out.begin_file(SIGNATURE)?;
        self.out.write(sign_manifest(signer, &manifest).as_bytes())?;
        Ok(crate::kernel::crypto::hash(&manifest))
    }

    fn file(&mut self, name: String, bytes: &[u8]) -> io::Result<()> {
        self.begin(name)?;
        self.bytes(bytes)
    }

    fn begin(&mut self, name: String) -> io::Result<()> {
        self.close();
        self.out.begin_file(&name)?;
        self.open = Some((name, Hasher::default()));
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (_, hasher) = self.open.as_mut().expect("a file was begun");
        hasher.update(bytes);
        self.out.write(bytes)
    }

    fn close(&mut self) {
        if let Some((name, hasher)) = self.open.take() {
            self.manifest.files.insert(name, hex(&hasher.finish()));
        }
    }
}

/// For people who look into it.
fn pretty<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}
