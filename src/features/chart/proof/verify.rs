//! Checks a proof folder offline: signatures, the place in the site log, every leaf, every disclosed body, every file.
//! Never panics and holds no more than the manifest and one entry at a time, whatever it is given.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::read::{Files, Folder, Stream};
use super::walk::{Walked, walk};
use super::{CHECKPOINT, KEYS, KeysFile, MANIFEST, Manifest, ManifestChannel, PAGE, SIGNATURE, VERSION};
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{ChannelId, Fault, Micros};
use crate::kernel::crypto::head::{Checkpoint, HeadNote, verify_manifest};
use crate::kernel::crypto::{Hash, VerifierKey, base64, hex, jwk, merkle};

/// Bytes of a manifest: six an entry and some hundred a channel; ten million entries.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a signed note, of the keys, of an inclusion proof.
const SMALL_BYTES_MAX: u64 = 64 << 10;
/// Faults that are listed.
const FLAWS_MAX: usize = 1000;

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flaw {
    /// In which channel; none where the folder as a whole is meant.
    pub channel: Option<ChannelId>,
    /// At which entry: the first of the channel that does not hold.
    pub seq: Option<u64>,
    /// A sentence without content.
    pub reason: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(channel), Some(seq)) = (self.channel, self.seq) {
            write!(f, "channel {channel} seq {seq}: ")?;
        }
        f.write_str(&self.reason)
    }
}

/// A channel as the proof shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChannelVerdict {
    /// The channel.
    pub channel: ChannelId,
    /// How many entries hold.
    pub size: u64,
    /// The chain after them, base64.
    pub head: String,
}

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The channels, as in the manifest.
    pub channels: Vec<ChannelVerdict>,
    /// Entries whose content is here and holds.
    pub entries: u64,
    /// Entries of which the leaf only is here.
    pub withheld: u64,
    /// When the heads were signed: complete up to then.
    pub until: Micros,
    /// Who signed.
    pub signer: VerifierKey,
    /// The signer is the one the caller named.
    pub pinned: bool,
    /// What does not hold; none if it is clean.
    pub faults: Vec<Flaw>,
}

impl Verdict {
    /// Nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }
}

impl fmt::Display for Verdict {
    /// A line a fault, or the one line that says it is clean; no line end behind the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_clean() {
            let lines: Vec<String> = self.faults.iter().map(Flaw::to_string).collect();
            return f.write_str(&lines.join("\n"));
        }
        let Self { channels, entries, until, signer, pinned, .. } = self;
        let (channels, until) = (channels.len(), rfc3339(*until));
        let pinned = if *pinned { "pinned" } else { "not pinned" };
        write!(
            f,
            "{channels} channels, {entries} entries: complete and unaltered up to {until}, signed by {signer}, {pinned}"
        )
    }
}

/// Checks the folder at `path`. `pinned` is a key `NAME+HASH+KEY` that must have signed it.
///
/// # Errors
/// A sentence when it is no proof that could be checked at all.
pub fn verify(path: &Path, pinned: Option<&str>) -> Result<Verdict, String> {
    let pinned = pinned.map(|key| key.parse().map_err(|fault: Fault| reason(&fault).to_owned())).transpose()?;
    verify_files(&Folder::open(path)?, pinned.as_ref())
}

/// As [`verify`], wherever the files lie.
///
/// # Errors
/// A sentence when it is no proof that could be checked at all.
pub fn verify_files(files: &dyn Files, pinned: Option<&VerifierKey>) -> Result<Verdict, String> {
    let mut check = Check { files, faults: Vec::new(), hashed: BTreeSet::new() };
    let manifest_bytes = check.read(MANIFEST, MANIFEST_BYTES_MAX)?;
    let manifest = parse_manifest(&manifest_bytes)?;
    let (keys, keys_hash) = check.hashed(KEYS, SMALL_BYTES_MAX)?;
    let signer = parse_keys(&keys)?;
    check.compare(&manifest, KEYS, keys_hash);
    check.signature(&manifest_bytes, &signer, pinned)?;
    check.file_set(&manifest)?;
    let checkpoint = check.checkpoint(&manifest, &signer)?;

    let mut verdict = Verdict {
        channels: Vec::new(),
        entries: 0,
        withheld: 0,
        until: Micros::MAX,
        signer,
        pinned: pinned.is_some(),
        faults: Vec::new(),
    };
    for channel in &manifest.channels {
        check.channel(&manifest, channel, checkpoint.as_ref(), &mut verdict)?;
    }
    check.rest(&manifest)?;
    verdict.faults = check.faults;
    Ok(verdict)
}

