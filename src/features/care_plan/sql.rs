//! Statements of the care plan: items as they stand, and what imports brought.

use uuid::Uuid;

use super::claims::Claim;
use crate::kernel::base::{ChannelId, ItemId, Micros, PatientId, ThingId, UserId};
use crate::kernel::policy::{Holder, Responsibility};
use crate::kernel::store::{Tx, on_db, statements};

statements! {
    ITEM_ADD = "INSERT INTO plan_item (id, patient, kind, standing, status, open, shared, rev, place, view) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    ITEM_GET = "SELECT id, patient, kind, standing, status, open, shared, rev, place, view FROM plan_item WHERE id = $1";
    ITEMS = "SELECT id, patient, kind, standing, status, open, shared, rev, place, view FROM plan_item WHERE patient = $1 ORDER BY place";
    ITEM_SET = "UPDATE plan_item SET status = $2, open = $3, shared = $4, rev = $5, view = $6 WHERE id = $1";
    UNSORTED = "SELECT id FROM plan_item WHERE patient = $1 AND standing = $2";
    CLEAR_ITEM = "DELETE FROM plan_item";
    SOURCE_ADD = "INSERT INTO imported_resource (id, patient, item, mac, content, revision, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    SOURCE_ITEM = "UPDATE imported_resource SET item = $2 WHERE id = $1";
    SOURCES_BY_KEY = "SELECT id, patient, item, mac, content, revision, sealed FROM imported_resource WHERE mac = $1 ORDER BY patient, revision DESC";
    SOURCE_BY_ID = "SELECT id, patient, item, mac, content, revision, sealed FROM imported_resource WHERE id = $1";
    SOURCES_OF = "SELECT id, item, mac, content, revision FROM imported_resource WHERE patient = $1 ORDER BY revision";
    SOURCES_HELD = "SELECT id, patient, item, mac, content, revision, sealed FROM imported_resource WHERE patient = $1 ORDER BY id";
    SOURCE_NAME_ADD = "INSERT INTO imported_identifier (mac, resource) VALUES ($1, $2)";
    STANDING = "SELECT id FROM plan_item WHERE patient = $1 AND standing = $2";
    STATE = "SELECT id, rev, status, open FROM plan_item WHERE id = $1";
    STATES = "SELECT id, rev, status, open FROM plan_item WHERE patient = $1";
    MEANING_ADD = "INSERT INTO plan_meaning (item, rev, patient, at) VALUES ($1, $2, $3, $4)";
    MEANINGS_OF = "SELECT rev, at FROM plan_meaning WHERE item = $1 ORDER BY rev";
    MEANINGS = "SELECT item, rev, at FROM plan_meaning WHERE patient = $1 ORDER BY rev";
    CLEAR_MEANING = "DELETE FROM plan_meaning";
    VERSION = "SELECT rev FROM plan_item WHERE id = $1";
    CLAIM_PUT = "INSERT INTO plan_claim (source, item, patient, channel, seq, holder_user, holder_responsibility, due, weight, why) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (source) DO UPDATE SET item = excluded.item, patient = excluded.patient, channel = excluded.channel, seq = excluded.seq, holder_user = excluded.holder_user, holder_responsibility = excluded.holder_responsibility, due = excluded.due, weight = excluded.weight, why = excluded.why";
    CLAIM_END = "DELETE FROM plan_claim WHERE source = $1";
    CLAIMS = "SELECT source, item, patient, channel, seq, holder_user, holder_responsibility, due, weight, why FROM plan_claim WHERE patient = $1";
    CLEAR_CLAIM = "DELETE FROM plan_claim";
    SOURCE_NAMED = "SELECT resource FROM imported_identifier WHERE mac = $1 ORDER BY resource";
}

/// A row of `plan_item`.
#[derive(sqlx::FromRow)]
pub struct ItemRow {
    /// The item.
    pub id: ItemId,
    /// Whose plan.
    pub patient: PatientId,
    /// [`super::Kind`] as a number.
    pub kind: Option<i16>,
    /// [`super::Standing`] as a number.
    pub standing: Option<i16>,
    /// Its state in a word.
    pub status: String,
    /// Not over.
    pub open: bool,
    /// Family sees it.
    pub shared: bool,
    /// What the view is sealed to.
    pub rev: i64,
    /// Order in the plan: `seq` of the entry that made it.
    pub place: i64,
    /// [`super::Content`], sealed.
    pub view: Vec<u8>,
}

/// A row of `imported_resource`: one version of one resource.
#[derive(sqlx::FromRow)]
pub struct SourceRow {
    /// The row: what it is sealed to, with the revision.
    pub id: Uuid,
    /// Whose; zero for nobody's.
    pub patient: PatientId,
    /// The plan item made of it.
    pub item: Option<ItemId>,
    /// Of its key.
    pub mac: Vec<u8>,
    /// Of its bytes.
    pub content: Vec<u8>,
    /// Version, from 1.
    pub revision: i64,
    /// Sealed.
    pub sealed: Vec<u8>,
}

