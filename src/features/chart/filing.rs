//! The two steps of an export that change state: heads are signed before the first byte leaves, and what left is filed after the last.
//! Does not know how a form is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Format, sql};
use crate::kernel::base::{ChannelId, EntryId, Fault, ItemId, Micros, PatientId, Refusal, Stop, UserId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Reply, Write};
use crate::kernel::log::{Fact, ThingKind, site};
use crate::kernel::policy::{self, Access, Basis, Interval, Object, Permit, Right, Subject};

/// An export was filed.
pub const FILED: &str = "export.filed";
/// Signs the heads of what is to be exported.
pub const BEGIN: &str = "export.begin";
/// Records that it was.
pub const FILE: &str = "export.file";

/// What may be exported, as it stood when the heads were signed.
#[derive(Serialize, Deserialize)]
pub(super) struct Begun {
    pub channels: Vec<BegunChannel>,
}

/// One channel of it.
#[derive(Serialize, Deserialize)]
pub(super) struct BegunChannel {
    pub id: ChannelId,
    /// Newest `seq`.
    pub size: i64,
    /// What of it the caller may read.
    pub readable: Vec<[i64; 2]>,
    /// Asked for.
    pub chosen: bool,
    /// The signed head note.
    pub note: String,
    /// Where it stands in the site log.
    pub index: i64,
}

/// What is filed.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Filing {
    pub patient: PatientId,
    #[serde(flatten)]
    pub told: Told,
    pub covered: Vec<CoveredChannel>,
}

/// What the record says of an export. Channels are counted, not named: the plan channel has readers that some channels have not.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct Told {
    /// [`Format::text`].
    pub format: String,
    /// Entries taken out.
    pub entries: u64,
    /// Channels they stand in.
    pub channels: u64,
    /// RFC 3339, where the export was narrowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// RFC 3339, where the export was narrowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// `last` where it holds only what this form had not had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// SHA-256 of the file in hex; of the manifest, where it is a folder.
    pub sha256: String,
    /// The configured target that received it; a file if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Why, in the words of whoever took it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
}

impl Told {
    /// What coverage is kept by: what a form of file has had, or what a target has.
    pub(super) fn key(&self) -> String {
        key(self.target.as_deref(), &self.format)
    }
}

/// As [`Told::key`].
pub(super) fn key(target: Option<&str>, format: &str) -> String {
    target.map_or_else(|| format.to_owned(), |target| format!("target/{target}"))
}

/// What of one channel went out.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct CoveredChannel {
    pub channel: ChannelId,
    pub spans: Vec<[i64; 2]>,
    pub horizon: i64,
}

/// Body of `export.filed`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(super) struct Filed {
    /// This entry.
    pub id: EntryId,
    #[serde(flatten)]
    pub told: Told,
}

/// The channels of a patient this caller may take out, with the spans where they are not the whole.
pub(super) fn scope<'a>(
    subject: &Subject,
    permit: &Permit,
    access: &'a Access,
    now: Micros,
) -> Vec<(ChannelId, Option<&'a [Interval]>)> {
    if matches!(permit.basis(), Basis::CommandLine | Basis::Role) {
        return access.channels.keys().map(|id| (*id, None)).collect();
    }
    let readable = access.channels.iter().filter_map(|(id, channel)| {
        policy::decide(subject, Right::Read, Object::Channel(Some((access, *id))), now).ok()?;
        Some((*id, Some(channel.readable_by(subject.user)?)))
    });
    readable.collect()
}

/// `export.begin`: data {patient, format, channels?, items?}.
pub(super) async fn begin(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let fields = Fields(data);
    let patient: PatientId = fields.required_id("patient")?;
    let format = fields.string("format")?.and_then(Format::from_text);
    let format = format.ok_or_else(|| Refusal::invalid("format", "This server does not write that format."))?;
    let asked: Option<Vec<ChannelId>> = fields.get("channels").map(|_| fields.ids("channels")).transpose()?;
    let permit = cx.permit_patient(Right::Export, patient).await?;
    let access = cx.ledger().access(patient).await?.ok_or_else(Refusal::not_found)?;
    let scope = scope(cx.subject(), &permit, &access, cx.now());
    let chosen = |id: &ChannelId| asked.as_ref().is_none_or(|asked| asked.contains(id));
    if !asked.iter().flatten().all(|id| scope.iter().any(|(known, _)| known == id)) {
        return Err(Refusal::not_found().field("channels").into());
    }
    for item in fields.get("items").map(|_| fields.ids::<ItemId>("items")).transpose()?.into_iter().flatten() {
        let thing = cx.ledger().thing(item.into()).await?;
        if thing.is_none_or(|thing| thing.patient != patient || thing.kind != ThingKind::PlanItem) {
            return Err(Refusal::not_found().field("items").into());
        }
    }
    let (mut channels, mut heads) = (Vec::with_capacity(scope.len()), Vec::with_capacity(scope.len()));
    for (id, spans) in scope {
        // Only a proof shows what it leaves out.
        if !chosen(&id) && format != Format::Proof {
            continue;
        }
        let head = cx.ledger().head(id).await?.ok_or(Fault::Integrity("a channel without a head"))?;
        let readable = spans.map_or_else(|| vec![[1, head.seq]], |spans| policy::spans(spans, 1, head.seq));
        let (note, index) = (String::new(), 0);
        channels.push(BegunChannel { id, size: head.seq, readable, chosen: chosen(&id), note, index });
        // A head is never signed before its last entry, whatever the clock does.
        let at = cx.now().max(head.at);
        heads.push((head, at));
    }
    let vault = cx.ledger().vault().clone();
    let signed = site::sign(cx.ledger().change(), &vault, &heads).await?;
    for (channel, signed) in channels.iter_mut().zip(signed) {
        (channel.note, channel.index) = (signed.note, signed.index);
    }
    match serde_json::to_value(Begun { channels }) {
        Ok(Value::Object(begun)) => Ok(Reply::Plain(begun)),
        _ => Err(Fault::Defect("signed heads are not JSON").into()),
    }
}

/// `export.file`: data is a [`Filing`].
pub(super) async fn file(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let filing: Filing = serde_json::from_value(Value::Object(data.clone()))
        .map_err(|_| Fault::Defect("a filing is not what its maker says"))?;
    cx.permit_patient(Right::Export, filing.patient).await?;
    let by = cx.subject().user;
    record(cx, by, filing).await?;
    Ok(Reply::Recorded)
}

/// Keeps what the receiver has now, and writes it into the record in the name of whoever answers for it.
pub(super) async fn record(cx: &mut Write<'_>, by: UserId, filing: Filing) -> Result<Fact, Stop> {
    let Filing { patient, told, covered } = filing;
    let access = cx.ledger().access(patient).await?.ok_or_else(Refusal::not_found)?;
    let plan = access.plan_channel().ok_or(Fault::Integrity("a patient without a plan channel"))?;
    let key = told.key();
    for CoveredChannel { channel, spans, horizon } in covered {
        let mut coverage = sql::coverage(cx.ledger().tx(), patient, &key, channel).await?;
        coverage.cover(&spans, horizon);
        sql::set_coverage(cx.ledger().change(), patient, &key, channel, &coverage).await?;
    }
    let id = cx.new_id();
    cx.record_for(by, plan, FILED, kind::EXPORT, None, id, &Filed { id: EntryId(id), told }, &[]).await
}
