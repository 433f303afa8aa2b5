//! Law 3 for a proof folder that has left the house: `verify PATH` needs nothing else, and whatever was done to the folder since is
//! found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::foreign::{node, program, script};
use super::server::{House, Server};
use super::ward::Ward;

/// A proof folder, as files by name.
struct Proof {
    house: House,
    files: BTreeMap<PathBuf, Vec<u8>>,
    staff: String,
}

fn read_all(root: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(root, &path, files);
        } else {
            files.insert(path.strip_prefix(root).unwrap().to_owned(), std::fs::read(&path).unwrap());
        }
    }
}

impl Proof {
    async fn new() -> Self {
        let server = Server::new().await;
        let lead = server.person("lead").await;
        let mut ward = Ward::open(&server, lead).await;
        for name in ["a", "b", "c"] {
            ward.says(&server, name, "staff", "goal").await;
        }
        let headers = format!("Authorization: Bearer {}\r\nX-File-Name: lab.txt\r\n", ward.lead.token);
        let route = format!("POST /v1/channels/{}/files", ward.id("staff"));
        let file = server.request(&route, &headers, b"Potassium 6.1").await.json()["id"].clone();
        let attached =
            json!({"channel": ward.id("staff"), "item": ward.id("goal"), "text": "see there", "files": [file]});
        server.run(&ward.lead, "message.post", attached).await;
        let path = server.house.path("proof");
        let out = path.display().to_string();
        server.cli(&["export", "--patient", ward.id("patient"), "--format", "proof", "--out", &out]).await;
        let mut files = BTreeMap::new();
        read_all(&path, &path, &mut files);
        let staff = ward.id("staff").to_owned();
        Self { house: server.kill().await, files, staff }
    }

    /// Writes a folder of its own with these files and verifies it; no data folder is named.
    async fn verified(&self, name: &str, files: &BTreeMap<PathBuf, Vec<u8>>, key: &[&str]) -> (i32, Value, String) {
        let folder = self.house.path(name);
        for (path, bytes) in files {
            std::fs::create_dir_all(folder.join(path).parent().unwrap()).unwrap();
            std::fs::write(folder.join(path), bytes).unwrap();
        }
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_carethread"));
        command.args(["--json", "--data", "/nowhere", "verify"]).arg(&folder).args(key);
        let output = command.output().await.unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let told = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        (output.status.code().unwrap_or(-1), told, String::from_utf8(output.stderr).unwrap())
    }

    /// The changed folder is refused, with faults or a sentence.
    async fn is_refused(&self, why: &str, files: &BTreeMap<PathBuf, Vec<u8>>) -> Value {
        let (code, told, sentence) = self.verified("changed", files, &[]).await;
        let named = told["faults"].as_array().is_some_and(|faults| !faults.is_empty()) || !sentence.trim().is_empty();
        assert!(code == 1 && told["ok"] != true && named, "{why}: {code} {told} {sentence}");
        told
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.keys().find(|path| path.ends_with(name)).unwrap_or_else(|| panic!("no {name}")).clone()
    }

    fn of_staff(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("channels/{}/{name}", self.staff))
    }
}

both!(an_unchanged_proof_verifies_anywhere_and_against_a_pinned_key);
async fn an_unchanged_proof_verifies_anywhere_and_against_a_pinned_key() {
    let proof = Proof::new().await;
    let (code, told, sentence) = proof.verified("same", &proof.files, &[]).await;
    assert_eq!((code, &told["ok"], &told["pinned"]), (0, &json!(true), &json!(false)), "{told} {sentence}");
    let signer = told["signer"].as_str().unwrap().to_owned();
    let (code, told, _) = proof.verified("same", &proof.files, &["--key", &signer]).await;
    assert_eq!((code, &told["pinned"]), (0, &json!(true)));
    let other = Proof::new().await;
    let (_, told, _) = other.verified("same", &other.files, &[]).await;
    let (code, told, _) = proof.verified("same", &proof.files, &["--key", told["signer"].as_str().unwrap()]).await;
    assert!(code == 1 && told["ok"] != true, "another deployment's key: {told}");
    for name in ["manifest.json", "manifest.sig", "checkpoint", "keys.json", "verify.html"] {
        proof.file(name);
    }
    for name in ["leaves", "entries.ndjson", "head", "inclusion"] {
        assert!(proof.files.contains_key(&proof.of_staff(name)), "{name}");
    }
    let leaves = &proof.files[&proof.of_staff("leaves")];
    let entries = proof.files[&proof.of_staff("entries.ndjson")].iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(leaves.len(), 168 * entries);
}