/// What a patient's imported resources are known by.
#[derive(sqlx::FromRow)]
pub struct SourceHeld {
    /// The row.
    pub id: Uuid,
    /// The plan item made of it.
    pub item: Option<ItemId>,
    /// Of its key.
    pub mac: Vec<u8>,
    /// Of its bytes.
    pub content: Vec<u8>,
    /// Version, from 1.
    pub revision: i64,
}

/// What an item is held against: all but its words.
#[derive(sqlx::FromRow)]
pub struct StateRow {
    /// The item.
    pub id: ItemId,
    /// Its number.
    pub rev: i64,
    /// Its state in a word.
    pub status: String,
    /// Not over.
    pub open: bool,
}

/// A row of `plan_claim`.
#[derive(sqlx::FromRow)]
pub struct ClaimRow {
    /// What waits.
    pub source: ThingId,
    /// On which item.
    pub item: ItemId,
    /// Whose plan.
    pub patient: PatientId,
    /// Where its entry stands.
    pub channel: ChannelId,
    /// The place there.
    pub seq: i64,
    /// Who must act, if a person.
    pub holder_user: Option<UserId>,
    /// Who must act, if whoever holds [`Responsibility`], as a number.
    pub holder_responsibility: Option<i16>,
    /// By when.
    pub due: Option<Micros>,
    /// [`super::Weight`] as a number.
    pub weight: i16,
    /// [`super::Why`] as a number.
    pub why: i16,
}

/// Adds an item.
///
/// # Errors
/// The database's.
pub async fn add(tx: &mut Tx, row: &ItemRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(ITEM_ADD)
            .bind(row.id)
            .bind(row.patient)
            .bind(row.kind)
            .bind(row.standing)
            .bind(&row.status)
            .bind(row.open)
            .bind(row.shared)
            .bind(row.rev)
            .bind(row.place)
            .bind(&row.view)
            .execute(c)
            .await
            .map(drop)
    })
}

/// One item.
///
/// # Errors
/// The database's.
pub async fn get(tx: &mut Tx, item: ItemId) -> sqlx::Result<Option<ItemRow>> {
    on_db!(tx, |c| sqlx::query_as(ITEM_GET).bind(item).fetch_optional(c).await)
}

/// A patient's items, closed ones too, in the order of the plan.
///
/// # Errors
/// The database's.
pub async fn items(tx: &mut Tx, patient: PatientId) -> sqlx::Result<Vec<ItemRow>> {
    on_db!(tx, |c| sqlx::query_as(ITEMS).bind(patient).fetch_all(c).await)
}

/// Writes what may change of an item.
///
/// # Errors
/// The database's.
pub async fn set(tx: &mut Tx, row: &ItemRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(ITEM_SET)
            .bind(row.id)
            .bind(&row.status)
            .bind(row.open)
            .bind(row.shared)
            .bind(row.rev)
            .bind(&row.view)
            .execute(c)
            .await
            .map(drop)
    })
}

/// An item's number as it is now.
///
/// # Errors
/// The database's.
pub async fn version(tx: &mut Tx, item: ItemId) -> sqlx::Result<Option<i64>> {
    let row: Option<(i64,)> = on_db!(tx, |c| sqlx::query_as(VERSION).bind(item).fetch_optional(c).await)?;
    Ok(row.map(|(rev,)| rev))
}

/// One of the items every plan has.
///
/// # Errors
/// The database's.
pub async fn standing(tx: &mut Tx, patient: PatientId, standing: i16) -> sqlx::Result<Option<ItemId>> {
    let row: Option<(ItemId,)> =
        on_db!(tx, |c| sqlx::query_as(STANDING).bind(patient).bind(standing).fetch_optional(c).await)?;
    Ok(row.map(|(item,)| item))
}

/// The state of an item.
///
/// # Errors
/// The database's.
pub async fn state(tx: &mut Tx, item: ItemId) -> sqlx::Result<Option<StateRow>> {
    on_db!(tx, |c| sqlx::query_as(STATE).bind(item).fetch_optional(c).await)
}

/// The states of a patient's items, closed ones too.
///
/// # Errors
/// The database's.
pub async fn states(tx: &mut Tx, patient: PatientId) -> sqlx::Result<Vec<StateRow>> {
    on_db!(tx, |c| sqlx::query_as(STATES).bind(patient).fetch_all(c).await)
}

/// From this number on an item means something else.
///
/// # Errors
/// The database's.
pub async fn add_meaning(tx: &mut Tx, patient: PatientId, item: ItemId, rev: i64, at: Micros) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(MEANING_ADD).bind(item).bind(rev).bind(patient).bind(at).execute(c).await.map(drop))
}

/// The numbers from which on an item meant something else, ascending, with their times.
///
/// # Errors
/// The database's.
pub async fn meanings_of(tx: &mut Tx, item: ItemId) -> sqlx::Result<Vec<(i64, Micros)>> {
    on_db!(tx, |c| sqlx::query_as(MEANINGS_OF).bind(item).fetch_all(c).await)
}

