//! The site log (security: a Merkle tree as RFC 9162 over signed heads of channels and audit streams, in the order signed) and its
//! checkpoint. Roots of complete subtrees are kept, so that a leaf more, a root and an inclusion proof cost a look at each level of
//! the tree. Does not know: when heads are signed, who is told.
//! Invariant: leaves are only ever added; what is kept above them follows from them and can be made again.

pub mod sql;
mod tree;

use crate::kernel::base::{ChannelId, Fault, Micros};
use crate::kernel::crypto::head::{AuditHead, Checkpoint, HeadNote};
use crate::kernel::crypto::merkle::{self, Frontier};
use crate::kernel::crypto::{Signer, VerifierKey};
use crate::kernel::log::{Head, Vault};
use crate::kernel::store::append::{self, SiteLeafRow, SiteNodeRow};
use crate::kernel::store::{Db, Tx, setting};

/// Leaves of one page of a walk.
const PAGE: i64 = 500;
/// Where a part of the tree that is looked at closely begins: a multiple of this.
const BLOCK: i64 = 256;

/// What a leaf of the site log says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Note {
    /// Where a channel stood.
    Channel(HeadNote),
    /// Where an audit stream stood.
    Audit(AuditHead),
}

impl Note {
    /// Its leaf hash.
    #[must_use]
    pub fn site_leaf(&self) -> [u8; 32] {
        match self {
            Self::Channel(head) => head.site_leaf(),
            Self::Audit(head) => head.site_leaf(),
        }
    }

    /// The signed note.
    #[must_use]
    pub fn sign(&self, signer: &Signer) -> String {
        match self {
            Self::Channel(head) => head.sign(signer),
            Self::Audit(head) => head.sign(signer),
        }
    }

    /// Reads a signed note.
    ///
    /// # Errors
    /// This key did not sign it, or it is of neither kind.
    pub fn verify(note: &str, key: &VerifierKey) -> Result<Self, Fault> {
        HeadNote::verify(note, key).map(Self::Channel).or_else(|_| AuditHead::verify(note, key).map(Self::Audit))
    }
}

/// A head that was signed and stands in the site log.
#[derive(Clone, Debug)]
pub struct SignedHead {
    /// Its index in the site log, from 0.
    pub index: i64,
    /// The signed note.
    pub note: String,
}

/// A signed state of the site log.
#[derive(Clone, Debug)]
pub struct SignedCheckpoint {
    /// The signed note (tlog-checkpoint form).
    pub note: String,
    /// How many leaves it is over.
    pub size: u64,
}

/// What is signed of a channel.
#[must_use]
pub fn head_note(vault: &Vault, head: &Head, at: Micros) -> HeadNote {
    HeadNote {
        deployment: vault.deployment(),
        patient: head.patient,
        channel: head.channel,
        epoch: head.epoch,
        size: head.seq.unsigned_abs(),
        head: head.head,
        at,
    }
}

/// Signs where channels stand and appends the notes to the site log; gives them in the same order.
///
/// # Errors
/// Sealed, or the database's.
pub async fn sign(tx: &mut Tx, vault: &Vault, heads: &[(Head, Micros)]) -> Result<Vec<SignedHead>, Fault> {
    let signer = vault.keyring().signer()?;
    let notes = heads.iter().map(|(head, at)| Note::Channel(head_note(vault, head, *at)));
    let leaves: Vec<(Note, String)> = notes.map(|note| (note, note.sign(&signer))).collect();
    let first = append(tx, &leaves).await?;
    Ok((first..).zip(leaves).map(|(index, (_, note))| SignedHead { index, note }).collect())
}

/// Appends signed notes to the site log; gives the place of the first. What was signed last of each channel and stream is kept too.
///
/// # Errors
/// The database's.
pub async fn append(tx: &mut Tx, notes: &[(Note, String)]) -> Result<i64, Fault> {
    tx.lock_site_log().await?;
    let first = sql::size(tx).await?;
    let mut frontier = tree::frontier(tx, first.unsigned_abs()).await?;
    let (mut leaves, mut nodes) = (Vec::with_capacity(notes.len()), Vec::with_capacity(notes.len()));
    for (n, (note, text)) in (first..).zip(notes) {
        let hash = note.site_leaf();
        frontier.append_with(&hash, |level, place, root| nodes.push(node(level, place, root)));
        leaves.push(SiteLeafRow { n, hash, note: text.clone() });
    }
    append::site_leaves(tx, &leaves).await?;
    append::site_nodes(tx, &nodes).await?;
    remember(tx, first, notes).await?;
    Ok(first)
}

fn node(level: u32, place: u64, root: &[u8; 32]) -> SiteNodeRow {
    SiteNodeRow { n: tree::number(level, place), hash: *root }
}

