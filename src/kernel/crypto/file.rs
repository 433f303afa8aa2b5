//! Sealed files: chunks of 64 KiB in the STREAM construction, written as they arrive, opened one at a time. Floor 1.
//! Does not know: disks, names, types.
//! Invariant: a chunk opens only at its index, only with its right to be the last, and only in its own file, so a file
//! cut, extended or reordered does not open.
//!
//! Header (28): `"CTF1" ‖ 01 ‖ 01 ‖ log2 chunk = 16 ‖ 00 ‖ key version(4) ‖ salt(16)`. Chunk i: nonce `00*7 ‖ i(4) ‖ last(1)`.

use ring::aead::{Aad, Nonce};
use zeroize::Zeroizing;

use super::seal::{DataKey, TAG_BYTES, gcm};
use crate::kernel::base::id::DeploymentId;
use crate::kernel::base::{ChannelId, Fault, PatientId, World};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 28;
/// Plaintext bytes of every chunk but the last.
pub const CHUNK_BYTES: usize = 65_536;

const SEALED_CHUNK_BYTES: u64 = (CHUNK_BYTES + TAG_BYTES) as u64;
const DOES_NOT_OPEN: Fault = Fault::Integrity("a sealed file does not open");

/// Where a file stands; it opens nowhere else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FilePlace {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The patient.
    pub patient: PatientId,
    /// The channel.
    pub channel: ChannelId,
    /// The file's id.
    pub file: [u8; 16],
}

/// The file's key and what its chunks are bound to.
struct Cipher {
    key: Zeroizing<[u8; 32]>,
    additional: [u8; 92],
}

impl Cipher {
    fn new(key: &DataKey, place: &FilePlace, header: &[u8; HEADER_BYTES]) -> Self {
        let mut additional = [0; 92];
        additional[..28].copy_from_slice(header);
        additional[28..44].copy_from_slice(place.deployment.bytes());
        additional[44..60].copy_from_slice(place.patient.bytes());
        additional[60..76].copy_from_slice(place.channel.bytes());
        additional[76..].copy_from_slice(&place.file);
        Self { key: key.derive("care/att/v1", &[&place.file, &header[12..]]), additional }
    }

    fn nonce(index: u32, last: bool) -> Nonce {
        let mut nonce = [0; 12];
        nonce[7..11].copy_from_slice(&index.to_be_bytes());
        nonce[11] = u8::from(last);
        Nonce::assume_unique_for_key(nonce)
    }

    fn seal(&self, index: u32, last: bool, plain: &mut [u8], out: &mut Vec<u8>) {
        let tag = gcm(&self.key)
            .seal_in_place_separate_tag(Self::nonce(index, last), Aad::from(self.additional), plain)
            .expect("a chunk is below the limit of GCM");
        out.extend_from_slice(plain);
        out.extend_from_slice(tag.as_ref());
    }

    fn open(&self, index: u32, last: bool, chunk: &mut Vec<u8>) -> Result<(), Fault> {
        let plain_bytes = gcm(&self.key)
            .open_in_place(Self::nonce(index, last), Aad::from(self.additional), chunk)
            .map_err(|_| DOES_NOT_OPEN)?
            .len();
        chunk.truncate(plain_bytes);
        Ok(())
    }
}

/// Seals a file as its bytes arrive. Holds at most one chunk, zeroized when dropped.
pub struct FileSealer {
    cipher: Cipher,
    index: u32,
    /// Held back until more arrives, because the last chunk is sealed as the last.
    held: Zeroizing<Vec<u8>>,
}

impl FileSealer {
    /// Begins a file and writes its header to `out`.
    #[must_use]
    pub fn new(world: &World, key: &DataKey, place: &FilePlace, out: &mut Vec<u8>) -> Self {
        Self::with_salt(&world.bytes(), key, place, out)
    }

    /// As [`FileSealer::new`] with a salt that the caller drew, new for every file: for known answers.
    #[must_use]
    pub fn with_salt(salt: &[u8; 16], key: &DataKey, place: &FilePlace, out: &mut Vec<u8>) -> Self {
        let mut header = *b"CTF1\x01\x01\x10\x00....................";
        header[8..12].copy_from_slice(&key.version.to_be_bytes());
        header[12..].copy_from_slice(salt);
        out.extend_from_slice(&header);
        let held = Zeroizing::new(Vec::with_capacity(CHUNK_BYTES));
        Self { cipher: Cipher::new(key, place, &header), index: 0, held }
    }

