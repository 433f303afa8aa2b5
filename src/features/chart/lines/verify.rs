//! Checks an `ndjson` file offline: every line against its leaf, every leaf against the chain, the chain against the head that was signed.
//! A file that does not go to that head (an export of a part) is in order and consistent with itself, and no more is said of it.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::{self, BufRead, Read};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Signed;
use crate::features::chart::proof::{ChannelVerdict, Flaw};
use crate::kernel::base::world::{parse_rfc3339, rfc3339};
use crate::kernel::base::{ChannelId, EntryId, Fault, Micros, PatientId, UserId};
use crate::kernel::crypto::chain::{self, LEAF_BYTES, Leaf};
use crate::kernel::crypto::head::HeadNote;
use crate::kernel::crypto::{Hash, Hasher, VerifierKey, base64, from_base64, hex};

/// Faults that are listed.
const FLAWS_MAX: usize = 1000;
/// Bytes of a line. A body is at most a frame, or an imported resource kept whole.
const LINE_BYTES_MAX: u64 = 128 << 20;

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinesVerdict {
    /// The channels, ascending; of each how many entries are here and the chain after the last.
    pub channels: Vec<ChannelVerdict>,
    /// Entries in all.
    pub entries: u64,
    /// The newest entry's time.
    pub until: Option<Micros>,
    /// SHA-256 of the file, hex: the entry `export.filed` of the record has that of the file that was written.
    pub sha256: String,
    /// Who signed the heads in which the channels end here; none if a channel does not end in one.
    pub signer: Option<VerifierKey>,
    /// The signer is the one the caller named.
    pub pinned: bool,
    /// Every channel begins with its first entry.
    pub whole: bool,
    /// What does not hold; none if it is clean.
    pub faults: Vec<Flaw>,
}

impl LinesVerdict {
    /// Nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }
}

impl fmt::Display for LinesVerdict {
    /// A line a fault, or what is clean and how far that goes; no line end behind the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_clean() {
            let lines: Vec<String> = self.faults.iter().map(Flaw::to_string).collect();
            return f.write_str(&lines.join("\n"));
        }
        let what = match (&self.signer, self.whole) {
            (Some(_), true) => "complete and unaltered",
            (Some(_), false) => "unaltered and without gaps",
            (None, _) => "in order and consistent",
        };
        write!(f, "{} channels, {} entries: {what}", self.channels.len(), self.entries)?;
        if let Some(until) = self.until {
            write!(f, " up to {}", rfc3339(until))?;
        }
        match &self.signer {
            Some(signer) => write!(f, ", signed by {signer}, {}", if self.pinned { "pinned" } else { "not pinned" })?,
            None if self.entries == 0 => f.write_str(", nothing is signed")?,
            None => {
                f.write_str("; a choice that does not go to a signed head: a proof bundle shows that it was recorded")?
            }
        }
        write!(f, "\nSHA-256 {}: the same in the entry `export.filed` means that no byte was changed", self.sha256)
    }
}

/// One line: the event frame, the entry's id, the chain after it, and what proves them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'l> {
    #[serde(rename = "type")]
    kind: String,
    event: String,
    channel: ChannelId,
    seq: u64,
    at: String,
    by: UserId,
    #[serde(borrow)]
    data: &'l RawValue,
    id: EntryId,
    head: String,
    leaf: String,
    r: Option<String>,
    #[serde(default)]
    gap: bool,
    signed: Option<Signed>,
}

/// What is left of an entry that is withheld.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stub {
    #[serde(rename = "id")]
    _id: Option<EntryId>,
    #[serde(rename = "item")]
    _item: Option<EntryId>,
    #[serde(rename = "message")]
    _message: Option<EntryId>,
    #[serde(rename = "withheld")]
    _withheld: String,
}

/// How far a channel has come.
struct Place {
    seq: u64,
    size: u64,
    at: Micros,
    head: Hash,
    /// The first line here: its place, leaf and chain.
    first: (u64, [u8; LEAF_BYTES], Hash),
    patient: PatientId,
    /// Entries between were not asked for.
    gaps: bool,
    signed: Option<SignedHead>,
}

/// A head whose signature holds, who signed it, and the last entry that was asked for.
type SignedHead = (HeadNote, VerifierKey, Option<u64>);

