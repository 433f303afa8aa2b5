//! Patients and their care teams: who the patient is, who stands at them, as what and until when.
//! Does not know: plan items, messages. What every patient starts with besides is made by those who react to `patient.registered`.
//! Invariant: a change of membership is one entry in each channel the person reads, the plan channel's first.

mod cover;
mod entries;
mod keep;
mod model;
mod register;
pub mod shapes;
mod similar;
pub mod sql;
mod team;
#[cfg(test)]
mod tests;
mod views;

use serde_json::Value;

pub use entries::{Covered, Departure, Identifier, Identity, Membership, Registered, StandingItems};
pub use keep::{expire_due, keep};
pub use model::{IDENTIFIERS_MAX, is_date};
pub use register::register;
pub use team::{Passing, move_responsibilities, passing};

use crate::kernel::base::{Fault, PatientId, Stop};
use crate::kernel::crypto::lookup_mac;
use crate::kernel::crypto::seal::Purpose;
use crate::kernel::engine::shape::Nothing;
use crate::kernel::engine::{Boxed, Data, Face, Feature, Ledger, Op, Read, Reply, Write};
use crate::kernel::log::{Fact, Vault};
use crate::kernel::policy::Right;
use crate::kernel::store::Tx;

/// The record kind.
pub struct Patients;

const FACE: Face = Face {
    name: "patients",
    ops: &[
        Op::write("patient.register", "patient").takes::<Identity>().records::<shapes::RegisteredReply>(),
        Op::read("patient.get", "patient").takes::<shapes::OfPatient>().answers::<shapes::Patient>(),
        Op::read("patient.list", "patient").takes::<Nothing>().answers::<shapes::PatientList>(),
        Op::read("team.list", "team").takes::<shapes::OfPatient>().answers::<shapes::TeamList>(),
        Op::write("team.add", "team").takes::<model::Add>().records::<shapes::TeamReply>(),
        Op::write("team.change", "team").takes::<model::Change>().records::<shapes::TeamReply>(),
        Op::write("team.remove", "team").takes::<model::Remove>().records::<shapes::TeamReply>(),
        Op::write("team.cover", "team").takes::<cover::NameCover>().records::<shapes::TeamReply>(),
        Op::write("team.expire", "team").internal(),
    ],
    events: entries::EVENTS,
    reacts_to: &[],
    clear: &[sql::CLEAR_VIEW, sql::CLEAR_IDENTIFIER],
};

impl Feature for Patients {
    fn face(&self) -> Face {
        FACE
    }

    fn write<'a>(&'a self, cx: &'a mut Write<'_>, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Reply, Stop>> {
        Box::pin(async move {
            match op {
                "patient.register" => registered(cx, data).await,
                "team.add" => team::add(cx, data).await,
                "team.change" => team::change(cx, data).await,
                "team.remove" => team::remove(cx, data).await,
                "team.cover" => cover::name(cx, data).await,
                "team.expire" => team::expire(cx, data).await,
                _ => Err(Fault::Defect("an op of another feature").into()),
            }
        })
    }

    fn read<'a>(&'a self, cx: &'a mut Read, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Value, Stop>> {
        Box::pin(async move {
            match op {
                "patient.get" => views::get(cx, data).await,
                "patient.list" => views::list(cx).await,
                "team.list" => views::team(cx, data).await,
                _ => Err(Fault::Defect("an op of another feature").into()),
            }
        })
    }

    fn project<'a>(&'a self, ledger: &'a mut Ledger, fact: &'a Fact) -> Boxed<'a, Result<(), Fault>> {
        Box::pin(async move {
            match &*fact.event {
                entries::REGISTERED => register::project(ledger, fact).await,
                entries::JOINED => team::project_joined(ledger, fact).await,
                entries::CHANGED => team::project_changed(ledger, fact).await,
                entries::LEFT => team::project_left(ledger, fact).await,
                _ => Err(Fault::Defect("an event of another feature")),
            }
        })
    }

    fn reply(&self, fact: &Fact) -> Data {
        let mut reply = Data::new();
        reply.insert("patient".into(), fact.patient.to_string().into());
        let Ok(body) = fact.read::<Data>() else { return reply };
        let added: &[&str] = if &*fact.event == entries::REGISTERED { &["items", "care_team"] } else { &["user"] };
        for name in added {
            if let Some(value) = body.get(*name) {
                reply.insert((*name).to_owned(), value.clone());
            }
        }
        reply
    }
}

/// `patient.register`
async fn registered(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let identity = model::identity(data)?;
    cx.permit_server(Right::RegisterPatient)?;
    if let Some(reply) = cx.repeated(crate::kernel::base::ChannelId::ZERO).await? {
        return Ok(reply);
    }
    let lead = Some(cx.subject().user).filter(|_| !cx.subject().command_line);
    register(cx, identity, lead).await?;
    Ok(Reply::Recorded)
}

/// Who a patient is; none if there is no such patient. Whoever asks has been permitted to see the patient.
///
/// # Errors
/// The database's, or it does not open.
pub async fn identity_of(tx: &mut Tx, vault: &Vault, patient: PatientId) -> Result<Option<Identity>, Fault> {
    let Some(row) = sql::get(tx, patient).await? else { return Ok(None) };
    let plain = vault.open_view(patient, Purpose::Identity, patient.0, row.revision, &row.identity).await?;
    serde_json::from_slice(&plain).map(Some).map_err(|_| Fault::Integrity("an identity is not JSON"))
}

/// The patients known by an identifier, oldest first. Whether the caller may know is for policy to say of each.
///
/// # Errors
/// The database's, or sealed.
pub async fn by_identifier(tx: &mut Tx, vault: &Vault, system: &str, value: &str) -> Result<Vec<PatientId>, Fault> {
    let mac = identifier_mac(vault, system, value)?;
    Ok(sql::find(tx, &mac).await?)
}

/// The first version of the system key, for ever: a look-up must find what an older key wrote.
fn identifier_mac(vault: &Vault, system: &str, value: &str) -> Result<[u8; 32], Fault> {
    let key = vault.keyring().system_at(1)?;
    let mut bytes = (system.len() as u64).to_be_bytes().to_vec();
    bytes.extend_from_slice(system.as_bytes());
    bytes.extend_from_slice(value.as_bytes());
    Ok(lookup_mac(&key, "patient.identifier", &bytes))
}
