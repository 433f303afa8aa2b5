//! Law 3: any flipped byte, missing, doubled or reordered entry is found, and the first bad entry is named.

use std::collections::BTreeMap;
use std::io::{self, Read};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::features::chart::out::Memory;
use crate::kernel::base::{EntryId, ItemId, Micros, UserId};
use crate::kernel::crypto::chain::{LEAF_BYTES, Leaf, Walk, commit, kind};
use crate::kernel::crypto::head::HeadNote;
use crate::kernel::crypto::{Checkpoint, Signer, VerifierKey, base64, hex, merkle};

const START: Micros = 1_700_000_000_000_000;

#[derive(Clone)]
struct Proof(BTreeMap<String, Vec<u8>>);

impl Files for Proof {
    fn names(&self) -> Result<Vec<String>, String> {
        Ok(self.0.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        let bytes = self.0.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(bytes.as_slice()))
    }
}

fn signer(seed: u8) -> Signer {
    Signer::new("record.example", &[seed; 32]).expect("a name")
}

fn channel(n: u8) -> ChannelId {
    ChannelId::from_bytes([0xc0 + n; 16])
}

fn body(n: u8, seq: u64) -> Vec<u8> {
    json!({ "text": format!("entry {seq} of channel {n}") }).to_string().into_bytes()
}

/// A proof of channels with `sizes` entries; entries for which `withheld` says so are leaves only.
fn proof(sizes: &[u64], withheld: impl Fn(u64) -> bool) -> Proof {
    let (deployment, patient) = (DeploymentId::from_bytes([0xd0; 16]), PatientId::from_bytes([0xa1; 16]));
    let signer = signer(7);
    let mut out = Memory::default();
    let mut writer = Writer::new(&mut out, deployment, patient);
    let leaf = |n: u8, seq: u64| {
        let id = u8::try_from(seq % 200).expect("small");
        Leaf {
            kind: kind::MESSAGE,
            flags: 0,
            epoch: 0,
            patient,
            channel: channel(n),
            seq,
            entry: EntryId::from_bytes([id; 16]),
            author: UserId::from_bytes([0xb1; 16]),
            at: START + i64::try_from(seq / 2).expect("small"),
            item: ItemId::from_bytes([0xf1; 16]),
            commit: commit(&[id; 32], &body(n, seq)),
            files: [0; 32],
        }
    };
    let numbered = || (0_u8..).zip(sizes.iter().copied());
    let notes: Vec<HeadNote> = numbered()
        .map(|(n, size)| {
            let mut walk = Walk::from_start(deployment, patient, channel(n));
            (1..=size).for_each(|seq| assert!(walk.step(&leaf(n, seq).to_bytes()).is_ok()));
            let (channel, head, at) = (channel(n), *walk.head(), START + 1_000_000);
            HeadNote { deployment, patient, channel, epoch: 0, size, head, at }
        })
        .collect();
    // Heads of other patients stand in the same log.
    let mut leaves = vec![[1; 32]; 3];
    leaves.extend(notes.iter().map(HeadNote::site_leaf));
    for ((n, size), note) in numbered().zip(&notes) {
        writer.begin_leaves(channel(n)).expect("memory");
        (1..=size).for_each(|seq| writer.leaf(&leaf(n, seq).to_bytes()).expect("memory"));
        writer.begin_entries(channel(n)).expect("memory");
        let mut disclosed = Vec::new();
        for seq in (1..=size).filter(|seq| !withheld(*seq)) {
            let leaf = leaf(n, seq);
            writer.entry(seq, leaf.entry, &[leaf.entry.bytes()[0]; 32], &body(n, seq), &[]).expect("memory");
            disclosed.push([seq, seq]);
        }
        let index = 3 + usize::from(n);
        let inclusion = merkle::inclusion(&leaves, index).expect("there");
        let note = note.sign(&signer);
        let signed = SignedChannel { note: &note, index: index as u64, inclusion: &inclusion, disclosed };
        writer.end_channel(channel(n), signed).expect("memory");
    }
    let checkpoint = Checkpoint {
        origin: signer.verifier().name().to_owned(),
        size: leaves.len() as u64,
        root: merkle::root(&leaves),
    };
    writer.finish(&checkpoint.sign(&signer), &signer).expect("memory");
    Proof(out.files)
}