/// Checks the lines of a file; `pinned` is a key that must have signed its heads.
///
/// # Errors
/// A sentence when it cannot be read, or its first line is no entry.
pub fn verify_lines(mut file: impl BufRead, pinned: Option<&str>) -> Result<LinesVerdict, String> {
    let pinned = pinned.map(|key| key.parse::<VerifierKey>().map_err(|fault| reason(&fault).to_owned())).transpose()?;
    let mut check = Check { pinned, ..Check::default() };
    let (mut number, mut hasher) = (0_u64, Hasher::default());
    loop {
        let mut line = Vec::new();
        let read = Read::take(&mut file, LINE_BYTES_MAX).read_until(b'\n', &mut line);
        if read.map_err(unreadable)? == 0 {
            return Ok(check.verdict(hex(&hasher.finish())));
        }
        hasher.update(&line);
        number += 1;
        match serde_json::from_slice::<Line<'_>>(&line) {
            Ok(line) if line.kind == "event" => check.take(&line),
            _ if number == 1 => return Err("Its first line is no entry of a record.".into()),
            _ => check.flaw(None, None, format!("line {number}: no entry of a record")),
        }
        if check.faults.len() >= FLAWS_MAX {
            // The digest of the whole does not matter any more, and is still that of the whole.
            io::copy(&mut file, &mut Sink(&mut hasher)).map_err(unreadable)?;
            return Ok(check.verdict(hex(&hasher.finish())));
        }
    }
}

fn unreadable(error: io::Error) -> String {
    format!("It cannot be read: {error}")
}

fn reason(fault: &Fault) -> &'static str {
    match fault {
        Fault::Integrity(reason) => reason,
        _ => "it does not hold",
    }
}

struct Sink<'h>(&'h mut Hasher);

impl io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Default)]
struct Check {
    pinned: Option<VerifierKey>,
    places: BTreeMap<ChannelId, Place>,
    last: Option<ChannelId>,
    ids: HashSet<EntryId>,
    faults: Vec<Flaw>,
}

impl Check {
    fn flaw(&mut self, channel: Option<ChannelId>, seq: Option<u64>, reason: impl Into<String>) {
        self.faults.push(Flaw { channel, seq, reason: reason.into() });
    }

    fn take(&mut self, line: &Line<'_>) {
        let (channel, seq) = (line.channel, line.seq);
        let read =
            leaf_of(line).and_then(|(leaf, bytes)| Ok((leaf, bytes, digest(&line.head).ok_or("its head is no hash")?)));
        let (leaf, bytes, head) = match read {
            Ok(read) => read,
            Err(reason) => return self.flaw(Some(channel), Some(seq), reason),
        };
        let mut flaws: Vec<String> = content(line, &leaf).into_iter().map(str::to_owned).collect();
        if self.last.is_some_and(|last| channel < last) {
            flaws.push("its channel stands before the one above".into());
        }
        self.last = Some(channel);
        if !self.ids.insert(line.id) {
            flaws.push("its id stands twice".into());
        }
        let signed = line.signed.as_ref().and_then(|signed| match self.signature(signed, channel) {
            Ok(note) => Some(note),
            Err(reason) => {
                flaws.push(reason.into());
                None
            }
        });
        match self.places.get_mut(&channel) {
            Some(place) => flaws.extend(place.follow(&leaf, &bytes, head, line.gap)),
            None => {
                let (first, patient) = ((seq, bytes, head), leaf.patient);
                self.places
                    .insert(channel, Place { seq, size: 1, at: leaf.at, head, first, patient, gaps: false, signed });
            }
        }
        // One entry, one line: what else is wrong with it follows from the first.
        if let Some(reason) = flaws.into_iter().next() {
            self.flaw(Some(channel), Some(seq), reason);
        }
    }

    /// The head that was signed, where that holds.
    fn signature(&self, signed: &Signed, channel: ChannelId) -> Result<SignedHead, &'static str> {
        let signer: VerifierKey = signed.signer.parse().map_err(|fault| reason(&fault))?;
        if self.pinned.as_ref().is_some_and(|pinned| *pinned != signer) {
            return Err("its head is signed by another key");
        }
        let note = HeadNote::verify(&signed.note, &signer).map_err(|fault| reason(&fault))?;
        if note.channel == channel {
            Ok((note, signer, signed.to))
        } else {
            Err("the signed head is of another channel")
        }
    }

    fn verdict(mut self, sha256: String) -> LinesVerdict {
        let ends: Vec<_> = self.places.iter().map(|(channel, place)| (*channel, place.seq, place.end())).collect();
        let (mut signer, mut open) = (None::<VerifierKey>, false);
        for (channel, seq, end) in ends {
            match end {
                Ok(Some(other)) if signer.as_ref().is_some_and(|signer| *signer != other) => {
                    self.flaw(
                        Some(channel),
                        Some(seq),
                        "its head is signed by another key than that of a channel above",
                    );
                }
                Ok(Some(found)) => signer = Some(found),
                Ok(None) => open = true,
                Err((at, reason)) => self.flaw(Some(channel), Some(at.unwrap_or(seq)), reason),
            }
        }
        let signer = signer.filter(|_| !open);
        let channels = self.places.iter().map(|(channel, place)| ChannelVerdict {
            channel: *channel,
            size: place.size,
            head: base64(&place.head),
        });
        LinesVerdict {
            channels: channels.collect(),
            entries: self.places.values().map(|place| place.size).sum(),
            until: self.places.values().map(|place| place.at).max(),
            sha256,
            pinned: signer.is_some() && self.pinned.is_some(),
            signer,
            whole: self.places.values().all(|place| place.first.0 == 1),
            faults: self.faults,
        }
    }
}