fn parse_manifest(bytes: &[u8]) -> Result<Manifest, String> {
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|_| format!("{MANIFEST} is not the manifest of a proof"))?;
    if manifest.version != VERSION {
        return Err(format!("{MANIFEST} is of version {}, this program knows {VERSION}", manifest.version));
    }
    let ids: BTreeSet<ChannelId> = manifest.channels.iter().map(|channel| channel.id).collect();
    let sound = !ids.is_empty()
        && ids.len() == manifest.channels.len()
        && manifest.channels.iter().all(ManifestChannel::is_sound);
    if sound { Ok(manifest) } else { Err(format!("{MANIFEST} names no channels, or impossible ones")) }
}

fn parse_keys(bytes: &[u8]) -> Result<VerifierKey, String> {
    let wrong = || format!("{KEYS} does not hold the signer's key");
    let keys: KeysFile = serde_json::from_slice(bytes).map_err(|_| wrong())?;
    let signer: VerifierKey = keys.signer.parse().map_err(|_| wrong())?;
    if keys.keys == [jwk::head_key(&signer)] { Ok(signer) } else { Err(wrong()) }
}

fn reason(fault: &Fault) -> &'static str {
    match fault {
        Fault::Integrity(reason) | Fault::Defect(reason) => reason,
        _ => "it does not hold",
    }
}

struct Check<'f> {
    files: &'f dyn Files,
    faults: Vec<Flaw>,
    /// Names whose hash was compared.
    hashed: BTreeSet<String>,
}

