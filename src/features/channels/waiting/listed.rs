//! What waits for an answer at a patient, for the board: where it stands and whom it waits for, never what it says.

use schemars::JsonSchema;
use serde::Serialize;

use super::sql::{self, people};
use crate::features::channels::answers::answers;
use crate::features::channels::message::Priority;
use crate::features::channels::pages::in_view;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{ChannelId, Fault, ItemId, PatientId, ThingId, UserId};
use crate::kernel::engine::Read;
use crate::kernel::engine::shape::Time;
use crate::kernel::policy::Access;

/// A message that waits for an answer.
#[derive(Serialize, JsonSchema)]
pub struct Awaited {
    /// The message.
    pub message: ThingId,
    /// At whose record.
    pub patient: PatientId,
    /// Where.
    pub channel: ChannelId,
    /// Its place there.
    pub seq: i64,
    /// About what.
    pub item: ItemId,
    /// Who asks.
    pub by: UserId,
    /// How soon somebody should look.
    pub priority: Priority,
    /// When it was posted.
    #[schemars(with = "Time")]
    pub at: String,
    /// When it is said again.
    #[schemars(with = "Time")]
    pub due: String,
    /// Who was asked, at first or since, reads it and has not answered.
    pub of: Vec<UserId>,
}

/// The messages of a patient that wait for an answer where the caller reads, the oldest first.
///
/// # Errors
/// The database's.
pub async fn awaited(cx: &mut Read, access: &Access) -> Result<Vec<Awaited>, Fault> {
    let (readable, now) = (cx.readable(access), cx.now());
    let mut found = Vec::new();
    for row in sql::of_patient(cx.tx(), access.patient).await? {
        if !readable.contains(&row.channel) || !in_view(access, cx.subject(), row.channel, row.seq, now) {
            continue;
        }
        let answered: Vec<UserId> =
            answers(cx.tx(), row.message).await?.into_iter().map(|answer| answer.user).collect();
        let mut of = people(&row.asked)?;
        let reached = people(&row.reached)?;
        of.extend(reached.into_iter().filter(|user| !of.contains(user)).collect::<Vec<_>>());
        of.retain(|user| *user != row.author && !answered.contains(user) && row.reads(access, *user, now));
        found.push(Awaited {
            message: row.message,
            patient: row.patient,
            channel: row.channel,
            seq: row.seq,
            item: row.item,
            by: row.author,
            priority: row.priority()?,
            at: rfc3339(row.posted),
            due: rfc3339(row.posted.saturating_add(row.every)),
            of,
        });
    }
    Ok(found)
}
