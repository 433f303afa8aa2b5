//! What is fuzzed: the decoder of frames, the reader of FHIR imports, the reader of mails, the verifier of proofs. Each takes any bytes and must neither panic
//! nor hang nor hold memory without bound. The tests of the project run the same functions over mutated samples (tests/mutations.rs).

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use carethread::features::care_plan::import::{self, Known, SourceFile};
use carethread::features::chart::Memory;
use carethread::features::chart::proof::{self, Files, SignedChannel, Verdict, Writer};
use carethread::features::intake::letter::Letter;
use carethread::kernel::base::id::DeploymentId;
use carethread::kernel::base::{ChannelId, EntryId, ItemId, PatientId, UserId};
use carethread::kernel::crypto::chain::{self, Leaf, Walk, kind};
use carethread::kernel::crypto::head::{Checkpoint, HeadNote, sign_manifest};
use carethread::kernel::crypto::{Signer, hash, hex, merkle};
use carethread::kernel::wire;

/// A frame of a socket, and the body of `POST /v1/ops`. What is read is answered under the id it came with.
pub fn frame(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok((id, request)) = wire::parse(text) {
        match request {
            Ok(request) => assert_eq!(request.id, id),
            Err(refusal) => assert!(!wire::error(&id, &refusal).is_empty()),
        }
    }
    let _ = wire::parse_op(text);
}

/// One import: the first byte says whether it is NDJSON; a zero byte begins another file.
pub fn import(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else { return };
    let names = if first % 2 == 0 { ["a.json", "b.json", "c.json"] } else { ["a.ndjson", "b.json", "c.ndjson"] };
    let files: Vec<SourceFile<'_>> =
        names.iter().zip(rest.splitn(3, |byte| *byte == 0)).map(|(name, bytes)| SourceFile { name, bytes }).collect();
    let _ = import::read(&files, &Known::nothing());
}

/// One mail. What is read of it is bounded and can be kept.
pub fn intake(input: &[u8]) {
    const NOW: i64 = 1_800_000_000_000_000;
    if let Ok(letter) = Letter::read(input, Some("mx.example")) {
        let (text, _) = letter.words(8000);
        assert!(!text.trim().is_empty() && text.chars().count() <= 8000);
        assert!(letter.held(NOW).at <= NOW + 5 * 60_000_000);
        assert!(letter.with.iter().all(|one| !one.name.trim().is_empty()));
        assert!(letter.attachments.iter().all(|file| !file.name.is_empty()));
    }
}

/// The files of one proof.
struct Folder(BTreeMap<String, Vec<u8>>);

impl Files for Folder {
    fn names(&self) -> Result<Vec<String>, String> {
        Ok(self.0.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        let bytes = self.0.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(bytes.as_slice()))
    }
}

/// A proof. The first byte says whether the manifest is made to fit what was changed and signed again, so that the checks behind its
/// hashes are met too; then files: length of the name, name, length of the file in three bytes, file.
pub fn proof(input: &[u8]) {
    if let Some(verdict) = verdict(input) {
        let _ = verdict.to_string();
    }
}

/// What the verifier says of such an input, if it can be checked at all.
pub fn verdict(input: &[u8]) -> Option<Verdict> {
    let (first, mut rest) = input.split_first()?;
    let mut folder = Folder(BTreeMap::new());
    while let Some((name, behind)) = taken(rest, 1) {
        let Some((bytes, behind)) = taken(behind, 3) else { break };
        rest = behind;
        folder.0.insert(String::from_utf8_lossy(name).into_owned(), bytes.to_vec());
    }
    if first % 2 == 1 {
        sign_again(&mut folder.0);
    }
    proof::verify_files(&folder, None).ok()
}

/// What stands behind a length of so many bytes, as far as there is as much.
fn taken(bytes: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(length)?;
    let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    Some(rest.split_at(length.min(rest.len())))
}

fn sign_again(files: &mut BTreeMap<String, Vec<u8>>) {
    let Some(Ok(mut manifest)) =
        files.get(proof::MANIFEST).map(|bytes| serde_json::from_slice::<serde_json::Value>(bytes))
    else {
        return;
    };
    if let Some(hashes) = manifest.get_mut("files").and_then(serde_json::Value::as_object_mut) {
        hashes.retain(|name, _| files.contains_key(name));
        let others = files.iter().filter(|(name, _)| ![proof::MANIFEST, proof::SIGNATURE].contains(&name.as_str()));
        hashes.extend(others.map(|(name, bytes)| (name.clone(), hex(&hash(bytes)).into())));
    }
    let bytes = manifest.to_string().into_bytes();
    files.insert(proof::SIGNATURE.into(), sign_manifest(&signer(), &bytes).into_bytes());
    files.insert(proof::MANIFEST.into(), bytes);
}

fn signer() -> Signer {
    Signer::new("record.example", &[7; 32]).expect("a name")
}

