//! The functions that are fuzzed (fuzz/), over mutated samples: none panics. The same bytes every time; for minutes instead of a second
//! there is libFuzzer, see the README. With `CARETHREAD_SEEDS=fuzz/corpus` the samples are written there for it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[path = "../fuzz/src/lib.rs"]
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "small numbers of a sample")]
mod targets;

use std::path::Path;

/// Xorshift (Marsaglia 2003): the same numbers every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap()
    }

    /// A few changes: bytes flipped, set to what parsers stumble over, taken out, doubled, cut, or brought in from another sample.
    fn mutated(&mut self, seed: &[u8], other: &[u8]) -> Vec<u8> {
        const TELLING: &[u8] = b"\x00\xff{}[]\",:\\0-9.eE\n\x7f\x80\xc3\xed";
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len());
            let length = 1 + self.below(24);
            let end = (at + length).min(bytes.len());
            match self.below(7) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = TELLING[self.below(TELLING.len())],
                2 => drop(bytes.drain(at..end)),
                3 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
                4 => bytes.truncate(at),
                5 => {
                    let from = self.below(other.len());
                    let until = (from + length).min(other.len());
                    bytes.splice(at..end, other[from..until].to_vec());
                }
                _ => drop(bytes.splice(at..at, std::iter::repeat_n(TELLING[self.below(TELLING.len())], length))),
            }
        }
        bytes
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fhir");
    let seeds = targets::seeds(&samples);
    if let Ok(corpus) = std::env::var("CARETHREAD_SEEDS") {
        for (target, name, bytes) in &seeds {
            let folder = Path::new(&corpus).join(target);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }
    let mut own: Vec<Vec<u8>> =
        seeds.into_iter().filter(|(of, _, _)| *of == target).map(|(_, _, bytes)| bytes).collect();
    own.sort();
    assert!(!own.is_empty());
    own
}

fn mutate(target: &str, function: fn(&[u8]), count: usize) {
    let seeds = seeds(target);
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    for seed in &seeds {
        function(seed);
    }
    for _ in 0..count {
        let seed = &seeds[chance.below(seeds.len())];
        let other = &seeds[chance.below(seeds.len())];
        function(&chance.mutated(seed, other));
    }
}

#[test]
fn no_frame_panics() {
    mutate("frame", targets::frame, 50_000);
}

#[test]
fn no_import_panics() {
    mutate("import", targets::import, 500);
}

#[test]
fn no_proof_panics() {
    let proofs = seeds("proof");
    assert!(proofs.iter().all(|seed| targets::verdict(seed).is_some()), "what is mutated can be checked");
    mutate("proof", targets::proof, 2_000);
}

#[test]
fn no_mail_panics() {
    mutate("intake", targets::intake, 3_000);
}