/// The same of all items of a patient.
///
/// # Errors
/// The database's.
pub async fn meanings(tx: &mut Tx, patient: PatientId) -> sqlx::Result<Vec<(ItemId, i64, Micros)>> {
    on_db!(tx, |c| sqlx::query_as(MEANINGS).bind(patient).fetch_all(c).await)
}

/// Writes a claim in place of what its source claimed before.
///
/// # Errors
/// The database's.
pub async fn put_claim(tx: &mut Tx, claim: &Claim) -> sqlx::Result<()> {
    let (user, responsibility) = match claim.holder {
        Holder::User(user) => (Some(user), None),
        Holder::Responsibility { responsibility } => (None, Some(Responsibility::number(responsibility))),
    };
    on_db!(tx, |c| {
        sqlx::query(CLAIM_PUT)
            .bind(claim.source)
            .bind(claim.item)
            .bind(claim.patient)
            .bind(claim.channel)
            .bind(claim.seq)
            .bind(user)
            .bind(responsibility)
            .bind(claim.due)
            .bind(claim.weight.number())
            .bind(claim.why.number())
            .execute(c)
            .await
            .map(drop)
    })
}

/// Takes a claim away.
///
/// # Errors
/// The database's.
pub async fn end_claim(tx: &mut Tx, source: ThingId) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(CLAIM_END).bind(source).execute(c).await.map(drop))
}

/// The claims on a patient's items.
///
/// # Errors
/// The database's.
pub async fn claims(tx: &mut Tx, patient: PatientId) -> sqlx::Result<Vec<ClaimRow>> {
    on_db!(tx, |c| sqlx::query_as(CLAIMS).bind(patient).fetch_all(c).await)
}

/// Keeps a resource.
///
/// # Errors
/// The database's.
pub async fn keep(tx: &mut Tx, row: &SourceRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(SOURCE_ADD)
            .bind(row.id)
            .bind(row.patient)
            .bind(row.item)
            .bind(&row.mac)
            .bind(&row.content)
            .bind(row.revision)
            .bind(&row.sealed)
            .execute(c)
            .await
            .map(drop)
    })
}

/// A kept resource became an item.
///
/// # Errors
/// The database's.
pub async fn became_item(tx: &mut Tx, resource: Uuid, item: ItemId) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(SOURCE_ITEM).bind(resource).bind(item).execute(c).await.map(drop))
}

/// Every version of every resource of that key, by patient, newest first.
///
/// # Errors
/// The database's.
pub async fn by_key(tx: &mut Tx, mac: &[u8; 32]) -> sqlx::Result<Vec<SourceRow>> {
    on_db!(tx, |c| sqlx::query_as(SOURCES_BY_KEY).bind(mac.as_slice()).fetch_all(c).await)
}

/// One version of a resource.
///
/// # Errors
/// The database's.
pub async fn by_id(tx: &mut Tx, id: Uuid) -> sqlx::Result<Option<SourceRow>> {
    on_db!(tx, |c| sqlx::query_as(SOURCE_BY_ID).bind(id).fetch_optional(c).await)
}

/// What a patient's resources are known by, oldest versions first.
///
/// # Errors
/// The database's.
pub async fn held(tx: &mut Tx, patient: PatientId) -> sqlx::Result<Vec<SourceHeld>> {
    on_db!(tx, |c| sqlx::query_as(SOURCES_OF).bind(patient).fetch_all(c).await)
}

/// A patient's resources, sealed, in the order they came.
///
/// # Errors
/// The database's.
pub async fn sources(tx: &mut Tx, patient: PatientId) -> sqlx::Result<Vec<SourceRow>> {
    on_db!(tx, |c| sqlx::query_as(SOURCES_HELD).bind(patient).fetch_all(c).await)
}

/// Adds an identifier a resource is found by.
///
/// # Errors
/// The database's.
pub async fn name(tx: &mut Tx, mac: &[u8; 32], resource: Uuid) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(SOURCE_NAME_ADD).bind(mac.as_slice()).bind(resource).execute(c).await.map(drop))
}

/// The resources found by an identifier.
///
/// # Errors
/// The database's.
pub async fn named(tx: &mut Tx, mac: &[u8; 32]) -> sqlx::Result<Vec<Uuid>> {
    let rows: Vec<(Uuid,)> = on_db!(tx, |c| sqlx::query_as(SOURCE_NAMED).bind(mac.as_slice()).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|(resource,)| resource).collect())
}

/// The item of a patient's plan for what has no place in it yet.
///
/// # Errors
/// The database's.
pub async fn unsorted_item(tx: &mut Tx, patient: PatientId) -> sqlx::Result<Option<ItemId>> {
    let standing = super::Standing::Unsorted.number();
    on_db!(tx, |c| sqlx::query_scalar(UNSORTED).bind(patient).bind(standing).fetch_optional(c).await)
}