impl<'f> Check<'f> {
    fn stream(&self, name: &str) -> Result<Stream<'f>, String> {
        self.files.open(name).map(Stream::new).map_err(|_| format!("{name} is missing or cannot be read"))
    }

    fn read(&self, name: &str, max: u64) -> Result<Vec<u8>, String> {
        let bytes = self.stream(name)?.whole(max).map_err(|_| format!("{name} cannot be read"))?;
        bytes.ok_or_else(|| format!("{name} is too large for what it is"))
    }

    fn hashed(&self, name: &str, max: u64) -> Result<(Vec<u8>, Hash), String> {
        let bytes = self.read(name, max)?;
        let hash = crate::kernel::crypto::hash(&bytes);
        Ok((bytes, hash))
    }

    fn flaw(&mut self, channel: Option<ChannelId>, seq: Option<u64>, reason: String) {
        if self.faults.len() < FLAWS_MAX {
            self.faults.push(Flaw { channel, seq, reason });
        }
    }

    fn compare(&mut self, manifest: &Manifest, name: &str, hash: Hash) {
        self.hashed.insert(name.to_owned());
        if manifest.files.get(name) != Some(&hex(&hash)) {
            self.flaw(None, None, format!("{name} is not the file the manifest names"));
        }
    }

    fn signature(&mut self, manifest: &[u8], signer: &VerifierKey, pinned: Option<&VerifierKey>) -> Result<(), String> {
        let note = self.read(SIGNATURE, SMALL_BYTES_MAX)?;
        let note = String::from_utf8(note).map_err(|_| format!("{SIGNATURE} is not text"))?;
        if let Err(fault) = verify_manifest(&note, manifest, signer) {
            self.flaw(None, None, format!("{SIGNATURE}: {}", reason(&fault)));
        }
        if pinned.is_some_and(|pinned| pinned != signer) {
            self.flaw(None, None, format!("signed by {signer}, which is not the pinned key"));
        }
        Ok(())
    }

    /// Nothing missing, nothing added.
    fn file_set(&mut self, manifest: &Manifest) -> Result<(), String> {
        let there: BTreeSet<String> = self.files.names()?.into_iter().collect();
        let mut wanted: BTreeSet<&str> = manifest.files.keys().map(String::as_str).collect();
        let needed = manifest
            .channels
            .iter()
            .flat_map(|channel| ["leaves", "entries.ndjson", "head", "inclusion"].map(|name| channel.file(name)))
            .chain([CHECKPOINT, KEYS, PAGE].map(str::to_owned));
        for name in needed {
            if !wanted.contains(name.as_str()) {
                self.flaw(None, None, format!("{name} is not named by the manifest"));
            }
        }
        wanted.extend([MANIFEST, SIGNATURE]);
        for name in wanted.iter().filter(|name| !there.contains(**name)) {
            self.flaw(None, None, format!("{name} is missing"));
        }
        for name in there.iter().filter(|name| !wanted.contains(name.as_str())) {
            self.flaw(None, None, format!("{name} was added"));
        }
        Ok(())
    }

    fn checkpoint(&mut self, manifest: &Manifest, signer: &VerifierKey) -> Result<Option<Checkpoint>, String> {
        let (bytes, hash) = self.hashed(CHECKPOINT, SMALL_BYTES_MAX)?;
        self.compare(manifest, CHECKPOINT, hash);
        let note = String::from_utf8(bytes).map_err(|_| format!("{CHECKPOINT} is not text"))?;
        match Checkpoint::verify(&note, signer) {
            Ok(checkpoint) => Ok(Some(checkpoint)),
            Err(fault) => {
                self.flaw(None, None, format!("{CHECKPOINT}: {}", reason(&fault)));
                Ok(None)
            }
        }
    }

    fn channel(
        &mut self,
        manifest: &Manifest,
        channel: &ManifestChannel,
        checkpoint: Option<&Checkpoint>,
        verdict: &mut Verdict,
    ) -> Result<(), String> {
        let unreadable = |_| format!("the files of channel {} cannot be read", channel.id);
        let mut leaves = self.stream(&channel.file("leaves"))?;
        let mut entries = self.stream(&channel.file("entries.ndjson"))?;
        let walked = walk(manifest.deployment, manifest.patient, channel, &mut leaves, &mut entries, self.files)
            .map_err(unreadable)?;
        let (leaves, entries) = (leaves.finish().map_err(unreadable)?, entries.finish().map_err(unreadable)?);
        let flaws = self.faults.len();
        if let Some((seq, reason)) = walked.flaw {
            self.flaw(Some(channel.id), Some(seq), reason.to_owned());
        }
        let note = self.head(manifest, channel, &walked, verdict)?;
        self.inclusion(manifest, channel, note.as_ref(), checkpoint)?;
        let entry_named = self.faults.len() > flaws;
        for (name, hash) in [("leaves", leaves), ("entries.ndjson", entries)] {
            let name = channel.file(name);
            // A file that was changed is told once: by its entry, where one was found.
            if entry_named {
                self.hashed.insert(name);
            } else {
                self.compare(manifest, &name, hash);
            }
        }
        verdict.entries += walked.entries;
        verdict.withheld += walked.size.saturating_sub(walked.entries);
        let head = base64(&walked.head);
        verdict.channels.push(ChannelVerdict { channel: channel.id, size: walked.size, head });
        Ok(())
    }

    fn head(
        &mut self,
        manifest: &Manifest,
        channel: &ManifestChannel,
        walked: &Walked,
        verdict: &mut Verdict,
    ) -> Result<Option<HeadNote>, String> {
        let name = channel.file("head");
        let (bytes, hash) = self.hashed(&name, SMALL_BYTES_MAX)?;
        self.compare(manifest, &name, hash);
        let mut flaw = |reason: &str| self.flaw(Some(channel.id), Some(channel.size), reason.to_owned());
        let Ok(text) = String::from_utf8(bytes) else {
            flaw("the head note is not text");
            return Ok(None);
        };
        let note = match HeadNote::verify(&text, &verdict.signer) {
            Ok(note) => note,
            Err(fault) => {
                flaw(reason(&fault));
                return Ok(None);
            }
        };
        let place = (note.deployment, note.patient, note.channel);
        if place != (manifest.deployment, manifest.patient, channel.id) {
            flaw("the head note is of another channel");
        } else if note.size != channel.size {
            flaw("the head note is of another size");
        } else if walked.flaw.is_none() && note.head != walked.head {
            flaw("the chain does not end in the signed head: an entry up to here was changed");
        } else if note.at < walked.at {
            flaw("the head was signed before its last entry");
        }
        verdict.until = verdict.until.min(note.at);
        Ok(Some(note))
    }

    fn inclusion(
        &mut self,
        manifest: &Manifest,
        channel: &ManifestChannel,
        note: Option<&HeadNote>,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<(), String> {
        let name = channel.file("inclusion");
        let (bytes, hash) = self.hashed(&name, SMALL_BYTES_MAX)?;
        self.compare(manifest, &name, hash);
        let proof = std::str::from_utf8(&bytes).ok().and_then(merkle::parse_proof);
        let (Some(note), Some(checkpoint)) = (note, checkpoint) else { return Ok(()) };
        let included = proof.is_some_and(|proof| {
            merkle::verify_inclusion(&note.site_leaf(), channel.index, checkpoint.size, &proof, &checkpoint.root)
        });
        if !included {
            let reason = "the head is not in the site log at the place the manifest names".to_owned();
            self.flaw(Some(channel.id), Some(channel.size), reason);
        }
        Ok(())
    }

    /// The files no other check has read.
    fn rest(&mut self, manifest: &Manifest) -> Result<(), String> {
        for name in manifest.files.keys().filter(|name| !self.hashed.contains(*name)).cloned().collect::<Vec<_>>() {
            // What is missing was told.
            let Ok(stream) = self.stream(&name) else { continue };
            let hash = stream.finish().map_err(|_| format!("{name} cannot be read"))?;
            self.compare(manifest, &name, hash);
        }
        Ok(())
    }
}