both!(any_changed_byte_of_any_file_is_found);
async fn any_changed_byte_of_any_file_is_found() {
    let proof = Proof::new().await;
    for (path, bytes) in &proof.files {
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut files = proof.files.clone();
            files.get_mut(path).unwrap()[at] ^= 1;
            proof.is_refused(&format!("byte {at} of {}", path.display()), &files).await;
        }
    }
}

both!(a_missing_or_an_added_file_is_found);
async fn a_missing_or_an_added_file_is_found() {
    let proof = Proof::new().await;
    for path in proof.files.keys() {
        let mut files = proof.files.clone();
        files.remove(path);
        proof.is_refused(&format!("without {}", path.display()), &files).await;
        let mut files = proof.files.clone();
        files.insert(path.with_extension("more"), b"x".to_vec());
        proof.is_refused(&format!("more beside {}", path.display()), &files).await;
        let mut files = proof.files.clone();
        files.get_mut(path).unwrap().push(b'\n');
        proof.is_refused(&format!("a line more in {}", path.display()), &files).await;
        let mut files = proof.files.clone();
        files.get_mut(path).unwrap().clear();
        proof.is_refused(&format!("emptied {}", path.display()), &files).await;
    }
}

/// The manifest with the hashes of the files as they are: what a forger without the key can do.
fn with_hashes(mut files: BTreeMap<PathBuf, Vec<u8>>) -> BTreeMap<PathBuf, Vec<u8>> {
    let name = PathBuf::from("manifest.json");
    let mut manifest = String::from_utf8(files[&name].clone()).unwrap();
    let parsed: Value = serde_json::from_str(&manifest).unwrap();
    for (path, hash) in parsed["files"].as_object().expect("name -> SHA-256 of every other file") {
        let Some(bytes) = files.get(Path::new(path)) else { continue };
        let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
        let digest: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        manifest = manifest.replace(hash.as_str().unwrap(), &digest.concat());
    }
    files.insert(name, manifest.into_bytes());
    files
}

both!(entries_and_leaves_moved_by_a_forger_without_the_key_are_found);
async fn entries_and_leaves_moved_by_a_forger_without_the_key_are_found() {
    let proof = Proof::new().await;
    let lines = |files: &BTreeMap<PathBuf, Vec<u8>>| -> Vec<String> {
        let text = String::from_utf8(files[&proof.of_staff("entries.ndjson")].clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    };
    let joined = |lines: Vec<String>| format!("{}\n", lines.join("\n")).into_bytes();
    let leaves = proof.files[&proof.of_staff("leaves")].clone();
    let mut forged = Vec::new();
    let mut swapped = lines(&proof.files);
    swapped.swap(1, 2);
    forged.push(("entries swapped", "entries.ndjson", joined(swapped)));
    let mut doubled = lines(&proof.files);
    doubled.insert(2, doubled[1].clone());
    forged.push(("an entry doubled", "entries.ndjson", joined(doubled)));
    let mut other = lines(&proof.files);
    let (mut one, two): (Value, Value) =
        (serde_json::from_str(&other[1]).unwrap(), serde_json::from_str(&other[2]).unwrap());
    one["body"] = two["body"].clone();
    other[1] = one.to_string();
    forged.push(("a body in place of another", "entries.ndjson", joined(other)));
    forged.push(("the last leaf cut off", "leaves", leaves[..leaves.len() - 168].to_vec()));
    forged.push(("the first leaf cut off", "leaves", leaves[168..].to_vec()));
    let reordered = [&leaves[168..336], &leaves[..168], &leaves[336..]].concat();
    forged.push(("leaves swapped", "leaves", reordered));
    forged.push(("a leaf doubled", "leaves", [&leaves[..168], &leaves[..]].concat()));
    for (why, name, bytes) in forged {
        let mut files = proof.files.clone();
        files.insert(proof.of_staff(name), bytes);
        proof.is_refused(why, &with_hashes(files)).await;
    }
    // Without its hash and its files, a whole channel.
    let mut files = proof.files.clone();
    files.retain(|path, _| !path.starts_with(format!("channels/{}", proof.staff)));
    proof.is_refused("a channel left out", &with_hashes(files)).await;
}

/// The folder with one byte of a file changed.
fn flipped(files: &BTreeMap<PathBuf, Vec<u8>>, path: &Path, at: usize) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = files.clone();
    files.get_mut(path).unwrap()[at] ^= 1;
    files
}

