//! Commitment, leaf and hash chain of a channel; the chain of an audit stream. Floor 1.
//! Does not know: bodies beyond their bytes, where entries are stored, who may see them.
//! Invariant: `h_0 = H(00 ‖ "care/chan/v1" ‖ 00 ‖ deployment ‖ patient ‖ channel)`, `h_n = H(01 ‖ h_{n-1} ‖ leaf_n)` with
//! `n = seq = 1, 2, 3 ...` without gaps. A leaf commits to the plaintext, so re-encryption never breaks the chain.

use super::{Hash, Hasher, hash, hash_parts};
use crate::kernel::base::id::DeploymentId;
use crate::kernel::base::{ChannelId, EntryId, Fault, ItemId, Micros, PatientId, UserId};

/// Bytes of a leaf.
pub const LEAF_BYTES: usize = 168;

/// What a leaf's entry is. The numbers are a file format: never changed, only joined by new ones.
pub mod kind {
    /// A message.
    pub const MESSAGE: u8 = 1;
    /// A task was made or changed.
    pub const TASK: u8 = 2;
    /// A note of a discussion outside.
    pub const NOTE: u8 = 3;
    /// Someone joined, changed or left.
    pub const MEMBERSHIP: u8 = 4;
    /// An amendment.
    pub const AMENDMENT: u8 = 5;
    /// A retraction.
    pub const RETRACTION: u8 = 6;
    /// An export was filed.
    pub const EXPORT: u8 = 7;
    /// The glass was broken.
    pub const BREAK_GLASS: u8 = 8;
    /// The content was shredded.
    pub const SHRED: u8 = 9;
    /// A channel was opened, changed or archived.
    pub const CHANNEL: u8 = 10;
    /// A plan item was added, changed or closed.
    pub const PLAN_ITEM: u8 = 11;
    /// A handoff was offered or answered.
    pub const HANDOFF: u8 = 12;
    /// An acknowledgement, check-back or confirmation.
    pub const ACKNOWLEDGEMENT: u8 = 13;
    /// A patient was registered or changed.
    pub const IDENTITY: u8 = 14;
    /// A message was linked to another item.
    pub const RELINK: u8 = 15;
    /// A note was opened, dismissed, confirmed, disputed or addended.
    pub const NOTE_LIFE: u8 = 16;
    /// A check-in was opened, answered or closed.
    pub const CHECK_IN: u8 = 17;
    /// The highest kind there is.
    pub const LAST: u8 = CHECK_IN;
}

/// Whether an entry of this kind may stand without a plan item.
#[must_use]
pub const fn legal_without_item(kind: u8) -> bool {
    matches!(kind, kind::MEMBERSHIP | kind::EXPORT..=kind::CHANNEL | kind::IDENTITY)
}

/// What the chain keeps of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// One of [`kind`].
    pub kind: u8,
    /// Which event of its kind it is: [`event_tag`].
    pub flags: u8,
    /// The record's epoch: raised when it is restored from a backup.
    pub epoch: u16,
    /// The patient.
    pub patient: PatientId,
    /// The channel.
    pub channel: ChannelId,
    /// The position in the channel, from 1.
    pub seq: u64,
    /// The entry.
    pub entry: EntryId,
    /// Who wrote it.
    pub author: UserId,
    /// When, in microseconds; never decreasing within a channel.
    pub at: Micros,
    /// The plan item, or zero where [`legal_without_item`].
    pub item: ItemId,
    /// The [`commit`] of the body.
    pub commit: Hash,
    /// The [`files_hash`] of the files.
    pub files: Hash,
}