/// Inputs to begin from: the function, a name, the bytes. `samples` is `tests/data/fhir` of the project.
pub fn seeds(samples: &Path) -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds: Vec<(&'static str, String, Vec<u8>)> = FRAMES
        .iter()
        .enumerate()
        .map(|(number, frame)| ("frame", format!("frame-{number}"), frame.as_bytes().to_vec()))
        .collect();
    for folder in ["", "hl7-r4-examples", "ckd-betsy"] {
        let entries = std::fs::read_dir(samples.join(folder)).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            // The large ones say nothing new and are slow.
            let fit = entry.metadata().is_ok_and(|file| file.is_file() && file.len() < 50_000);
            if fit
                && name.ends_with("json")
                && let Ok(bytes) = std::fs::read(entry.path())
            {
                let first = u8::from(name.ends_with("ndjson"));
                seeds.push(("import", name, [vec![first], bytes].concat()));
            }
        }
    }
    let mails = std::fs::read_dir(samples.join("../mail")).into_iter().flatten().flatten();
    for entry in mails {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".eml")
            && let Ok(bytes) = std::fs::read(entry.path())
        {
            seeds.push(("intake", name, bytes));
        }
    }
    seeds.sort();
    for (name, first) in [("proof", 0), ("proof-signed-again", 1)] {
        seeds.push(("proof", name.into(), [vec![first], sample_proof()].concat()));
    }
    seeds
}

/// Frames of every shape.
const FRAMES: &[&str] = &[
    r#"{"id":1,"op":"login","data":{"token":"ct_pat_x"}}"#,
    r#"{"id":"a","op":"message.post","data":{"channel":"018f0000-0000-7000-8000-000000000000","item":"018f0000-0000-7000-8000-000000000001","text":"BP 150/90\n\u00e9\ud83d\ude00","mentions":["x"],"key":"018f0000-0000-7000-8000-000000000002"}}"#,
    r#"{"id":2,"op":"resume","data":{"cursors":{"018f0000-0000-7000-8000-000000000000":7,"me":0},"follow":["me"]}}"#,
    r#"{"id":3,"op":"history","data":{"channel":"me","before":-1,"limit":200}}"#,
    r#"{"id":4.5e3,"op":"note.log","data":{"with":[{"name":"n","role":"r"}],"deep":[[[[[[[[{"a":null}]]]]]]]]}}"#,
    r#"{"id":5,"op":"ping"}"#,
    r#"{"id":null,"op":7,"data":[]}"#,
    r#"{"op":"typing","data":null,"data":{}}"#,
    "[1,true,false,null,\"\\ud800\",1e999,-0,NaN]",
];

/// Two channels, of one of which an entry is withheld, in the container that [`proof`] takes; signed by the key it signs again with.
fn sample_proof() -> Vec<u8> {
    let (deployment, patient) = (DeploymentId::from_bytes([0xd0; 16]), PatientId::from_bytes([0xa1; 16]));
    let mut memory = Memory::default();
    let mut writer = Writer::new(&mut memory, deployment, patient);
    let body = |seq: u64| format!("{{\"text\":\"entry {seq}\"}}").into_bytes();
    let leaf = |channel, seq: u64| Leaf {
        kind: kind::MESSAGE,
        flags: chain::event_tag("message.posted"),
        epoch: 0,
        patient,
        channel,
        seq,
        entry: EntryId::from_bytes([seq as u8; 16]),
        author: UserId::from_bytes([0xb1; 16]),
        at: 1_700_000_000_000_000 + seq as i64,
        item: ItemId::from_bytes([0xf1; 16]),
        commit: chain::commit(&[seq as u8; 32], &body(seq)),
        files: [0; 32],
    };
    let channels = [(ChannelId::from_bytes([0xc0; 16]), 3_u64), (ChannelId::from_bytes([0xc1; 16]), 5)];
    let notes = channels.map(|(channel, size)| {
        let mut walk = Walk::from_start(deployment, patient, channel);
        for seq in 1..=size {
            walk.step(&leaf(channel, seq).to_bytes()).expect("it follows");
        }
        HeadNote { deployment, patient, channel, epoch: 0, size, head: *walk.head(), at: 1_800_000_000_000_000 }
    });
    let leaves: Vec<[u8; 32]> = [[1; 32]; 3].into_iter().chain(notes.iter().map(HeadNote::site_leaf)).collect();
    for (number, ((channel, size), note)) in channels.into_iter().zip(&notes).enumerate() {
        writer.begin_leaves(channel).expect("memory");
        (1..=size).for_each(|seq| writer.leaf(&leaf(channel, seq).to_bytes()).expect("memory"));
        writer.begin_entries(channel).expect("memory");
        for seq in (1..=size).filter(|seq| *seq != 2) {
            let id = leaf(channel, seq).entry;
            writer.entry(seq, id, &[seq as u8; 32], &body(seq), &[]).expect("memory");
        }
        let inclusion = merkle::inclusion(&leaves, 3 + number).expect("there");
        let note = note.sign(&signer());
        let disclosed = vec![[1, 1], [3, size]];
        let signed = SignedChannel { note: &note, index: 3 + number as u64, inclusion: &inclusion, disclosed };
        writer.end_channel(channel, signed).expect("memory");
    }
    let (size, root) = (leaves.len() as u64, merkle::root(&leaves));
    let checkpoint = Checkpoint { origin: "record.example".into(), size, root };
    writer.finish(&checkpoint.sign(&signer()), &signer()).expect("memory");
    let mut container = Vec::new();
    for (name, bytes) in memory.files {
        container.push(name.len() as u8);
        container.extend(name.into_bytes());
        container.extend(&(bytes.len() as u32).to_be_bytes()[1..]);
        container.extend(bytes);
    }
    container
}