    /// Takes the next bytes and writes the chunks that are complete to `out`.
    ///
    /// # Errors
    /// [`Fault::Defect`] past 2^32 chunks, far beyond any limit of a file.
    pub fn update(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        while !bytes.is_empty() {
            if self.held.len() == CHUNK_BYTES {
                self.cipher.seal(self.index, false, &mut self.held, out);
                self.held.clear();
                self.index = self.index.checked_add(1).ok_or(Fault::Defect("a file has too many chunks"))?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK_BYTES - self.held.len()));
            self.held.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Writes the last chunk to `out`.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.cipher.seal(self.index, true, &mut self.held, out);
    }
}

/// Opens the chunks of a sealed file, in any order.
pub struct FileOpener {
    cipher: Cipher,
    chunks: u32,
    bytes: u64,
}

impl FileOpener {
    /// From the header and the length of the whole sealed file.
    ///
    /// # Errors
    /// [`Fault::Integrity`] when the header is not one of this key's version or no file has that length.
    pub fn new(
        key: &DataKey,
        place: &FilePlace,
        header: &[u8; HEADER_BYTES],
        sealed_bytes: u64,
    ) -> Result<Self, Fault> {
        if file_key_version_of(header) != Some(key.version) {
            return Err(DOES_NOT_OPEN);
        }
        let body = sealed_bytes.checked_sub(HEADER_BYTES as u64).ok_or(DOES_NOT_OPEN)?;
        let chunks = u32::try_from(body.div_ceil(SEALED_CHUNK_BYTES)).map_err(|_| DOES_NOT_OPEN)?;
        let tags = u64::from(chunks) * TAG_BYTES as u64;
        let bytes = body.checked_sub(tags).ok_or(DOES_NOT_OPEN)?;
        // A last chunk is empty only in an empty file, so one length has one division into chunks.
        let whole = u64::from(chunks.checked_sub(1).ok_or(DOES_NOT_OPEN)?) * CHUNK_BYTES as u64;
        if chunks > 1 && bytes <= whole {
            return Err(DOES_NOT_OPEN);
        }
        Ok(Self { cipher: Cipher::new(key, place, header), chunks, bytes })
    }

    /// How many chunks; at least one.
    #[must_use]
    pub const fn chunks(&self) -> u32 {
        self.chunks
    }

    /// How many plaintext bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where chunk `index` lies in the sealed file.
    #[must_use]
    pub fn range(&self, index: u32) -> std::ops::Range<u64> {
        let end = HEADER_BYTES as u64 + self.bytes + u64::from(self.chunks) * TAG_BYTES as u64;
        let start = HEADER_BYTES as u64 + u64::from(index) * SEALED_CHUNK_BYTES;
        start.min(end)..(start + SEALED_CHUNK_BYTES).min(end)
    }

    /// Opens chunk `index` in place.
    ///
    /// # Errors
    /// [`Fault::Integrity`] when the chunk was changed or stands elsewhere.
    pub fn open(&self, index: u32, chunk: &mut Vec<u8>) -> Result<(), Fault> {
        let range = self.range(index);
        if u64::try_from(chunk.len()) != Ok(range.end - range.start) {
            return Err(DOES_NOT_OPEN);
        }
        self.cipher.open(index, index + 1 == self.chunks, chunk)
    }
}