impl Leaf {
    /// `"CTL1" ‖ kind ‖ flags ‖ epoch(2) ‖ patient ‖ channel ‖ seq(8) ‖ entry ‖ author ‖ time_us(8) ‖ item ‖ commit ‖ files`.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LEAF_BYTES] {
        let mut bytes = [0; LEAF_BYTES];
        bytes[..4].copy_from_slice(b"CTL1");
        bytes[4] = self.kind;
        bytes[5] = self.flags;
        bytes[6..8].copy_from_slice(&self.epoch.to_be_bytes());
        bytes[8..24].copy_from_slice(self.patient.bytes());
        bytes[24..40].copy_from_slice(self.channel.bytes());
        bytes[40..48].copy_from_slice(&self.seq.to_be_bytes());
        bytes[48..64].copy_from_slice(self.entry.bytes());
        bytes[64..80].copy_from_slice(self.author.bytes());
        bytes[80..88].copy_from_slice(&self.at.to_be_bytes());
        bytes[88..104].copy_from_slice(self.item.bytes());
        bytes[104..136].copy_from_slice(&self.commit);
        bytes[136..].copy_from_slice(&self.files);
        bytes
    }

    /// Reads a leaf back; [`Leaf::to_bytes`] of the result gives the same bytes.
    ///
    /// # Errors
    /// [`Fault::Integrity`] when it has another length or mark, an unknown kind, no position, or a time before 1970.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let bytes: &[u8; LEAF_BYTES] = bytes.try_into().map_err(|_| Fault::Integrity("a leaf has another length"))?;
        if &bytes[..4] != b"CTL1" {
            return Err(Fault::Integrity("a leaf has another mark"));
        }
        let leaf = Self {
            kind: bytes[4],
            flags: bytes[5],
            epoch: u16::from_be_bytes(field(bytes, 6)),
            patient: PatientId::from_bytes(field(bytes, 8)),
            channel: ChannelId::from_bytes(field(bytes, 24)),
            seq: u64::from_be_bytes(field(bytes, 40)),
            entry: EntryId::from_bytes(field(bytes, 48)),
            author: UserId::from_bytes(field(bytes, 64)),
            at: Micros::from_be_bytes(field(bytes, 80)),
            item: ItemId::from_bytes(field(bytes, 88)),
            commit: field(bytes, 104),
            files: field(bytes, 136),
        };
        if leaf.kind == 0 || leaf.kind > kind::LAST {
            return Err(Fault::Integrity("a leaf has an unknown kind"));
        }
        if leaf.seq == 0 || leaf.at < 0 {
            return Err(Fault::Integrity("a leaf has no position or an impossible time"));
        }
        Ok(leaf)
    }
}

fn field<const N: usize>(bytes: &[u8; LEAF_BYTES], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("every field lies within the leaf")
}

/// The leaf's `flags`: the first byte of `H(event)`. A kind has several events (a membership begins, changes, ends), and which of them an
/// entry is must be as fixed as what it says. Within each kind the names differ in this byte.
#[must_use]
pub fn event_tag(event: &str) -> u8 {
    hash(event.as_bytes())[0]
}

/// The commitment to a body: `H("care/commit/v1" ‖ 00 ‖ r ‖ body)`.
#[must_use]
pub fn commit(r: &[u8; 32], body: &[u8]) -> Hash {
    hash_parts(&[b"care/commit/v1\0", r, body])
}

/// The commitment to a file: `H("care/att/v1" ‖ 00 ‖ r ‖ plaintext)`.
#[must_use]
pub fn file_commit(r: &[u8; 32], plaintext: &[u8]) -> Hash {
    hash_parts(&[b"care/att/v1\0", r, plaintext])
}

/// As [`file_commit`], for a plaintext that comes in pieces: they follow, in order.
#[must_use]
pub fn file_committer(r: &[u8; 32]) -> Hasher {
    let mut hasher = Hasher::default();
    hasher.update(b"care/att/v1\0");
    hasher.update(r);
    hasher
}

/// A leaf's `files` field: the hash of the files' commitments in order, zero without files.
#[must_use]
pub fn files_hash(commitments: &[Hash]) -> Hash {
    if commitments.is_empty() { [0; 32] } else { hash(commitments.as_flattened()) }
}

/// `h_0` of a channel.
#[must_use]
pub fn genesis(deployment: DeploymentId, patient: PatientId, channel: ChannelId) -> Hash {
    hash_parts(&[b"\0care/chan/v1\0", deployment.bytes(), patient.bytes(), channel.bytes()])
}

/// `h_n` from `h_{n-1}` and the n-th leaf.
#[must_use]
pub fn next(head: &Hash, leaf: &[u8; LEAF_BYTES]) -> Hash {
    hash_parts(&[&[1], head, leaf])
}

/// `a_0` of every audit stream.
pub const AUDIT_GENESIS: Hash = [0; 32];

/// `a_n = H(02 ‖ a_{n-1} ‖ H(row bytes))`.
#[must_use]
pub fn audit_next(head: &Hash, row: &[u8]) -> Hash {
    hash_parts(&[&[2], head, &hash(row)])
}