async fn remember(tx: &mut Tx, first: i64, notes: &[(Note, String)]) -> Result<(), Fault> {
    let mut channels: std::collections::BTreeMap<ChannelId, (i64, i64)> = std::collections::BTreeMap::new();
    for (n, (note, _)) in (first..).zip(notes) {
        match note {
            Note::Channel(head) => drop(channels.insert(head.channel, (signed(head.size)?, n))),
            Note::Audit(head) => sql::put_signed_stream(tx, signed(head.stream)?, signed(head.size)?, n).await?,
        }
    }
    let rows: Vec<_> = channels.into_iter().map(|(channel, (size, leaf))| (channel, size, leaf)).collect();
    Ok(sql::put_signed(tx, &rows).await?)
}

/// A number of a note as columns have it.
fn signed(number: u64) -> Result<i64, Fault> {
    i64::try_from(number).map_err(|_| Fault::Integrity("a number of a note is out of range"))
}

/// The checkpoint of the site log as it stands.
///
/// # Errors
/// Sealed, or the database's.
pub async fn checkpoint(tx: &mut Tx, vault: &Vault) -> Result<SignedCheckpoint, Fault> {
    let signer = vault.keyring().signer()?;
    let size = sql::size(tx).await?.unsigned_abs();
    let root = tree::frontier(tx, size).await?.root();
    let checkpoint = Checkpoint { origin: signer.verifier().name().to_owned(), size, root };
    Ok(SignedCheckpoint { note: checkpoint.sign(&signer), size })
}

/// The proof that leaf `index` is in the tree over the first `size` leaves; none if it is not.
///
/// # Errors
/// The database's.
pub async fn inclusion(tx: &mut Tx, index: u64, size: u64) -> Result<Option<Vec<[u8; 32]>>, Fault> {
    let Some(parts) = merkle::inclusion_parts(index, size) else { return Ok(None) };
    let found = tree::hashes(tx, &parts.concat()).await?;
    let (below, rest) = found.split_at(parts[0].len());
    let (right, left) = rest.split_at(parts[1].len());
    Ok(Some(merkle::inclusion_from(below, right, left)))
}

/// The checkpoint that was kept last, with when.
///
/// # Errors
/// The database's, sealed, or it is not signed by this deployment.
pub async fn kept_checkpoint(tx: &mut Tx, vault: &Vault) -> Result<Option<(Checkpoint, Micros)>, Fault> {
    const WRONG: Fault = Fault::Integrity("the checkpoint of the site log is not what was kept");
    let Some(kept) = setting::get(tx, setting::CHECKPOINT).await? else { return Ok(None) };
    let (at, note) = kept.split_first_chunk::<8>().ok_or(WRONG)?;
    let note = std::str::from_utf8(note).map_err(|_| WRONG)?;
    let checkpoint = Checkpoint::verify(note, vault.keyring().signer()?.verifier()).map_err(|_| WRONG)?;
    Ok(Some((checkpoint, Micros::from_be_bytes(*at))))
}

/// Signs and keeps a checkpoint of the site log as it stands.
///
/// # Errors
/// Sealed, or the database's.
pub async fn keep_checkpoint(tx: &mut Tx, vault: &Vault, now: Micros) -> Result<SignedCheckpoint, Fault> {
    tx.lock_site_log().await?;
    let checkpoint = checkpoint(tx, vault).await?;
    let kept = [&now.to_be_bytes(), checkpoint.note.as_bytes()].concat();
    setting::put(tx, setting::CHECKPOINT, &kept).await?;
    Ok(checkpoint)
}

/// Makes the tree above the leaves if it is not there: of a record that was kept before subtrees were.
///
/// # Errors
/// The database's.
pub async fn prepare(db: &Db) -> Result<(), Fault> {
    let mut tx = db.read().await?;
    let size = sql::size(&mut tx).await?;
    if size < 2 || !sql::nodes(&mut tx, [tree::number(1, 0)]).await?.is_empty() {
        return Ok(());
    }
    drop(tx);
    let mut tx = db.write().await?;
    sql::clear_nodes(&mut tx).await?;
    let mut frontier = Frontier::default();
    loop {
        let page = sql::page(&mut tx, signed(frontier.size())?, PAGE).await?;
        if page.is_empty() {
            break;
        }
        let mut nodes = Vec::new();
        for (_, hash, _) in &page {
            frontier.append_with(&sql::hash(hash)?, |level, place, root| nodes.push(node(level, place, root)));
        }
        append::site_nodes(&mut tx, &nodes).await?;
    }
    Ok(tx.commit().await?)
}

