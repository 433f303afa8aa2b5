//! Where the roots of complete subtrees of the site log are kept, and how a tree of any size is put together from them.
//! Does not know what a leaf says.

use std::collections::HashMap;

use super::sql;
use crate::kernel::base::Fault;
use crate::kernel::crypto::Hash;
use crate::kernel::crypto::merkle::{self, Frontier};
use crate::kernel::store::Tx;

/// The number of a subtree: its place times 64, and its level; those of a leaf and of what it closes stand together.
pub(super) fn number(level: u32, place: u64) -> i64 {
    i64::try_from((place << 6) | u64::from(level)).unwrap_or(i64::MAX)
}

/// The roots of these subtrees (level and place), in their order; level 0 are the leaves.
pub(super) async fn hashes(tx: &mut Tx, wanted: &[(u32, u64)]) -> Result<Vec<Hash>, Fault> {
    const MISSING: Fault = Fault::Integrity("a part of the site log's tree is missing");
    let above = wanted.iter().filter(|(level, _)| *level > 0).map(|(level, place)| number(*level, *place));
    let above: Vec<i64> = above.collect();
    let mut kept: HashMap<i64, Vec<u8>> = HashMap::new();
    if !above.is_empty() {
        kept.extend(sql::nodes(tx, above).await?);
    }
    let mut found = Vec::with_capacity(wanted.len());
    for (level, place) in wanted {
        let hash = if *level == 0 {
            let leaf = i64::try_from(*place).map_err(|_| MISSING)?;
            sql::leaf(tx, leaf).await?.map(|(hash, _)| hash)
        } else {
            kept.remove(&number(*level, *place))
        };
        found.push(sql::hash(&hash.ok_or(MISSING)?)?);
    }
    Ok(found)
}

/// The tree over the first `size` leaves.
pub(super) async fn frontier(tx: &mut Tx, size: u64) -> Result<Frontier, Fault> {
    let peaks = hashes(tx, &merkle::peaks_of(size)).await?;
    Frontier::from_parts(size, peaks).ok_or(Fault::Defect("a tree has one peak for each bit of its size"))
}