/// Which version of the patient's key opens this file; `None` when it is no header of a sealed file.
#[must_use]
pub fn file_key_version_of(header: &[u8; HEADER_BYTES]) -> Option<u32> {
    let version = header[8..12].try_into().expect("the slice has 4 bytes");
    (header[..8] == *b"CTF1\x01\x01\x10\x00").then_some(u32::from_be_bytes(version))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::seal::tests::{counting, place};
    use super::super::{hash, hex};
    use super::*;

    fn file_place() -> FilePlace {
        let at = place();
        FilePlace { deployment: at.deployment, patient: at.patient, channel: at.channel, file: [0x99; 16] }
    }

    fn seal(pieces: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut sealer = FileSealer::with_salt(&counting(0x60), &DataKey::new(3, &[0x11; 32]), &file_place(), &mut out);
        for piece in pieces {
            sealer.update(piece, &mut out).expect("short");
        }
        sealer.finish(&mut out);
        out
    }

    fn open(key: &DataKey, place: &FilePlace, sealed: &[u8]) -> Result<Vec<u8>, Fault> {
        let header = sealed.first_chunk().ok_or(DOES_NOT_OPEN)?;
        let opener = FileOpener::new(key, place, header, u64::try_from(sealed.len()).expect("short"))?;
        let mut plain = Vec::new();
        for index in 0..opener.chunks() {
            let range = opener.range(index);
            let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
            let mut chunk = sealed[start.expect("short")..end.expect("short")].to_vec();
            opener.open(index, &mut chunk)?;
            plain.extend_from_slice(&chunk);
        }
        assert_eq!(u64::try_from(plain.len()), Ok(opener.bytes()));
        assert!(opener.open(opener.chunks(), &mut Vec::new()).is_err(), "there is none after the last");
        Ok(plain)
    }

    fn key() -> DataKey {
        DataKey::new(3, &[0x11; 32])
    }

    #[test]
    fn the_known_answer_of_a_sealed_file() {
        let plain = [vec![b'A'; CHUNK_BYTES], vec![b'B'; 10]].concat();
        let sealed = seal(&[&plain]);
        assert_eq!(sealed.len(), 65_606);
        assert_eq!(hex(&hash(&sealed)), "20b5fc229e33adf192391cce998ea6d76e42bb7c34337edbea314f654155712c");
        assert_eq!(seal(&[&plain[..1], &plain[1..70], &[], &plain[70..]]), sealed);
        assert_eq!(open(&key(), &file_place(), &sealed).expect("opens"), plain);
    }

    #[test]
    fn files_of_every_edge_come_back() {
        for size in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 2 * CHUNK_BYTES + 1] {
            let plain = vec![7; size];
            let sealed = seal(&[&plain]);
            assert_eq!(sealed.len(), HEADER_BYTES + size + TAG_BYTES * size.div_ceil(CHUNK_BYTES).max(1));
            assert_eq!(open(&key(), &file_place(), &sealed).expect("opens"), plain);
        }
    }

    #[test]
    fn a_file_cut_reordered_or_moved_does_not_open() {
        let chunk = CHUNK_BYTES + TAG_BYTES;
        let sealed = seal(&[&vec![7; 3 * CHUNK_BYTES]]);
        for cut in [0, 27, 28, 43, 44, 28 + chunk, 28 + 2 * chunk, 28 + 2 * chunk + 16, sealed.len() - 1] {
            assert!(open(&key(), &file_place(), &sealed[..cut]).is_err(), "cut at {cut}");
        }
        let mut swapped = sealed[..28].to_vec();
        swapped.extend_from_slice(&sealed[28 + chunk..28 + 2 * chunk]);
        swapped.extend_from_slice(&sealed[28..28 + chunk]);
        swapped.extend_from_slice(&sealed[28 + 2 * chunk..]);
        assert!(open(&key(), &file_place(), &swapped).is_err());
        assert!(open(&key(), &file_place(), &[&sealed[..], &sealed[28 + 2 * chunk..]].concat()).is_err());
        assert!(open(&key(), &FilePlace { file: [1; 16], ..file_place() }, &sealed).is_err());
        assert!(open(&key(), &FilePlace { patient: PatientId::ZERO, ..file_place() }, &sealed).is_err());
        assert!(open(&DataKey::new(4, &[0x11; 32]), &file_place(), &sealed).is_err());
        assert!(open(&DataKey::new(3, &[0x12; 32]), &file_place(), &sealed).is_err());
    }

    proptest! {
        #[test]
        fn a_flipped_bit_of_a_file_is_found(plain: Vec<u8>, at: prop::sample::Index, bit in 0..8_u8) {
            let mut sealed = seal(&[&plain]);
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert!(open(&key(), &file_place(), &sealed).is_err());
        }

        #[test]
        fn arbitrary_files_never_panic(header: [u8; HEADER_BYTES], length: u64, chunk: Vec<u8>, index: u32) {
            let _ = FileOpener::new(&key(), &file_place(), &header, length);
            let sound = *seal(&[]).first_chunk().expect("a header");
            if let Ok(opener) = FileOpener::new(&key(), &file_place(), &sound, length) {
                prop_assert!(opener.open(index, &mut chunk.clone()).is_err());
            }
        }
    }
}
