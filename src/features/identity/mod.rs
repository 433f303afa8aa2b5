//! Identity: accounts, organizations, sign-in, sessions, personal access tokens.
//! Does not know: any other feature, sockets, HTTP. What a person may do is policy's; the rows of `person` are written through the
//! ledger.
//! Invariants: passwords and tokens are kept as hashes only and never printed; what ends a session or narrows a person raises their
//! epoch in the same transaction. Nothing here is an entry of the record.
//!
//! The face: [`Door`] for credentials (one a server), [`keep`] for its housekeeping, the look-ups of `directory`, [`found`] for `init`.
//!
//! Internal ops, run by [`Engine::run_internal`] with the subject that [`operator`] gives: `organization.add` {name, custodian},
//! `user.set` {handle, name?, profession?, organization?, roles?}, `user.suspend` `user.restore` {handle}, `user.list`,
//! `token.revoke` {id}, `token.list` {handle?}. `user.add`, `user.password` and `token.issue` want a hash: call
//! [`Door::add_user`], [`Door::set_password`], [`Door::issue_token`].

mod accounts;
mod addresses;
mod credentials;
mod directory;
mod door;
mod identifiers;
mod keep;
mod lockout;
mod lookup;
mod model;
mod password;
mod sessions;
pub mod shapes;
pub mod sql;
#[cfg(test)]
mod tests;
mod tickets;

use serde_json::Value;

pub use addresses::{by_address, is_address};
pub use directory::{
    Account, OPERATOR, Organization, account, accounts, all_accounts, by_handle, find, names, operator, organizations,
};
pub use door::{Door, SignedIn};
pub use identifiers::{Identifier, identifiers};
pub use keep::keep;

use crate::kernel::base::{Code, Fault, Micros, Refusal, Stop, UserId};
use crate::kernel::engine::shape::Nothing;
use crate::kernel::engine::{Boxed, Data, Engine, Face, Feature, Ledger, Op, Read, Reply, Write};
use crate::kernel::log::Fact;
use crate::kernel::policy::{PersonKind, Roles, Subject};

/// Accounts, sessions, tokens.
pub struct Identity;

const CATEGORY: &str = "identity";

const OPS: &[Op] = &[
    Op::write("organization.add", CATEGORY).internal(),
    Op::write("operator.add", CATEGORY).internal(),
    Op::write("user.add", CATEGORY).internal(),
    Op::write("user.set", CATEGORY).internal(),
    Op::write("user.suspend", CATEGORY).internal(),
    Op::write("user.restore", CATEGORY).internal(),
    Op::write("user.password", CATEGORY).internal(),
    Op::read("user.list", CATEGORY).internal(),
    Op::read("user.find", CATEGORY).takes::<shapes::FindUser>().answers::<shapes::Found>(),
    Op::read("site.get", CATEGORY).takes::<Nothing>().answers::<shapes::SiteFacts>(),
    Op::write("user.email", CATEGORY).internal(),
    Op::read("user.emails", CATEGORY).internal(),
    Op::write("user.identifier", CATEGORY).internal(),
    Op::read("user.identifiers", CATEGORY).internal(),
    Op::write("token.issue", CATEGORY).internal(),
    Op::write("token.revoke", CATEGORY).internal(),
    Op::read("token.list", CATEGORY).internal(),
    Op::write("session.open", CATEGORY).internal(),
    Op::write("session.touch", CATEGORY).internal(),
    Op::write("password.set", CATEGORY).internal(),
    Op::write("password.rehash", CATEGORY).internal(),
    Op::write("password.change", CATEGORY).takes::<shapes::ChangePassword>().answers::<shapes::Ended>(),
    Op::read("session.list", CATEGORY).takes::<Nothing>().answers::<shapes::Sessions>(),
    Op::write("session.end", CATEGORY).takes::<shapes::EndSession>().answers::<shapes::Ended>(),
];

impl Feature for Identity {
    fn face(&self) -> Face {
        Face { name: "identity", ops: OPS, events: &[], reacts_to: &[], clear: &[] }
    }

    fn write<'a>(&'a self, cx: &'a mut Write<'_>, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Reply, Stop>> {
        Box::pin(async move {
            match op {
                "organization.add" => accounts::add_organization(cx, data).await,
                "operator.add" => accounts::add_operator(cx).await,
                "user.add" => accounts::add_user(cx, data).await,
                "user.set" => accounts::set_user(cx, data).await,
                "user.suspend" => accounts::suspend(cx, data).await,
                "user.restore" => accounts::restore(cx, data).await,
                "user.email" => addresses::change(cx, data).await,
                "user.identifier" => identifiers::change(cx, data).await,
                "user.password" => accounts::set_password(cx, data).await,
                "token.issue" => sessions::issue_token(cx, data).await,
                "token.revoke" => sessions::revoke_token(cx, data).await,
                "session.open" => sessions::open(cx, data).await,
                "session.touch" => sessions::touch(cx, data).await,
                "session.end" => sessions::end(cx, data).await,
                "password.set" => sessions::change_password(cx, data).await,
                "password.rehash" => sessions::rehash(cx, data).await,
                // Hashing would hold the committer up: `Door::run` takes this one before it gets here.
                _ => Err(Refusal::new(Code::UnknownOp).field("op").detail("This op is not taken here.").into()),
            }
        })
    }

    fn read<'a>(&'a self, cx: &'a mut Read, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Value, Stop>> {
        Box::pin(async move {
            match op {
                "user.emails" => addresses::list(cx, data).await,
                "user.identifiers" => identifiers::list(cx, data).await,
                "user.find" => lookup::find(cx, data).await,
                "site.get" => lookup::site(cx).await,
                "user.list" => sessions::list_users(cx).await,
                "token.list" => sessions::list_tokens(cx, data).await,
                "session.list" => sessions::list(cx).await,
                _ => Err(Fault::Defect("an op that identity does not read").into()),
            }
        })
    }

    fn project<'a>(&'a self, _ledger: &'a mut Ledger, _fact: &'a Fact) -> Boxed<'a, Result<(), Fault>> {
        Box::pin(async { Err(Fault::Integrity("identity has no entries")) })
    }

    fn reply(&self, _fact: &Fact) -> Data {
        Data::new()
    }
}

/// Founds a deployment: the built-in user and, if named, the organization that owns the deployment. For `init`, on empty tables.
///
/// # Errors
/// `conflict` if it was founded before.
pub async fn found(engine: &Engine, organization: Option<&str>) -> Result<Subject, Refusal> {
    let founder = Subject {
        user: UserId(engine.world().id()),
        kind: PersonKind::Service,
        roles: Roles::default(),
        session: None,
        address: None,
        epoch: 0,
        stepped_up_until: Micros::MAX,
        command_line: true,
    };
    engine.run_internal(founder, "operator.add", Data::new()).await?;
    let subject = operator(engine, None).await?;
    if let Some(name) = organization {
        let mut data = Data::new();
        data.insert("name".into(), name.into());
        data.insert("custodian".into(), true.into());
        engine.run_internal(subject.clone(), "organization.add", data).await?;
    }
    Ok(subject)
}