/// Looks closely at the end of the site log, in constant time: the kept checkpoint is signed and is the root over its leaves; the newest
/// notes are what the tree is over; those beyond the checkpoint are signed. Gives the newest notes, oldest first.
///
/// # Errors
/// The database's, sealed, or an integrity fault that says what does not hold.
pub async fn check_end(tx: &mut Tx, vault: &Vault) -> Result<Vec<Note>, Fault> {
    let signer = vault.keyring().signer()?;
    let size = sql::size(tx).await?;
    let checkpoint = kept_checkpoint(tx, vault).await?.map(|(checkpoint, _)| checkpoint);
    let certain = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
    if let Some(checkpoint) = &checkpoint {
        if certain > size.unsigned_abs() {
            return Err(Fault::Integrity("the site log is shorter than its checkpoint"));
        }
        if tree::frontier(tx, certain).await?.root() != checkpoint.root {
            return Err(Fault::Integrity("the site log is not what its checkpoint was signed over"));
        }
    }
    let begin = (size - BLOCK).max(0) / BLOCK * BLOCK;
    let mut frontier = tree::frontier(tx, begin.unsigned_abs()).await?;
    let mut notes = Vec::new();
    for (n, hash, text) in sql::page(tx, begin, 2 * BLOCK).await? {
        let note = Note::verify(&text, signer.verifier())?;
        let holds = n.unsigned_abs() == frontier.size() && note.site_leaf() == sql::hash(&hash)?;
        frontier.append(&note.site_leaf());
        let at_checkpoint = checkpoint.as_ref().filter(|checkpoint| checkpoint.size == frontier.size());
        if !holds || at_checkpoint.is_some_and(|checkpoint| checkpoint.root != frontier.root()) {
            return Err(Fault::Integrity("a note of the site log is not the one that was signed"));
        }
        notes.push(note);
    }
    if frontier != tree::frontier(tx, size.unsigned_abs()).await? {
        return Err(Fault::Integrity("the tree of the site log is not over its leaves"));
    }
    Ok(notes)
}

/// A walk of the whole site log, page by page: each note is signed and is what its leaf says, the tree above is theirs, the kept
/// checkpoint is one of its states.
pub struct Walk {
    frontier: Frontier,
    checkpoint: Option<Checkpoint>,
}

impl Walk {
    /// From the first leaf. The checkpoint is read now: it is of a state the walk will come to.
    ///
    /// # Errors
    /// As [`kept_checkpoint`].
    pub async fn begin(tx: &mut Tx, vault: &Vault) -> Result<Self, Fault> {
        let checkpoint = kept_checkpoint(tx, vault).await?.map(|(checkpoint, _)| checkpoint);
        Ok(Self { frontier: Frontier::default(), checkpoint })
    }

    /// The next page, each note handed to `each`; false at the end.
    ///
    /// # Errors
    /// The database's, sealed, or an integrity fault that says what does not hold.
    pub async fn page(&mut self, tx: &mut Tx, vault: &Vault, mut each: impl FnMut(Note)) -> Result<bool, Fault> {
        const WRONG: Fault = Fault::Integrity("the site log does not hold");
        let signer = vault.keyring().signer()?;
        let page = sql::page(tx, signed(self.frontier.size())?, PAGE).await?;
        if page.is_empty() {
            let short = self.checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.size > self.frontier.size());
            let whole = tree::frontier(tx, self.frontier.size()).await? == self.frontier;
            return if short || !whole { Err(WRONG) } else { Ok(false) };
        }
        for (n, hash, text) in page {
            let note = Note::verify(&text, signer.verifier())?;
            if n.unsigned_abs() != self.frontier.size() || note.site_leaf() != sql::hash(&hash)? {
                return Err(WRONG);
            }
            self.frontier.append(&note.site_leaf());
            let met = self.checkpoint.as_ref().filter(|checkpoint| checkpoint.size == self.frontier.size());
            if met.is_some_and(|checkpoint| checkpoint.root != self.frontier.root()) {
                return Err(WRONG);
            }
            each(note);
        }
        Ok(true)
    }
}

/// The newest head of a channel that was signed, read from its note: its size and hash. None if none was.
///
/// # Errors
/// The database's, sealed, or the note is not the one that was signed.
pub async fn signed_head(tx: &mut Tx, vault: &Vault, channel: ChannelId) -> Result<Option<(i64, [u8; 32])>, Fault> {
    let Some((seq, leaf)) = sql::signed(tx, channel).await? else { return Ok(None) };
    let wrong = Fault::Integrity("the head that was signed is not in the site log");
    let Some((_, note)) = sql::leaf(tx, leaf).await? else { return Err(wrong) };
    let head = HeadNote::verify(&note, vault.keyring().signer()?.verifier())?;
    if head.channel != channel || head.size != seq.unsigned_abs() {
        return Err(wrong);
    }
    Ok(Some((seq, head.head)))
}

/// As [`signed_head`], of an audit stream.
///
/// # Errors
/// As [`signed_head`].
pub async fn signed_stream(tx: &mut Tx, vault: &Vault, stream: i64) -> Result<Option<(i64, [u8; 32])>, Fault> {
    let Some((n, leaf)) = sql::signed_stream(tx, stream).await? else { return Ok(None) };
    let wrong = Fault::Integrity("the head that was signed is not in the site log");
    let Some((_, note)) = sql::leaf(tx, leaf).await? else { return Err(wrong) };
    let head = AuditHead::verify(&note, vault.keyring().signer()?.verifier())?;
    if head.stream != stream.unsigned_abs() || head.size != n.unsigned_abs() {
        return Err(wrong);
    }
    Ok(Some((n, head.head)))
}