impl Place {
    /// Takes the next line of the channel; what is wrong with its place.
    fn follow(&mut self, leaf: &Leaf, bytes: &[u8; LEAF_BYTES], head: Hash, gap: bool) -> Option<String> {
        let gap = gap && leaf.seq > self.seq + 1;
        let reason = if leaf.seq <= self.seq {
            Some("it stands after a later entry".into())
        } else if leaf.seq > self.seq + 1 && !gap {
            Some(format!("the entries {} to {} are not in this file", self.seq + 1, leaf.seq - 1))
        } else if leaf.patient != self.patient {
            Some("it is of another patient".into())
        } else if leaf.at < self.at {
            Some("its time is before that of the entry above".into())
        } else if !gap && chain::next(&self.head, bytes) != head {
            Some("the chain does not follow".into())
        } else {
            None
        };
        let (size, gaps, signed) = (self.size + 1, self.gaps || gap, self.signed.take());
        *self = Self { seq: leaf.seq, size, at: leaf.at, head, gaps, signed, ..*self };
        reason
    }

    /// Who signed where it ends, if it goes that far; else what is wrong, and at which entry if not at the last.
    fn end(&self) -> Result<Option<VerifierKey>, (Option<u64>, String)> {
        let Some((note, signer, to)) = &self.signed else {
            return Err((Some(self.first.0), "the channel does not begin with its signed head".into()));
        };
        let (first, leaf, head) = &self.first;
        let genesis = chain::genesis(note.deployment, note.patient, note.channel);
        if note.patient != self.patient {
            return Err((Some(*first), "the signed head is of another patient".into()));
        }
        if *first == 1 && chain::next(&genesis, leaf) != *head {
            return Err((Some(1), "the chain does not follow".into()));
        }
        if let Some(to) = to.filter(|to| self.seq < *to) {
            return Err((Some(self.seq + 1), format!("the entries {} to {to} are not in this file", self.seq + 1)));
        }
        if self.seq > note.size {
            return Err((None, "the signed head does not know this entry".into()));
        }
        if self.seq == note.size && self.head != note.head {
            return Err((None, "the chain does not end in the head that was signed".into()));
        }
        Ok((self.seq == note.size && !self.gaps).then(|| signer.clone()))
    }
}

fn digest(text: &str) -> Option<Hash> {
    from_base64(text).and_then(|bytes| Hash::try_from(bytes).ok())
}

/// The leaf of a line.
fn leaf_of(line: &Line<'_>) -> Result<(Leaf, [u8; LEAF_BYTES]), &'static str> {
    let bytes = from_base64(&line.leaf).and_then(|bytes| <[u8; LEAF_BYTES]>::try_from(bytes).ok());
    let bytes = bytes.ok_or("its leaf is none")?;
    Ok((Leaf::parse(&bytes).map_err(|fault| reason(&fault))?, bytes))
}

/// What of a line is not what its leaf holds.
fn content(line: &Line<'_>, leaf: &Leaf) -> Option<&'static str> {
    if (leaf.channel, leaf.seq, leaf.entry) != (line.channel, line.seq, line.id) {
        return Some("the leaf is of another entry");
    }
    if leaf.author != line.by {
        return Some("its author is not who wrote it");
    }
    if !parse_rfc3339(&line.at).is_ok_and(|at| at == leaf.at) {
        return Some("its time is not when it was written");
    }
    if leaf.flags != chain::event_tag(&line.event) {
        return Some("its event is another");
    }
    let body = line.data.get();
    match line.r.as_deref().map(digest) {
        Some(Some(r)) if chain::commit(&r, body.as_bytes()) == leaf.commit => None,
        Some(Some(_)) => Some("the content is not what was committed to"),
        Some(None) => Some("its r cannot be read"),
        None if serde_json::from_str::<Stub>(body).is_ok() => None,
        None => Some("its r is missing"),
    }
}
