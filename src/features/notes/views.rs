//! What is read of notes: one with all that came of it, and the markers that wait.
//! Invariant: nothing outside the spans the caller may read leaves here.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::model::life::{Addended, Dismissed, Disputed, State, Verdict};
use super::model::{Logged, Medium, Participant};
use super::project::{Sequel, View};
use super::sql::{self, MarkerRow};
use crate::features::channels::{Words, in_view};
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{ChannelId, EntryId, Fault, ItemId, PatientId, Refusal, Stop, ThingId, UserId};
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::shape::{Reason, Time};
use crate::kernel::engine::{Data, Read};
use crate::kernel::log::{self, Fact, Head, Thing, ThingKind};
use crate::kernel::policy::{Access, Right};

/// A discussion that waits to be documented.
#[derive(Serialize, JsonSchema)]
pub struct Marker {
    /// The note.
    pub id: ThingId,
    /// At whose record.
    pub patient: PatientId,
    /// Where.
    pub channel: ChannelId,
    /// The place of its entry.
    pub seq: i64,
    /// About what.
    pub item: ItemId,
    /// Who opened it.
    pub by: UserId,
    /// When.
    #[schemars(with = "Time")]
    pub at: String,
    /// How people talk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<Medium>,
    /// With whom.
    pub with: Vec<Participant>,
}

/// Whether a thing is a marker: opened, neither documented nor dismissed.
#[must_use]
pub fn is_marker(thing: &Thing) -> bool {
    thing.kind == ThingKind::Note && thing.state == State::Open.number()
}

/// Whether a thing is a note that says what was said.
#[must_use]
pub fn is_documented(thing: &Thing) -> bool {
    let unwritten = [State::Open, State::Dismissed].map(State::number);
    thing.kind == ThingKind::Note && !unwritten.contains(&thing.state)
}

async fn view(cx: &Read, row: &MarkerRow) -> Result<View, Fault> {
    let opened = cx.open_view(row.patient, row.id.0, row.seq, &row.sealed).await?;
    serde_json::from_slice(&opened).map_err(|_| Fault::Integrity("a view is not JSON"))
}

/// The markers of a patient that wait where the caller reads, oldest first. In an archived channel nothing is documented any more: what
/// waits there is left out.
///
/// # Errors
/// The database's, or a view that does not open.
pub async fn open_markers(cx: &mut Read, access: &Access) -> Result<Vec<Marker>, Fault> {
    let readable = cx.readable(access);
    let mut markers = Vec::new();
    for row in sql::waiting(cx.tx(), access.patient).await? {
        let writable = access.channels.get(&row.channel).is_some_and(|held| !held.archived);
        let seen = readable.contains(&row.channel) && in_view(access, cx.subject(), row.channel, row.seq, cx.now());
        if !writable || !seen {
            continue;
        }
        let View { medium, with } = view(cx, &row).await?;
        let MarkerRow { id, patient, channel, item, opener, seq, at, .. } = row;
        markers.push(Marker { id, patient, channel, seq, item, by: opener, at: rfc3339(at), medium, with });
    }
    Ok(markers)
}

/// The documentation of a note.
#[derive(Serialize, JsonSchema)]
pub struct Documented {
    /// Who wrote it.
    pub by: UserId,
    /// When.
    #[schemars(with = "Time")]
    pub at: String,
    /// The place of its entry.
    pub seq: i64,
    /// What it says, as in `note.logged`.
    pub note: Logged,
}

/// What somebody who took part says of a note.
#[derive(Serialize, JsonSchema)]
pub struct Said {
    /// Who.
    pub by: UserId,
    /// When.
    #[schemars(with = "Time")]
    pub at: String,
    /// The place of its entry.
    pub seq: i64,
    /// What.
    pub says: Verdict,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Reason>")]
    pub reason: Option<String>,
}

/// An addendum.
#[derive(Serialize, JsonSchema)]
pub struct Addendum {
    /// The addendum.
    pub id: EntryId,
    /// Whose.
    pub by: UserId,
    /// When.
    #[schemars(with = "Time")]
    pub at: String,
    /// The place of its entry.
    pub seq: i64,
    /// `text` or `sbar`.
    #[serde(flatten)]
    pub words: Words,
}

/// Why nothing came of a marker.
#[derive(Serialize, JsonSchema)]
pub struct Dismissal {
    /// Who gave it up.
    pub by: UserId,
    /// When.
    #[schemars(with = "Time")]
    pub at: String,
    /// Why.
    #[schemars(with = "Reason")]
    pub reason: String,
}

