//! The Merkle tree of RFC 9162 section 2.1, over SHA-256: roots, growth, proofs. Floor 1.
//! Does not know: what the leaves are (signed heads, in the site log) or where they are kept.
//! Invariant: leaf and node hashes begin with different bytes, so a node is never taken for a leaf.

use super::{Hash, base64, from_base64, hash, hash_parts};

/// Longest proof of any tree: one hash for each bit of a size, and one more for consistency.
pub const PROOF_HASHES_MAX: usize = 65;

/// `H(00 ‖ data)`.
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Hash {
    hash_parts(&[&[0], data])
}

/// `H(01 ‖ left ‖ right)`.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash_parts(&[&[1], left, right])
}

/// The root over leaf hashes; `H()` over none.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    for leaf in leaves {
        frontier.append(leaf);
    }
    frontier.root()
}

/// A growing tree: the roots of its complete subtrees, largest first. At most 64 hashes whatever its size.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// From what was stored; `None` when the number of peaks does not fit the size.
    #[must_use]
    pub fn from_parts(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (u32::try_from(peaks.len()) == Ok(size.count_ones())).then_some(Self { size, peaks })
    }

    /// How many leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, largest first: what is stored.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Adds a leaf at the end.
    pub fn append(&mut self, leaf: &Hash) {
        self.append_with(leaf, |_, _, _| ());
    }

    /// As [`Frontier::append`], handing each complete subtree that the leaf closes to `made`: its level (leaves are 0), its place among
    /// those of its level, its root.
    pub fn append_with(&mut self, leaf: &Hash, mut made: impl FnMut(u32, u64, &Hash)) {
        let mut peak = *leaf;
        // A set low bit is a complete subtree of the same height as the one just made: the two become one.
        for level in 1..=self.size.trailing_ones() {
            let left = self.peaks.pop().expect("there is a peak for each bit of the size");
            peak = node_hash(&left, &peak);
            made(level, self.size >> level, &peak);
        }
        self.peaks.push(peak);
        self.size += 1;
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.peaks.iter().rev().copied().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(|| hash(b""))
    }
}

/// The complete subtrees a tree of this size is made of, largest first: level and place.
#[must_use]
pub fn peaks_of(size: u64) -> Vec<(u32, u64)> {
    let mut at = 0;
    let set = (0..u64::BITS).rev().filter(|level| (size >> level) & 1 == 1);
    set.map(|level| {
        let place = at >> level;
        at += 1 << level;
        (level, place)
    })
    .collect()
}

/// What [`inclusion`] needs of a tree whose complete subtrees are kept: the siblings below the peak that holds the leaf, nearest first,
/// then the peaks to its right, then those to its left, both as [`peaks_of`] gives them. `None` when there is no such leaf.
#[must_use]
pub fn inclusion_parts(index: u64, size: u64) -> Option<[Vec<(u32, u64)>; 3]> {
    let peaks = peaks_of(size);
    let at = peaks.iter().position(|(level, place)| index >> level == *place)?;
    let below = (0..peaks[at].0).map(|level| (level, (index >> level) ^ 1)).collect();
    Some([below, peaks[at + 1..].to_vec(), peaks[..at].to_vec()])
}

/// The proof from the hashes of [`inclusion_parts`].
#[must_use]
pub fn inclusion_from(below: &[Hash], right: &[Hash], left: &[Hash]) -> Vec<Hash> {
    let right = right.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
    below.iter().copied().chain(right).chain(left.iter().rev().copied()).collect()
}

/// The proof that leaf `index` (from 0) is in the tree over `leaves` (RFC 9162 section 2.1.3.1), nearest sibling first;
/// `None` when there is no such leaf.
#[must_use]
pub fn inclusion(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    let (mut leaves, mut index, mut proof) = (leaves, index, Vec::new());
    while leaves.len() > 1 {
        let (left, right) = leaves.split_at(split(leaves.len()));
        if index < left.len() {
            proof.push(root(right));
            leaves = left;
        } else {
            proof.push(root(left));
            index -= left.len();
            leaves = right;
        }
    }
    proof.reverse();
    Some(proof)
}