/// A walk along a channel's leaves from a known position, which finds what does not follow. Where it ends, the head must
/// equal the one that was kept or signed: a change of the last leaf shows only there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Walk {
    patient: PatientId,
    channel: ChannelId,
    seq: u64,
    head: Hash,
    at: Micros,
    epoch: u16,
}

impl Walk {
    /// From before the first entry.
    #[must_use]
    pub fn from_start(deployment: DeploymentId, patient: PatientId, channel: ChannelId) -> Self {
        Self::from_head(patient, channel, 0, genesis(deployment, patient, channel))
    }

    /// From after entry `seq`, whose head is already trusted.
    #[must_use]
    pub const fn from_head(patient: PatientId, channel: ChannelId, seq: u64, head: Hash) -> Self {
        Self { patient, channel, seq, head, at: 0, epoch: 0 }
    }

    /// Takes the next leaf.
    ///
    /// # Errors
    /// [`Fault::Integrity`] with the reason when the leaf cannot be the next one here; the walk stays where it was.
    pub fn step(&mut self, bytes: &[u8]) -> Result<Leaf, Fault> {
        let leaf = Leaf::parse(bytes)?;
        let reason = if leaf.patient != self.patient {
            "the leaf is of another patient"
        } else if leaf.channel != self.channel {
            "the leaf is of another channel"
        } else if Some(leaf.seq) != self.seq.checked_add(1) {
            "an entry is missing, doubled or out of order"
        } else if leaf.at < self.at {
            "the time goes backwards"
        } else if leaf.epoch < self.epoch {
            "the epoch goes backwards"
        } else if leaf.item == ItemId::ZERO && !legal_without_item(leaf.kind) {
            "the plan item is missing"
        } else {
            *self = Self {
                seq: leaf.seq,
                head: next(&self.head, &leaf.to_bytes()),
                at: leaf.at,
                epoch: leaf.epoch,
                ..*self
            };
            return Ok(leaf);
        };
        Err(Fault::Integrity(reason))
    }

