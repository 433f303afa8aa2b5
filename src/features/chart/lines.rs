//! Checks an `ndjson` file offline, as far as it goes: it is in order and without gaps. It holds no random numbers and no signature, so that
//! its words are what was recorded is shown by a proof folder only, and this says so; the record itself knows the SHA-256 of the file.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::BufRead;

use serde::Deserialize;
use serde_json::Value;

use super::proof::{ChannelVerdict, Flaw};
use crate::kernel::base::world::{parse_rfc3339, rfc3339};
use crate::kernel::base::{ChannelId, EntryId, Micros, UserId};
use crate::kernel::crypto::{Hash, Hasher, from_base64, hex};

/// Faults that are listed.
const FLAWS_MAX: usize = 1000;
/// Bytes of a line: a text of 8,000 characters, escaped, is a tenth of it.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinesVerdict {
    /// The channels, ascending; of each how many entries are here and the chain after the last, as the file says.
    pub channels: Vec<ChannelVerdict>,
    /// Entries in all.
    pub entries: u64,
    /// The newest entry's time.
    pub until: Option<Micros>,
    /// SHA-256 of the file, hex: the entry `export.filed` of the record has that of the file that was written.
    pub sha256: String,
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
    /// A line a fault, or the one line that says it is clean; no line end behind the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_clean() {
            let lines: Vec<String> = self.faults.iter().map(Flaw::to_string).collect();
            return f.write_str(&lines.join("\n"));
        }
        write!(f, "{} channels, {} entries: in order and without gaps", self.channels.len(), self.entries)?;
        if let Some(until) = self.until {
            write!(f, " up to {}", rfc3339(until))?;
        }
        f.write_str("; order and completeness only: it is not signed, words are proven by a proof bundle")?;
        write!(f, "\nSHA-256 {}: the same in the entry `export.filed` means that no byte was changed", self.sha256)
    }
}

/// One line: the event frame, the entry's id and the chain after it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    event: String,
    channel: ChannelId,
    seq: u64,
    at: String,
    #[serde(rename = "by")]
    _by: UserId,
    data: Value,
    id: EntryId,
    head: String,
}

/// How far a channel has come.
struct Place {
    seq: u64,
    size: u64,
    at: Micros,
    head: String,
}

/// Checks the lines of a file.
///
/// # Errors
/// A sentence when it cannot be read, or its first line is no entry.
pub fn verify_lines(mut file: impl BufRead) -> Result<LinesVerdict, String> {
    let mut check = Check::default();
    let (mut number, mut hasher) = (0_u64, Hasher::default());
    loop {
        let mut line = Vec::new();
        let read = std::io::Read::take(&mut file, LINE_BYTES_MAX).read_until(b'\n', &mut line);
        if read.map_err(|error| format!("It cannot be read: {error}"))? == 0 {
            return Ok(check.verdict(hex(&hasher.finish())));
        }
        hasher.update(&line);
        number += 1;
        match serde_json::from_slice::<Line>(&line) {
            Ok(line) if line.kind == "event" && line.data.is_object() => check.take(line),
            _ if number == 1 => return Err("Its first line is no entry of a record.".into()),
            _ => check.flaw(None, None, &format!("line {number}: no entry of a record")),
        }
        if check.faults.len() >= FLAWS_MAX {
            // The digest of the whole does not matter any more, and is still that of the whole.
            let mut rest = vec![0; 1 << 16];
            loop {
                match std::io::Read::read(&mut file, &mut rest)
                    .map_err(|error| format!("It cannot be read: {error}"))?
                {
                    0 => return Ok(check.verdict(hex(&hasher.finish()))),
                    read => hasher.update(&rest[..read]),
                }
            }
        }
    }
}

#[derive(Default)]
struct Check {
    places: BTreeMap<ChannelId, Place>,
    last: Option<ChannelId>,
    ids: HashSet<EntryId>,
    heads: HashSet<String>,
    faults: Vec<Flaw>,
}

impl Check {
    fn flaw(&mut self, channel: Option<ChannelId>, seq: Option<u64>, reason: &str) {
        self.faults.push(Flaw { channel, seq, reason: reason.to_owned() });
    }