/// Whether the proof shows that `leaf` is at `index` (from 0) of the tree with this size and root (RFC 9162 section 2.1.3.2).
#[must_use]
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            (at, last) = to_odd(at, last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// The proof that the tree over the first `first` leaves is a beginning of the tree over all (RFC 9162 section 2.1.4.1);
/// `None` when there are not as many. Empty for none and for all.
#[must_use]
pub fn consistency(leaves: &[Hash], first: usize) -> Option<Vec<Hash>> {
    if first > leaves.len() {
        return None;
    }
    if first == 0 {
        return Some(Vec::new());
    }
    let (mut leaves, mut first, mut known, mut proof) = (leaves, first, true, Vec::new());
    while first < leaves.len() {
        let (left, right) = leaves.split_at(split(leaves.len()));
        if first <= left.len() {
            proof.push(root(right));
            leaves = left;
        } else {
            proof.push(root(left));
            first -= left.len();
            leaves = right;
            known = false;
        }
    }
    // What is left is a complete subtree of the old tree; its root is known to the checker if it is the whole old tree.
    if !known {
        proof.push(root(leaves));
    }
    proof.reverse();
    Some(proof)
}

/// Whether the proof shows that the first tree is a beginning of the second (RFC 9162 section 2.1.4.2).
#[must_use]
pub fn verify_consistency(first: (u64, &Hash), second: (u64, &Hash), proof: &[Hash]) -> bool {
    let ((first_size, first_root), (second_size, second_root)) = (first, second);
    if first_size > second_size {
        return false;
    }
    if first_size == second_size {
        return proof.is_empty() && first_root == second_root;
    }
    if first_size == 0 {
        return proof.is_empty() && *first_root == hash(b"");
    }
    // A complete old tree is itself the first hash of the path.
    let (start, path) = if first_size.is_power_of_two() {
        (first_root, proof)
    } else {
        let Some((start, path)) = proof.split_first() else {
            return false;
        };
        (start, path)
    };
    let shift = (first_size - 1).trailing_ones();
    let (mut at, mut last) = ((first_size - 1) >> shift, (second_size - 1) >> shift);
    let (mut old, mut new) = (*start, *start);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            (at, last) = to_odd(at, last);
        } else {
            new = node_hash(&new, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && old == *first_root && new == *second_root
}

/// A proof as text: base64, one hash a line.
#[must_use]
pub fn proof_text(proof: &[Hash]) -> String {
    proof.iter().map(|hash| base64(hash) + "\n").collect()
}

/// Reads a proof strictly; `None` when a line is no hash, the last is not ended, or there are too many.
#[must_use]
pub fn parse_proof(text: &str) -> Option<Vec<Hash>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let lines = text.strip_suffix('\n')?.split('\n');
    let proof: Vec<Hash> =
        lines.take(PROOF_HASHES_MAX + 1).map(|line| from_base64(line)?.try_into().ok()).collect::<Option<_>>()?;
    (proof.len() <= PROOF_HASHES_MAX).then_some(proof)
}

/// The largest power of two below `size`, which is at least 2.
const fn split(size: usize) -> usize {
    1 << (usize::BITS - 1 - (size - 1).leading_zeros())
}

/// Up over the levels at which a lone last node has no sibling.
const fn to_odd(at: u64, last: u64) -> (u64, u64) {
    let levels = if at == 0 { 0 } else { at.trailing_zeros() };
    (at >> levels, last >> levels)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::hex;
    use super::*;

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
    }

    /// The definition in RFC 9162 section 2.1.1, word for word.
    fn defined_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => hash(b""),
            [leaf] => *leaf,
            _ => {
                let mut half = 1;
                while half * 2 < leaves.len() {
                    half *= 2;
                }
                node_hash(&defined_root(&leaves[..half]), &defined_root(&leaves[half..]))
            }
        }
    }

    /// The eight inputs and roots that certificate-transparency's own test suites use.
    #[test]
    fn the_known_roots_of_certificate_transparency() {
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let hashes: Vec<Hash> = inputs.iter().map(|input| leaf_hash(input)).collect();
        assert_eq!(hex(&root(&[])), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(hex(&root(&hashes[..1])), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        assert_eq!(hex(&root(&hashes)), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    }

    #[test]
    fn every_leaf_of_every_size_is_proved_and_no_other() {
        let other = leaf_hash(b"other");
        for size in 1..=130 {
            let leaves = leaves(size);
            let root = root(&leaves);
            assert_eq!(root, defined_root(&leaves), "size {size}");
            let size_wide = u64::try_from(size).expect("small");
            for index in 0..size {
                let proof = inclusion(&leaves, index).expect("there");
                let holds = |leaf, index: usize, size, proof: &[Hash]| {
                    verify_inclusion(leaf, u64::try_from(index).expect("small"), size, proof, &root)
                };
                assert!(holds(&leaves[index], index, size_wide, &proof), "{index} of {size}");
                assert!(!holds(&other, index, size_wide, &proof));
                assert!(!holds(&leaves[index], (index + 1) % size, size_wide, &proof) || size == 1);
                assert!(!holds(&leaves[index], index + size, size_wide, &proof));
                assert!(!holds(&leaves[index], index, size_wide, &[&proof[..], &[[0; 32]]].concat()));
                assert!(proof.is_empty() || !holds(&leaves[index], index, size_wide, &proof[1..]));
                assert_eq!(parse_proof(&proof_text(&proof)), Some(proof));
            }
            assert_eq!(inclusion(&leaves, size), None);
        }
    }

    #[test]
    fn every_beginning_is_proved_and_no_other() {
        let all = leaves(70);
        let roots: Vec<Hash> = (0..=70).map(|size| root(&all[..size])).collect();
        for second in 0..=70_usize {
            for first in 0..=second {
                let proof = consistency(&all[..second], first).expect("not more");
                let wide = |size: usize| u64::try_from(size).expect("small");
                let holds =
                    |old: &Hash, new: &Hash| verify_consistency((wide(first), old), (wide(second), new), &proof);
                assert!(holds(&roots[first], &roots[second]), "{first} of {second}");
                assert!(!holds(&[9; 32], &roots[second]));
                assert!(!holds(&roots[first], &[9; 32]) || first == 0);
            }
        }
        assert_eq!(consistency(&all, 71), None);
        assert!(!verify_consistency((3, &roots[3]), (2, &roots[2]), &[]));
    }

    #[test]
    fn a_stored_frontier_goes_on() {
        let all = leaves(40);
        let mut frontier = Frontier::default();
        for (count, leaf) in all.iter().enumerate() {
            assert_eq!(frontier.root(), root(&all[..count]));
            frontier = Frontier::from_parts(frontier.size(), frontier.peaks().to_vec()).expect("sound");
            frontier.append(leaf);
        }
        assert_eq!(frontier.size(), 40);
        assert_eq!(Frontier::from_parts(3, vec![[0; 32]]), None);
    }

    #[test]
    fn proofs_from_kept_subtrees_are_the_proofs() {
        let mut kept = std::collections::HashMap::new();
        let (mut frontier, all) = (Frontier::default(), leaves(70));
        for (size, leaf) in (1_u64..).zip(&all) {
            kept.insert((0, size - 1), *leaf);
            frontier.append_with(leaf, |level, place, hash| {
                kept.insert((level, place), *hash);
            });
            let of = |parts: &[(u32, u64)]| parts.iter().map(|part| kept[part]).collect::<Vec<_>>();
            assert_eq!(of(&peaks_of(size)), frontier.peaks());
            for index in 0..size {
                let [below, right, left] = inclusion_parts(index, size).expect("there");
                let whole = &all[..usize::try_from(size).expect("small")];
                let proof = inclusion(whole, usize::try_from(index).expect("small")).expect("there");
                assert_eq!(inclusion_from(&of(&below), &of(&right), &of(&left)), proof, "{index} of {size}");
            }
            assert!(inclusion_parts(size, size).is_none());
        }
    }

    proptest! {
        #[test]
        fn a_changed_proof_is_found(size in 2..200_usize, at: prop::sample::Index, hash: prop::sample::Index, byte in 0..32_usize, bit in 0..8_u8) {
            let leaves = leaves(size);
            let index = at.index(size);
            let mut proof = inclusion(&leaves, index).expect("there");
            let hash = hash.index(proof.len());
            proof[hash][byte] ^= 1 << bit;
            let (index, size) = (u64::try_from(index).expect("small"), u64::try_from(size).expect("small"));
            prop_assert!(!verify_inclusion(&leaves[usize::try_from(index).expect("small")], index, size, &proof, &root(&leaves)));
        }

        #[test]
        fn arbitrary_proofs_never_panic(numbers: (u64, u64), proof: Vec<[u8; 32]>, text in "\\PC*|[A-Za-z=\n]*") {
            prop_assert!(!verify_inclusion(&[1; 32], numbers.0, numbers.1, &proof, &[2; 32]));
            prop_assert!(!verify_consistency((numbers.0, &[1; 32]), (numbers.1, &[2; 32]), &proof));
            let _ = parse_proof(&text);
        }
    }
}