    /// How many entries stand before here.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.seq
    }

    /// `h_size`.
    #[must_use]
    pub const fn head(&self) -> &Hash {
        &self.head
    }

    /// The time of the last entry taken, 0 before the first.
    #[must_use]
    pub const fn at(&self) -> Micros {
        self.at
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::hex;
    use super::super::seal::tests::{BODY, place};
    use super::*;

    pub(in super::super) fn leaf(seq: u64) -> Leaf {
        Leaf {
            kind: kind::MESSAGE,
            flags: 0,
            epoch: 0,
            patient: place().patient,
            channel: place().channel,
            seq,
            entry: EntryId::from_bytes([0xe1; 16]),
            author: UserId::from_bytes([0xb1; 16]),
            at: 1_700_000_000_000_000,
            item: ItemId::from_bytes([0xf1; 16]),
            commit: commit(&[0x42; 32], BODY),
            files: files_hash(&[]),
        }
    }

    fn start() -> Walk {
        Walk::from_start(place().deployment, place().patient, place().channel)
    }

    fn log(size: u64) -> Vec<[u8; LEAF_BYTES]> {
        (1..=size)
            .map(|seq| {
                Leaf { at: 1_700_000_000_000_000 + i64::try_from(seq / 2).expect("small"), ..leaf(seq) }.to_bytes()
            })
            .collect()
    }

    fn head_of(leaves: &[[u8; LEAF_BYTES]]) -> Option<(u64, Hash)> {
        let mut walk = start();
        leaves.iter().all(|leaf| walk.step(leaf).is_ok()).then_some((walk.size(), *walk.head()))
    }

    #[test]
    fn the_known_answers_of_the_chain() {
        assert_eq!(hex(&commit(&[0x42; 32], BODY)), "e24ab36e825cf6525a47a9287d385a89811e3092ae08192a6d88d366fbaf24c6");
        let bytes = leaf(1).to_bytes();
        assert_eq!(hex(&hash(&bytes)), "089befdea59385f48777a43f35d39cce67de3e1ad0aca180868cfd74b749322b");
        let zero = genesis(place().deployment, place().patient, place().channel);
        assert_eq!(hex(&zero), "78fdfe3c150018f1cce6be1ec70de7009bb6df031d0fe19615b7909bc8476456");
        assert_eq!(hex(&next(&zero, &bytes)), "bb6147f522b7c711aa10c736a55176bc2be5fb3b95844e5024a72fd994419fab");
        assert_eq!(
            hex(&audit_next(&AUDIT_GENESIS, br#"{"n":1}"#)),
            "9a0bc790c12226945d429d3f34d577788a172bd9a1faa99053a4a5eb6eafe66e"
        );
    }

    #[test]
    fn a_plan_item_may_be_missing_only_where_there_is_none() {
        let legal: Vec<u8> = (0..=u8::MAX).filter(|kind| legal_without_item(*kind)).collect();
        assert_eq!(legal, [4, 7, 8, 9, 10, 14]);
        for kind in 1..=kind::LAST {
            let bytes = Leaf { kind, item: ItemId::ZERO, ..leaf(1) }.to_bytes();
            assert_eq!(start().step(&bytes).is_ok(), legal.contains(&kind), "kind {kind}");
        }
    }

    #[test]
    fn a_leaf_that_does_not_follow_is_refused() {
        let mut walk = start();
        walk.step(&leaf(1).to_bytes()).expect("the first");
        let before = walk;
        let wrong = [
            leaf(1),
            leaf(3),
            Leaf { patient: PatientId::ZERO, ..leaf(2) },
            Leaf { channel: ChannelId::ZERO, ..leaf(2) },
            Leaf { at: leaf(1).at - 1, ..leaf(2) },
            Leaf { kind: 0, ..leaf(2) },
            Leaf { kind: kind::LAST + 1, ..leaf(2) },
            Leaf { at: -1, ..leaf(2) },
        ];
        for leaf in wrong {
            assert!(walk.step(&leaf.to_bytes()).is_err());
            assert_eq!(walk, before);
        }
        let mut later = Walk::from_head(place().patient, place().channel, 1, *before.head());
        walk.step(&leaf(2).to_bytes()).expect("the second");
        later.step(&leaf(2).to_bytes()).expect("the second");
        assert_eq!(later, walk);
    }

    #[test]
    fn files_are_committed_in_order() {
        assert_eq!(files_hash(&[]), [0; 32]);
        assert_ne!(files_hash(&[[1; 32], [2; 32]]), files_hash(&[[2; 32], [1; 32]]));
        assert_ne!(file_commit(&[1; 32], b"x"), commit(&[1; 32], b"x"));
    }

    proptest! {
        #[test]
        fn a_leaf_comes_back(numbers: (u8, u8, u16, u64, i64), ids: [[u8; 16]; 5], hashes: [[u8; 32]; 2]) {
            let leaf = Leaf {
                kind: numbers.0, flags: numbers.1, epoch: numbers.2, seq: numbers.3, at: numbers.4,
                patient: PatientId::from_bytes(ids[0]), channel: ChannelId::from_bytes(ids[1]), entry: EntryId::from_bytes(ids[2]),
                author: UserId::from_bytes(ids[3]), item: ItemId::from_bytes(ids[4]), commit: hashes[0], files: hashes[1],
            };
            let sound = (1..=kind::LAST).contains(&leaf.kind) && leaf.seq > 0 && leaf.at >= 0;
            prop_assert_eq!(Leaf::parse(&leaf.to_bytes()).ok(), sound.then_some(leaf));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            prop_assert!(Leaf::parse(&bytes).is_err());
            prop_assert!(start().step(&bytes).is_err());
        }

        #[test]
        fn a_flipped_bit_a_drop_a_double_and_a_swap_are_found(size in 1..20_u64, at: prop::sample::Index, byte in 0..LEAF_BYTES, bit in 0..8_u8) {
            let sound = log(size);
            let head = head_of(&sound);
            prop_assert!(head.is_some());
            let at = at.index(sound.len());

            let mut flipped = sound.clone();
            flipped[at][byte] ^= 1 << bit;
            prop_assert_ne!(head_of(&flipped), head);
            let mut dropped = sound.clone();
            dropped.remove(at);
            prop_assert_ne!(head_of(&dropped), head);
            let mut doubled = sound.clone();
            doubled.insert(at, sound[at]);
            prop_assert_ne!(head_of(&doubled), head);
            if at > 0 {
                let mut swapped = sound;
                swapped.swap(at - 1, at);
                prop_assert_ne!(head_of(&swapped), head);
            }
        }
    }
}
