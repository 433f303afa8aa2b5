//! A patient comes to be: key, plan channel, the entry others follow, the lead.

use super::entries::{self, Identity, REGISTERED, Registered, StandingItems};
use super::{identifier_mac, sql, team};
use crate::kernel::base::{ChannelId, Fault, ItemId, PatientId, Stop, UserId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::crypto::seal::Purpose;
use crate::kernel::engine::{Ledger, Write};
use crate::kernel::log::Fact;
use crate::kernel::policy::{Audience, ChannelKind, Member, Responsibility};

/// Written once, never changed: a patient's identity has one version.
pub(super) const REVISION: i64 = 1;

/// Registers a patient with everything every patient starts with; `lead` joins the team and leads it.
/// Whoever calls this has permitted it and holds no other patient by it.
///
/// # Errors
/// The database's, or no key can be made.
pub async fn register(cx: &mut Write<'_>, identity: Identity, lead: Option<UserId>) -> Result<Registered, Stop> {
    let patient = PatientId(cx.new_id());
    let body = Registered {
        id: patient,
        identity,
        channel: ChannelId(cx.new_id()),
        items: StandingItems { whole: ItemId(cx.new_id()), unsorted: ItemId(cx.new_id()) },
        care_team: ChannelId(cx.new_id()),
        lead,
    };
    // Committed before the transaction that uses it; an orphan is harmless.
    cx.ledger().vault().clone().create_patient(patient).await?;
    cx.ledger().add_patient(patient).await?;
    cx.ledger().add_channel(patient, body.channel).await?;
    cx.record(body.channel, REGISTERED, kind::IDENTITY, None, patient.0, &body).await?;
    if let Some(user) = lead {
        let member = Member { lead: true, ..Member::default() };
        let membership = entries::Membership {
            id: None,
            patient,
            user,
            role: "Lead".to_owned(),
            responsibilities: vec![Responsibility::Lead],
            family: false,
            until: None,
            reason: None,
            cover: None,
        };
        team::join(cx, membership, &member).await?;
    }
    Ok(body)
}

/// Follows `patient.registered`.
pub(super) async fn project(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let body: Registered = fact.read()?;
    ledger.open_channel(body.id, body.channel, Audience::Staff, ChannelKind::Plan).await?;
    let plain = serde_json::to_vec(&body.identity).map_err(|_| Fault::Defect("an identity is not JSON"))?;
    let vault = ledger.vault().clone();
    let identity = vault.seal_view(body.id, Purpose::Identity, body.id.0, REVISION, &plain).await?;
    let row = sql::ViewRow { id: body.id, plan_channel: body.channel, revision: REVISION, identity };
    sql::add(ledger.change(), &row).await?;
    for identifier in &body.identity.identifiers {
        let mac = identifier_mac(&vault, &identifier.system, &identifier.value)?;
        sql::add_identifier(ledger.change(), &mac, body.id).await?;
    }
    Ok(())
}