impl Proof {
    fn verdict(&self) -> Result<Verdict, String> {
        verify_files(self, None)
    }

    /// The position named, if the verdict names one of that channel first.
    fn named(&self, n: u8) -> Option<u64> {
        let faults = self.verdict().ok()?.faults;
        let first = faults.first()?;
        (first.channel == Some(channel(n))).then_some(first.seq).flatten()
    }

    fn is_refused(&self) -> bool {
        self.verdict().is_ok_and(|verdict| !verdict.is_clean()) || self.verdict().is_err()
    }

    fn leaves(&mut self, n: u8) -> &mut Vec<u8> {
        self.0.get_mut(&channel_file(channel(n), "leaves")).expect("there")
    }

    fn lines(&self, n: u8) -> Vec<String> {
        let bytes = &self.0[&channel_file(channel(n), "entries.ndjson")];
        String::from_utf8_lossy(bytes).split_inclusive('\n').map(str::to_owned).collect()
    }

    fn put_lines(&mut self, n: u8, lines: &[String]) {
        self.0.insert(channel_file(channel(n), "entries.ndjson"), lines.concat().into_bytes());
    }
}

#[test]
fn a_clean_proof_says_so_in_one_line() {
    let verdict = proof(&[5, 9], |_| false).verdict().expect("readable");
    assert_eq!(verdict.faults, []);
    let key = signer(7).verifier().to_string();
    let line = format!(
        "2 channels, 14 entries: complete and unaltered up to 2023-11-14T22:13:21.000000Z, signed by {key}, not pinned"
    );
    assert_eq!(verdict.to_string(), line);
    assert_eq!((verdict.channels[1].channel, verdict.channels[1].size), (channel(1), 9));
}

#[test]
fn what_is_withheld_is_counted_and_the_rest_still_holds() {
    let verdict = proof(&[10], |seq| (3..=6).contains(&seq)).verdict().expect("readable");
    assert_eq!(verdict.faults, []);
    assert_eq!((verdict.entries, verdict.withheld), (6, 4));
}

#[test]
fn a_pinned_key_must_be_the_signer() {
    let proof = proof(&[2], |_| false);
    let check = |key: &VerifierKey| verify_files(&proof, Some(key)).expect("readable");
    let verdict = check(signer(7).verifier());
    assert!(verdict.is_clean() && verdict.to_string().ends_with(", pinned"));
    assert!(!check(signer(8).verifier()).is_clean());
}

#[test]
fn a_missing_or_added_file_is_refused() {
    let whole = proof(&[3, 4], |_| false);
    for name in whole.0.keys() {
        let mut less = whole.clone();
        less.0.remove(name);
        assert!(less.is_refused(), "{name}");
        let mut more = whole.clone();
        more.0.insert(format!("{name}.old"), Vec::new());
        assert!(more.is_refused(), "{name}");
    }
}

#[test]
fn leaves_that_are_missing_doubled_or_reordered_are_named() {
    let whole = proof(&[4, 8], |seq| seq == 2);
    for at in 0..8 {
        let seq = at as u64 + 1;
        let mut less = whole.clone();
        less.leaves(1).drain(at * LEAF_BYTES..(at + 1) * LEAF_BYTES);
        assert_eq!(less.named(1), Some(seq), "without {seq}");
        let mut more = whole.clone();
        let twice = more.leaves(1)[at * LEAF_BYTES..(at + 1) * LEAF_BYTES].to_vec();
        more.leaves(1).splice(at * LEAF_BYTES..at * LEAF_BYTES, twice);
        assert_eq!(more.named(1), Some(seq + 1), "{seq} twice");
        if at < 7 {
            let mut swapped = whole.clone();
            swapped.leaves(1)[at * LEAF_BYTES..(at + 2) * LEAF_BYTES].rotate_left(LEAF_BYTES);
            assert_eq!(swapped.named(1), Some(seq), "{seq} after its next");
        }
    }
}