both!(the_page_in_the_folder_says_in_a_browser_what_the_program_says);
async fn the_page_in_the_folder_says_in_a_browser_what_the_program_says() {
    let proof = Proof::new().await;
    let leaves = proof.of_staff("leaves");
    let file = proof.files.keys().find(|path| path.components().any(|part| part.as_os_str() == "files"));
    let mut without = proof.files.clone();
    without.remove(&leaves.with_file_name("inclusion"));
    let folders = [
        ("whole", proof.files.clone()),
        ("leaf", with_hashes(flipped(&proof.files, &leaves, 2 * 168 + 90))),
        ("content", with_hashes(flipped(&proof.files, &proof.of_staff("entries.ndjson"), 900))),
        ("file", with_hashes(flipped(&proof.files, file.expect("a file in the proof"), 3))),
        ("missing", without),
    ];
    let mut said_by_program = Vec::new();
    for (name, files) in &folders {
        let (_, told, sentence) = proof.verified(name, files, &[]).await;
        said_by_program.push((told, sentence));
        for (path, bytes) in files {
            let path = proof.house.path(name).join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
    let profile = tempfile::tempdir().unwrap();
    let mut browser = node();
    browser.arg(script("verify_page.mjs")).arg(program("chromium")).arg(profile.path());
    browser.arg(proof.house.path("whole").join("verify.html"));
    browser.args(folders.iter().map(|(name, _)| proof.house.path(name)));
    let output = browser.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(said.len(), folders.len());
    for (((name, _), (told, sentence)), page) in folders.iter().zip(&said_by_program).zip(&said) {
        let faults = told["faults"].as_array().map(Vec::as_slice).unwrap_or_default();
        if *name == "whole" {
            assert!(page.contains(&format!("{} entries: complete and unaltered", told["entries"])), "{page}");
            assert!(page.contains(told["signer"].as_str().unwrap()) && faults.is_empty(), "{page} {told} {sentence}");
            continue;
        }
        if faults.is_empty() {
            // What could not be checked at all is one sentence.
            assert!(
                page.contains("inclusion is missing") && sentence.contains("inclusion is missing"),
                "{page} {sentence}"
            );
            continue;
        }
        let line = |fault: &Value| match fault["seq"].as_i64() {
            Some(seq) => {
                format!(
                    "channel {} seq {seq}: {}",
                    fault["channel"].as_str().unwrap(),
                    fault["reason"].as_str().unwrap()
                )
            }
            None => fault["reason"].as_str().unwrap().to_owned(),
        };
        let by_program: BTreeSet<String> = faults.iter().map(line).collect();
        let by_page: BTreeSet<String> = page.lines().map(str::to_owned).collect();
        assert_eq!(by_page, by_program, "{name}");
    }
}