/// A note, with all that came of it.
#[derive(Serialize, JsonSchema)]
pub struct NoteShown {
    /// The note.
    pub id: ThingId,
    /// At whose record.
    pub patient: PatientId,
    /// Where.
    pub channel: ChannelId,
    /// About what.
    pub item: Option<ItemId>,
    /// Where it stands.
    pub state: State,
    /// The marker it began as; null where it was documented at once.
    pub marker: Option<Marker>,
    /// What it says; null until it is documented.
    pub documented: Option<Documented>,
    /// All that those who took part said of it, in order; the last of each counts.
    pub said: Vec<Said>,
    /// What was added, in order.
    pub addenda: Vec<Addendum>,
    /// Why nothing came of it; null unless dismissed.
    pub dismissed: Option<Dismissal>,
}

/// `note.get`
pub async fn get(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let id: ThingId = Fields(data).required_id("note")?;
    let thing = cx.thing(id).await?.filter(|thing| thing.kind == ThingKind::Note).ok_or_else(Refusal::not_found)?;
    let (_, access) = cx.permit_channel(Right::Read, thing.channel).await?;
    if !in_view(&access, cx.subject(), thing.channel, thing.seq, cx.now()) {
        return Err(Refusal::not_found().into());
    }
    cx.audit.object = Some(id);
    let state = State::from_number(thing.state).ok_or(Fault::Integrity("a note in an unknown state"))?;
    let head = cx.head(thing.channel).await?.ok_or_else(Refusal::not_found)?;
    let row = sql::marker(cx.tx(), id).await?;
    let (mut marker, mut logged) = (None, Some(thing.seq));
    if let Some(row) = row {
        let View { medium, with } = view(cx, &row).await?;
        logged = row.logged;
        let MarkerRow { patient, channel, item, opener, seq, at, .. } = row;
        marker = Some(Marker { id, patient, channel, seq, item, by: opener, at: rfc3339(at), medium, with });
    }
    let (patient, channel, item) = (thing.patient, thing.channel, thing.item);
    let (documented, said, addenda, dismissed) = (None, Vec::new(), Vec::new(), None);
    let mut shown = NoteShown { id, patient, channel, item, state, marker, documented, said, addenda, dismissed };
    if let Some(fact) = entry(cx, &access, &head, logged).await? {
        shown.documented = Some(Documented { by: fact.by, at: rfc3339(fact.at), seq: fact.seq, note: fact.read()? });
    }
    for row in sql::sequels(cx.tx(), id).await? {
        let kind = Sequel::from_number(row.kind).ok_or(Fault::Integrity("an unknown entry about a note"))?;
        if kind == Sequel::Reminded {
            continue;
        }
        if let Some(fact) = entry(cx, &access, &head, Some(row.seq)).await? {
            add(&mut shown, kind, &fact)?;
        }
    }
    serde_json::to_value(&shown).map_err(|_| Fault::Defect("a note is not JSON").into())
}

/// The entry at a place, if the caller may read it.
async fn entry(cx: &mut Read, access: &Access, head: &Head, seq: Option<i64>) -> Result<Option<Fact>, Stop> {
    let seen = |seq: &i64| in_view(access, cx.subject(), head.channel, *seq, cx.now());
    let Some(seq) = seq.filter(seen) else { return Ok(None) };
    let (tx, vault) = cx.log();
    Ok(log::since(tx, vault, head, seq - 1, seq, 1).await?.into_iter().next())
}

fn add(shown: &mut NoteShown, kind: Sequel, fact: &Fact) -> Result<(), Fault> {
    let (by, at, seq) = (fact.by, rfc3339(fact.at), fact.seq);
    match kind {
        Sequel::Confirmed => shown.said.push(Said { by, at, seq, says: Verdict::Confirmed, reason: None }),
        Sequel::Disputed => {
            let Disputed { reason, .. } = fact.read()?;
            shown.said.push(Said { by, at, seq, says: Verdict::Disputed, reason: Some(reason) });
        }
        Sequel::Addended => {
            let Addended { id, words, .. } = fact.read()?;
            shown.addenda.push(Addendum { id, by, at, seq, words });
        }
        Sequel::Dismissed => {
            let Dismissed { reason, .. } = fact.read()?;
            shown.dismissed = Some(Dismissal { by, at, reason });
        }
        Sequel::Reminded => {}
    }
    Ok(())
}