#[test]
fn content_that_is_missing_doubled_or_reordered_is_named() {
    let whole = proof(&[7], |_| false);
    for at in 0..7 {
        let seq = at as u64 + 1;
        let (mut less, mut more, mut swapped) = (whole.clone(), whole.clone(), whole.clone());
        let mut lines = whole.lines(0);
        lines.remove(at);
        less.put_lines(0, &lines);
        assert_eq!(less.named(0), Some(seq));
        let mut lines = whole.lines(0);
        lines.insert(at, lines[at].clone());
        more.put_lines(0, &lines);
        assert_eq!(more.named(0), Some(seq + 1));
        let mut lines = whole.lines(0);
        lines.swap(at, (at + 1) % 7);
        swapped.put_lines(0, &lines);
        assert_eq!(swapped.named(0), Some(if at == 6 { 1 } else { seq }));
    }
}

/// Whoever changes a file can write its new hash into the manifest, but cannot sign it.
#[test]
fn a_mended_manifest_does_not_help() {
    let mut forged = proof(&[5], |_| false);
    let mut lines = forged.lines(0);
    let mut line: serde_json::Value = serde_json::from_str(&lines[2]).expect("JSON");
    line["body"] = base64(b"{\"text\":\"something else\"}").into();
    lines[2] = format!("{line}\n");
    forged.put_lines(0, &lines);
    let name = channel_file(channel(0), "entries.ndjson");
    let mut manifest: Manifest = serde_json::from_slice(&forged.0[MANIFEST]).expect("JSON");
    manifest.files.insert(name.clone(), hex(&hash(&forged.0[&name])));
    forged.0.insert(MANIFEST.to_owned(), serde_json::to_vec(&manifest).expect("JSON"));
    let faults = forged.verdict().expect("readable").faults;
    assert!(faults.iter().any(|flaw| flaw.reason.starts_with(SIGNATURE)), "{faults:?}");
    assert!(faults.iter().any(|flaw| flaw.seq == Some(3)), "{faults:?}");
}

#[test]
fn a_folder_on_disk_is_read_and_links_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = proof(&[3], |_| false);
    for (name, bytes) in &whole.0 {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("inside")).expect("a folder");
        std::fs::write(path, bytes).expect("written");
    }
    assert!(verify(folder.path(), None).expect("readable").is_clean());
    let key = signer(7).verifier().to_string();
    assert!(verify(folder.path(), Some(&key)).expect("readable").pinned);
    assert!(verify(folder.path(), Some("nonsense")).is_err());
    std::os::unix::fs::symlink("/etc/hostname", folder.path().join("more")).expect("linked");
    assert!(verify(folder.path(), None).is_err());
    assert!(verify(&folder.path().join("absent"), None).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_flipped_byte_of_any_file_is_found(file: prop::sample::Index, at: prop::sample::Index, bit in 0..8_u8) {
        let mut flipped = proof(&[6, 3], |seq| seq == 4);
        let name = file.get(&flipped.0.keys().cloned().collect::<Vec<_>>()).clone();
        let bytes = flipped.0.get_mut(&name).expect("there");
        if bytes.is_empty() { return Ok(()); }
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(flipped.is_refused(), "{name} at {at}");
    }

    #[test]
    fn the_entry_of_a_flipped_byte_is_named(at: prop::sample::Index, bit in 0..8_u8, of_leaves: bool) {
        let mut flipped = proof(&[3, 9], |seq| seq == 4);
        let name = channel_file(channel(1), if of_leaves { "leaves" } else { "entries.ndjson" });
        let bytes = flipped.0.get_mut(&name).expect("there");
        let at = at.index(bytes.len());
        let seq = if of_leaves {
            (at / LEAF_BYTES) as u64 + 1
        } else {
            // Lines of the disclosed entries: all but the fourth.
            let before = bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            before + u64::from(before >= 4)
        };
        bytes[at] ^= 1 << bit;
        prop_assert_eq!(flipped.named(1), Some(seq), "{} at {}", name, at);
    }

    #[test]
    fn arbitrary_files_never_panic(name in 0..7_usize, bytes: Vec<u8>, text in "[\\[\\]{}\",:0-9a-z \n=+/]*") {
        let mut broken = proof(&[2], |_| false);
        let name = broken.0.keys().nth(name).expect("there are eight").clone();
        for bytes in [bytes, text.into_bytes()] {
            if broken.0[&name] == bytes { continue; }
            broken.0.insert(name.clone(), bytes);
            prop_assert!(broken.is_refused());
        }
    }
}
