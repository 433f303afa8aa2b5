//! A person stands for what an export says. Does not know receivers.
//! Invariant: whoever attests entered their password within five minutes, and sees all of what they attest.

use serde_json::Value;

use super::draft::{current, plan};
use super::model::Step;
use super::shapes::{Attestation, Attested};
use crate::kernel::base::limits::REASON_CHARS_MAX;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{EntryId, Fault, Refusal, Stop};
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Reply, Write};
use crate::kernel::log::Fact;
use crate::kernel::policy::Right;

/// Somebody stands for an export.
pub(super) const ATTESTED: &str = "export.attested";

/// `export.attest`
pub(super) async fn attest(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let fields = Fields(data);
    let found = super::keep::find(cx, fields.required_id("export")?).await?;
    cx.permit_patient(Right::Export, found.row.patient).await?;
    let plan = plan(cx, found.row.patient).await?;
    if let Some(reply) = cx.repeated(plan).await? {
        return Ok(reply);
    }
    let mut found = current(cx, fields).await?;
    let statement = fields.text("statement", REASON_CHARS_MAX)?;
    let statement = statement.ok_or_else(|| Refusal::invalid("statement", "Say what you stand for."))?;
    let state = found.state()?.after(Step::Attest)?;
    let (by, now, of_host) = (cx.subject().user, cx.now(), cx.subject().command_line);
    if found.view.attestations.iter().any(|one| one.by == by) {
        return Err(Refusal::conflict("You attested this export before.").into());
    }
    let adds = !found.view.attestations.is_empty();
    if !adds {
        (found.view.of_host, found.view.until) = (of_host, Some(now));
    }
    found.view.attestations.push(Attestation { by, at: rfc3339(now), statement: statement.clone() });
    if found.view.is_attested() && found.row.target.is_some() {
        found.row.next_at = Some(now);
    }
    found.write(cx, state).await?;
    let id = cx.new_id();
    let body = Attested {
        id: EntryId(id),
        export: found.row.id,
        target: found.row.target.clone(),
        format: found.row.form.clone(),
        statement,
        sha256: found.view.digest()?,
        adds,
    };
    cx.record(plan, ATTESTED, kind::EXPORT, None, id, &body).await?;
    Ok(Reply::Recorded)
}

/// What an attestation answers besides, from its entry alone.
pub(super) fn reply(fact: &Fact) -> Result<Data, Fault> {
    let Attested { export, .. } = fact.read()?;
    let mut more = Data::new();
    more.insert("export".into(), Value::from(export.to_string()));
    more.insert("state".into(), "attested".into());
    Ok(more)
}
