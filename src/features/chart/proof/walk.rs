//! The walk along one channel of a proof: each leaf, and beside it what is disclosed of the entry. Names the first that does not hold.

use std::collections::HashMap;

use serde::Deserialize;

use super::read::{Files, Stream};
use super::{MARK_BYTES, ManifestChannel, attachment, mark};
use crate::kernel::base::id::DeploymentId;
use crate::kernel::base::{ChannelId, EntryId, Fault, FileId, Micros, PatientId};
use crate::kernel::crypto::chain::{LEAF_BYTES, Leaf, Walk, commit, file_committer, files_hash};
use crate::kernel::crypto::{Hash, from_base64};

/// Bytes of a line of `entries.ndjson`. A body is at most a frame, or an imported resource kept whole; base64 adds a third.
const LINE_BYTES_MAX: u64 = 128 << 20;

/// What a walk came to.
pub(super) struct Walked {
    /// Leaves that hold.
    pub size: u64,
    /// The chain after them.
    pub head: Hash,
    /// Time of the last of them.
    pub at: Micros,
    /// Entries whose content was checked.
    pub entries: u64,
    /// The first position that does not hold, with the reason.
    pub flaw: Option<(u64, &'static str)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    seq: u64,
    id: EntryId,
    r: String,
    body: String,
    #[serde(default)]
    files: Vec<FileLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLine {
    id: FileId,
    r: String,
}

/// The walk in the making.
struct Walker<'s, 'f> {
    walk: Walk,
    entries: &'s mut Stream<'f>,
    disclosed: &'s [[u64; 2]],
    checked: u64,
    files: &'f dyn Files,
    channel: ChannelId,
    /// Commitments of files that were read already: an entry may carry one that another carries, too.
    read: HashMap<FileId, (Hash, Hash)>,
}

/// Walks a channel.
///
/// # Errors
/// A file cannot be read.
pub(super) fn walk<'f>(
    deployment: DeploymentId,
    patient: PatientId,
    channel: &ManifestChannel,
    leaves: &mut Stream<'_>,
    entries: &mut Stream<'f>,
    files: &'f dyn Files,
) -> std::io::Result<Walked> {
    let walk = Walk::from_start(deployment, patient, channel.id);
    let (disclosed, read) = (channel.disclosed.as_slice(), HashMap::new());
    let mut walker = Walker { walk, entries, disclosed, checked: 0, files, channel: channel.id, read };
    let marks = channel.marks();
    let flaw = match &marks {
        Some(marks) => walker.run(channel, marks, leaves)?,
        None => Some((channel.size, "the manifest's marks are not one a leaf")),
    };
    let Walker { walk, checked, .. } = walker;
    Ok(Walked { size: walk.size(), head: *walk.head(), at: walk.at(), entries: checked, flaw })
}

impl Walker<'_, '_> {
    fn run(
        &mut self,
        channel: &ManifestChannel,
        marks: &[u8],
        leaves: &mut Stream<'_>,
    ) -> std::io::Result<Option<(u64, &'static str)>> {
        let mut bytes = [0; LEAF_BYTES];
        for wanted in marks.chunks_exact(MARK_BYTES) {
            let seq = self.walk.size() + 1;
            let reason = match leaves.fill(&mut bytes)? {
                LEAF_BYTES => self.step(seq, &bytes, wanted)?,
                0 => Some("the entry is missing at the end of the channel"),
                _ => Some("the leaf is cut off"),
            };
            if let Some(reason) = reason {
                return Ok(Some((seq, reason)));
            }
        }
        let behind = channel.size.saturating_add(1);
        if leaves.fill(&mut bytes)? > 0 {
            return Ok(Some((behind, "the signed head does not know this entry")));
        }
        if self.entries.line(1)?.is_some() {
            return Ok(Some((behind, "there is more content than entries")));
        }
        Ok(None)
    }

    /// One leaf, and its entry where it is disclosed.
    fn step(&mut self, seq: u64, bytes: &[u8; LEAF_BYTES], wanted: &[u8]) -> std::io::Result<Option<&'static str>> {
        let before = self.walk;
        let leaf = match self.walk.step(bytes) {
            Ok(leaf) => leaf,
            Err(Fault::Integrity(reason)) => return Ok(Some(reason)),
            Err(_) => return Ok(Some("the entry does not follow")),
        };
        let mut reason = (mark(bytes) != wanted).then_some("the leaf was changed");
        if reason.is_none() && self.is_disclosed(seq) {
            reason = self.entry(seq, &leaf)?;
            self.checked += u64::from(reason.is_none());
        }
        if reason.is_some() {
            self.walk = before;
        }
        Ok(reason)
    }

    fn is_disclosed(&mut self, seq: u64) -> bool {
        while let [[_, to], rest @ ..] = self.disclosed
            && *to < seq
        {
            self.disclosed = rest;
        }
        self.disclosed.first().is_some_and(|[from, _]| *from <= seq)
    }

    /// What is wrong with the content of an entry.
    fn entry(&mut self, seq: u64, leaf: &Leaf) -> std::io::Result<Option<&'static str>> {
        let Some(line) = self.entries.line(LINE_BYTES_MAX)? else {
            return Ok(Some("the entry's content is missing"));
        };
        let line = match check(seq, leaf, &line) {
            Ok(line) => line,
            Err(reason) => return Ok(Some(reason)),
        };
        self.carried(leaf, &line.files)
    }

    /// What is wrong with the files of an entry.
    fn carried(&mut self, leaf: &Leaf, files: &[FileLine]) -> std::io::Result<Option<&'static str>> {
        let mut commitments = Vec::with_capacity(files.len());
        for file in files {
            let Some(r) = from_base64(&file.r).and_then(|r| Hash::try_from(r).ok()) else {
                return Ok(Some("a file's r cannot be read"));
            };
            match self.read.get(&file.id) {
                Some((with, commitment)) if *with == r => commitments.push(*commitment),
                _ => {
                    let Ok(content) = self.files.open(&attachment(self.channel, file.id)) else {
                        return Ok(Some("a file of the entry is missing"));
                    };
                    let commitment = Stream::new(content).finish_into(file_committer(&r))?;
                    self.read.insert(file.id, (r, commitment));
                    commitments.push(commitment);
                }
            }
        }
        let same = files_hash(&commitments) == leaf.files;
        Ok((!same).then_some("the files are not what was committed to"))
    }
}

fn check(seq: u64, leaf: &Leaf, line: &[u8]) -> Result<Line, &'static str> {
    let whole = line.strip_suffix(b"\n").ok_or("the entry's line is not ended")?;
    let line: Line = serde_json::from_slice(whole).map_err(|_| "the entry's line cannot be read")?;
    if line.seq != seq {
        return Err("the entry's content is missing, doubled or out of order");
    }
    if line.id != leaf.entry {
        return Err("the content is of another entry");
    }
    let r = from_base64(&line.r).and_then(|r| <[u8; 32]>::try_from(r).ok()).ok_or("the entry's r cannot be read")?;
    let body = from_base64(&line.body).ok_or("the entry's body is not strict base64")?;
    if commit(&r, &body) != leaf.commit {
        return Err("the content is not what was committed to");
    }
    Ok(line)
}