    fn take(&mut self, line: Line) {
        let Line { event, channel, seq, at, id, head, .. } = line;
        let mut flaws: Vec<String> = Vec::new();
        if self.last.is_some_and(|last| channel < last) {
            flaws.push("its channel stands before the one above".into());
        }
        self.last = Some(channel);
        let time = parse_rfc3339(&at);
        if time.is_err() || event.split_once('.').is_none() {
            flaws.push("its time or its event cannot be read".into());
        }
        let at = time.unwrap_or_default();
        if from_base64(&head).and_then(|head| Hash::try_from(head).ok()).is_none() {
            flaws.push("its head is no hash".into());
        }
        if !self.ids.insert(id) {
            flaws.push("its id stands twice".into());
        }
        if !self.heads.insert(head.clone()) {
            flaws.push("its head stands twice".into());
        }
        let before = self.places.get(&channel);
        if let Some(before) = before {
            if seq <= before.seq {
                flaws.push("it stands after a later entry".into());
            } else if seq > before.seq + 1 {
                flaws.push(format!("the entries {} to {} are not in this file", before.seq + 1, seq - 1));
            }
            if at < before.at {
                flaws.push("its time is before that of the entry above".into());
            }
        }
        let size = before.map_or(0, |before| before.size) + 1;
        self.places.insert(channel, Place { seq, size, at, head });
        flaws.iter().for_each(|reason| self.flaw(Some(channel), Some(seq), reason));
    }

    fn verdict(self, sha256: String) -> LinesVerdict {
        let channels = self.places.iter().map(|(channel, place)| ChannelVerdict {
            channel: *channel,
            size: place.size,
            head: place.head.clone(),
        });
        LinesVerdict {
            channels: channels.collect(),
            entries: self.places.values().map(|place| place.size).sum(),
            until: self.places.values().map(|place| place.at).max(),
            sha256,
            faults: self.faults,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::kernel::crypto::base64;

    fn line(channel: u128, seq: u64) -> String {
        let number = u8::try_from(channel * 16 + u128::from(seq)).unwrap();
        let line = json!({"type": "event", "event": "message.posted", "channel": Uuid::from_u128(channel), "seq": seq,
            "at": format!("2026-03-02T10:00:0{seq}.000000Z"), "by": Uuid::from_u128(9), "data": {"text": "a"},
            "id": Uuid::from_u128(100 + u128::from(number)), "head": base64(&[number; 32])});
        line.to_string()
    }

    fn of(lines: &[String]) -> Vec<String> {
        let verdict = verify_lines(lines.join("\n").as_bytes()).unwrap();
        verdict.faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_whole_file_is_clean_and_says_what_it_does_not_show() {
        let lines = [line(1, 1), line(1, 2), line(2, 3), line(2, 4)];
        let verdict = verify_lines(lines.join("\n").as_bytes()).unwrap();
        assert!(verdict.is_clean());
        let said = "2 channels, 4 entries: in order and without gaps up to 2026-03-02T10:00:04.000000Z; order and completeness only: it is \
            not signed, words are proven by a proof bundle";
        assert_eq!(verdict.to_string().lines().next(), Some(said));
        assert!(verify_lines(&b""[..]).unwrap().is_clean());
        assert!(verify_lines(&b"{}"[..]).is_err());
    }

    #[test]
    fn what_is_missing_doubled_or_out_of_order_is_named() {
        let first = format!("channel {} seq", Uuid::from_u128(1));
        assert_eq!(of(&[line(1, 1), line(1, 4)]), [format!("{first} 4: the entries 2 to 3 are not in this file")]);
        let doubled = of(&[line(1, 1), line(1, 1)]);
        assert!(
            doubled.iter().all(|flaw| flaw.starts_with(&format!("{first} 1: "))) && doubled.len() == 3,
            "{doubled:?}"
        );
        assert!(!of(&[line(1, 2), line(1, 1)]).is_empty());
        assert_eq!(of(&[line(2, 1), line(1, 1)]), [format!("{first} 1: its channel stands before the one above")]);
        assert_eq!(of(&[line(1, 1), "{\"a\":1}".into()]), ["line 2: no entry of a record"]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
            let mut file = [line(1, 1), line(1, 2)].join("\n").into_bytes();
            let at = at.index(file.len());
            file.splice(at..at, bytes);
            let _ = verify_lines(&file[..]);
        }
    }
}
