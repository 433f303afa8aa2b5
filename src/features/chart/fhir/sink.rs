//! Where resources go: streamed into a transaction Bundle, or gathered in memory for a document or a target.
//! Does not know what resources the record gives. References are still `Type/<our id>` when they arrive here.

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

use super::refer::{clean, is_living, linked, own_id};
use super::scene::Scene;
use crate::features::chart::ExportSummary;
use crate::kernel::base::{ChannelId, Code, Fault, ItemId, Refusal, Stop};
use crate::kernel::log::Fact;

/// Entries of the record in one document or one filing to a target: both are held in memory.
pub(in crate::features::chart) const GATHERED_ENTRIES_MAX: u64 = 10_000;

/// Bytes of the files of one entry that go inside its resource: what charts take (FHIR R4 *Attachment*; 5 MiB is common). Larger ones are
/// named with size and SHA-256.
pub(super) const INLINE_BYTES_MAX: u64 = 5 << 20;

/// Bytes of all files that are held in memory at once.
const GATHERED_BYTES_MAX: u64 = 32 << 20;

/// Where a resource comes from.
#[derive(Clone, Copy, Default)]
pub(super) struct Origin<'f> {
    /// The entry it tells of; none for what surrounds the entries.
    pub fact: Option<&'f Fact>,
    /// The plan item it is about now.
    pub item: Option<ItemId>,
    /// The receiver has an older state of it, or it is one that we author and that changes.
    pub update: bool,
    /// Bytes of files in it.
    pub inline: u64,
}

/// Takes resources, those of one thing at a time.
pub(super) trait Sink: Send {
    /// A resource with this id of ours comes: every other may refer to it.
    fn announce(&mut self, id: Uuid);

    /// How many bytes of files there is room for with the next thing.
    fn room(&self) -> u64;

    /// The resources of one thing. `near` are ids that come, too, though nobody announced them: what the thing answers, for one.
    ///
    /// # Errors
    /// `plan_item_required` for words about nothing; what the receiver of bytes says.
    fn take(&mut self, resources: Vec<Value>, origin: Origin<'_>, near: &[Uuid]) -> Result<(), Stop>;
}

/// One resource, as it is gathered.
pub(in crate::features::chart) struct Piece {
    /// Our id: the value of `identifier[0]`, or the resource's own id where its type has no identifier.
    pub id: Uuid,
    /// Its type.
    pub class: String,
    /// The resource: nothing empty in it, references as `Type/<our id>`.
    pub resource: Value,
    /// It is sent over what the receiver has (`PUT`); otherwise it is made once (`POST` with `ifNoneExist`).
    pub update: bool,
    /// The entry it tells of: channel and `seq`; none for what surrounds the entries.
    pub entry: Option<(ChannelId, i64)>,
    /// That entry.
    pub fact: Option<Fact>,
    /// The plan item it is about now.
    pub item: Option<ItemId>,
}

/// All resources of an export, in an order in which most are referred to after they came.
pub(in crate::features::chart) struct Gathered {
    /// What surrounds them; the patient's resource and search are here, not among the pieces.
    pub scene: Scene,
    /// The resources.
    pub pieces: Vec<Piece>,
    /// What was counted.
    pub summary: ExportSummary,
    /// Entries its receiver has in an older state, by channel and position.
    pub again: BTreeSet<(ChannelId, i64)>,
}

/// Resources on their way into a [`Gathered`].
#[derive(Default)]
pub(super) struct Pieces {
    pub pieces: Vec<Piece>,
    /// Bytes of files in them.
    inline: u64,
}

impl Sink for Pieces {
    fn announce(&mut self, _id: Uuid) {}

    fn room(&self) -> u64 {
        INLINE_BYTES_MAX.min(GATHERED_BYTES_MAX.saturating_sub(self.inline))
    }

    fn take(&mut self, resources: Vec<Value>, origin: Origin<'_>, _near: &[Uuid]) -> Result<(), Stop> {
        self.inline += origin.inline;
        self.pieces.extend(pieces(resources, origin)?);
        Ok(())
    }
}

/// The resources of one thing, each by itself.
pub(super) fn pieces(resources: Vec<Value>, origin: Origin<'_>) -> Result<Vec<Piece>, Stop> {
    let entry = origin.fact.map(|fact| (fact.channel, fact.seq));
    let piece = |resource: Value| {
        linked(&resource)?;
        let id = own_id(&resource).ok_or(Fault::Defect("a resource without an id of ours"))?;
        let resource = clean(resource).unwrap_or_default();
        let class = resource["resourceType"].as_str().unwrap_or_default().to_owned();
        let update = origin.update || is_living(&resource);
        Ok(Piece { id, class, resource, update, entry, fact: origin.fact.cloned(), item: origin.item })
    };
    resources.into_iter().map(piece).collect()
}

/// What is too much for memory is refused before it is read.
pub(super) fn bounded(summary: ExportSummary) -> Result<(), Refusal> {
    if summary.entries <= GATHERED_ENTRIES_MAX {
        return Ok(());
    }
    let detail = format!(
        "This form holds at most {GATHERED_ENTRIES_MAX} entries at once. Export less: give `from` and `to` (--from, --to)."
    );
    Err(Refusal::new(Code::TooLarge).field("from").detail(&detail))
}
