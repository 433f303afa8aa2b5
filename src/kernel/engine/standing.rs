//! The standing at a patient and the persons, as the commands of a batch change them. All but new patients, channels and persons is
//! called from `project`, so that a rebuild from the log does it again.

use std::sync::Arc;

use uuid::Uuid;

use super::Boxed;
use super::ledger::Ledger;
use crate::kernel::base::{ChannelId, Fault, Micros, PatientId, UserId};
use crate::kernel::crypto::chain;
use crate::kernel::policy::{self, Access, Audience, ChannelKind, Cover, Member, Responsibility};
use crate::kernel::store::{Tx, append};

impl Ledger {
    /// A new patient, with nobody standing at it; called from `write` before its first entry. The data key is committed already.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_patient(&mut self, patient: PatientId) -> Result<(), Fault> {
        let mut access = Access::new(patient);
        policy::sql::add_patient(self.change(), &mut access).await?;
        self.put_access(access);
        Ok(())
    }

    /// A new channel, at `seq` 0 and with no audience yet; called from `write` before its first entry.
    ///
    /// # Errors
    /// The database's, or no such patient.
    pub async fn add_channel(&mut self, patient: PatientId, channel: ChannelId) -> Result<(), Fault> {
        let genesis = chain::genesis(self.shared.vault.deployment(), patient, channel);
        let new = append::NewChannel { id: channel.0, patient: patient.0, head: genesis, epoch: 0, at: 0 };
        append::channel(self.change(), &new).await?;
        Ok(())
    }

    fn put_access(&mut self, access: Access) {
        self.changed.insert(access.patient);
        self.access.insert(access.patient, Arc::new(access));
    }

    /// Works on the standing of a patient and raises its version, once a batch.
    async fn with_access<F>(&mut self, patient: PatientId, work: F) -> Result<(), Fault>
    where
        F: for<'a> FnOnce(&'a mut Tx, &'a mut Access) -> Boxed<'a, sqlx::Result<()>> + Send,
    {
        let access = self.access(patient).await?.ok_or(Fault::Integrity("an entry of a patient that is not there"))?;
        let mut access = Access::clone(&access);
        self.changes += 1;
        let fresh = !self.changed.contains(&patient) && !self.rebuilding;
        let tx = self.tx.as_mut().expect("features are called inside a batch");
        if fresh {
            policy::sql::raise_patient(tx, &mut access).await?;
        }
        work(tx, &mut access).await?;
        self.put_access(access);
        Ok(())
    }

    /// A channel gets its audience. Called from `project`.
    ///
    /// # Errors
    /// The database's.
    pub async fn open_channel(
        &mut self,
        patient: PatientId,
        channel: ChannelId,
        audience: Audience,
        kind: ChannelKind,
    ) -> Result<(), Fault> {
        self.with_access(patient, move |tx, access| {
            Box::pin(policy::sql::open_channel(tx, access, channel, audience, kind))
        })
        .await
    }

    /// A channel's audience narrows, or it is archived. Called from `project`.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_channel(
        &mut self,
        patient: PatientId,
        channel: ChannelId,
        audience: Audience,
        archived: bool,
    ) -> Result<(), Fault> {
        self.with_access(patient, move |tx, access| {
            Box::pin(policy::sql::set_channel(tx, access, channel, audience, archived))
        })
        .await
    }

    /// `user` reads `channel` from `from` on. Called from `project`.
    ///
    /// # Errors
    /// The database's.
    pub async fn begin_reading(
        &mut self,
        patient: PatientId,
        channel: ChannelId,
        user: UserId,
        from: i64,
    ) -> Result<(), Fault> {
        self.with_access(patient, move |tx, access| {
            Box::pin(policy::sql::begin_reading(tx, access, channel, user, from))
        })
        .await?;
        self.raise(user).await
    }

    /// `user` reads `channel` up to `to` and no further. Called from `project`.
    ///
    /// # Errors
    /// The database's.
    pub async fn end_reading(
        &mut self,
        patient: PatientId,
        channel: ChannelId,
        user: UserId,
        to: i64,
    ) -> Result<(), Fault> {
        self.with_access(patient, move |tx, access| Box::pin(policy::sql::end_reading(tx, access, channel, user, to)))
            .await?;
        self.raise(user).await
    }

    /// Whether `user` stood at this patient before and left.
    ///
    /// # Errors
    /// The database's.
    pub async fn was_member(&mut self, patient: PatientId, user: UserId) -> Result<bool, Fault> {
        Ok(policy::sql::was_member(self.tx(), patient, user).await?)
    }

    /// A membership begins. `row` is the entry that records it, `role` the sealed role text. Called from `project`.
    ///
    /// # Errors
    /// The database's.
    pub async fn join(
        &mut self,
        patient: PatientId,
        row: Uuid,
        user: UserId,
        member: Member,
        since: Micros,
        role: Vec<u8>,
    ) -> Result<(), Fault> {
        self.with_access(patient, move |tx, access| {
            Box::pin(policy::sql::join(tx, access, row, user, member, since, role))
        })
        .await?;
        self.raise(user).await
    }

    /// A membership changes. Called from `project`.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_member(
        &mut self,
        patient: PatientId,
        user: UserId,
        member: Member,
        role: Vec<u8>,
    ) -> Result<(), Fault> {
        self.with_access(patient, move |tx, access| Box::pin(policy::sql::set_member(tx, access, user, member, role)))
            .await?;
        self.raise(user).await
    }

    /// The lead is laid on or taken from a member. Called from `project`.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_lead(&mut self, patient: PatientId, user: UserId, lead: bool) -> Result<(), Fault> {
        self.with_access(patient, move |tx, access| Box::pin(policy::sql::set_lead(tx, access, user, lead))).await?;
        self.raise(user).await
    }

    /// A membership ends. Called from `project`.
    ///
    /// # Errors
    /// The database's.
    pub async fn leave(&mut self, patient: PatientId, user: UserId, at: Micros) -> Result<(), Fault> {
        self.with_access(patient, move |tx, access| Box::pin(policy::sql::leave(tx, access, user, at))).await?;
        self.raise(user).await
    }

    /// Somebody is stood in for, instead of how it was said before; `None` ends it. Called from `project`.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_cover(
        &mut self,
        patient: PatientId,
        responsibility: Responsibility,
        absent: UserId,
        cover: Option<Cover>,
    ) -> Result<(), Fault> {
        let former = self.access(patient).await?.map(|access| access.covers.clone()).unwrap_or_default();
        self.with_access(patient, move |tx, access| {
            Box::pin(policy::sql::set_cover(tx, access, responsibility, absent, cover))
        })
        .await?;
        let of_it = former.iter().filter(|held| held.responsibility == responsibility && held.absent == absent);
        for user in of_it.map(|held| held.stand_in).chain(cover.map(|cover| cover.stand_in)) {
            self.raise(user).await?;
        }
        Ok(())
    }

    /// The record becomes read-only, or is written to again. Called from `project`.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_closed(&mut self, patient: PatientId, closed: bool) -> Result<(), Fault> {
        self.with_access(patient, move |tx, access| Box::pin(policy::sql::set_closed(tx, access, closed))).await
    }

    /// A new account, as policy sees it.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_person(
        &mut self,
        user: UserId,
        kind: policy::PersonKind,
        roles: policy::Roles,
    ) -> Result<(), Fault> {
        self.persons.push(user);
        policy::sql::add_person(self.change(), user, kind.number(), roles.0, true).await?;
        Ok(())
    }

    /// Changes an account, as policy sees it, and raises its epoch.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_person(
        &mut self,
        user: UserId,
        kind: policy::PersonKind,
        roles: policy::Roles,
        active: bool,
    ) -> Result<(), Fault> {
        self.persons.push(user);
        policy::sql::set_person(self.change(), user, kind.number(), roles.0, active).await?;
        Ok(())
    }

    /// Raises a person's `authz_epoch`: with the commit, whatever was decided for them before is decided again.
    ///
    /// # Errors
    /// The database's.
    pub async fn raise(&mut self, user: UserId) -> Result<(), Fault> {
        if !self.rebuilding && !self.persons.contains(&user) {
            self.persons.push(user);
            policy::sql::raise(self.change(), user).await?;
        }
        Ok(())
    }
}

/// What policy holds in memory of every account, for the start.
pub(super) async fn load_persons(shared: &super::Shared) -> Result<(), Fault> {
    let mut tx = shared.db.read().await?;
    for row in policy::sql::persons(&mut tx).await? {
        let kind = policy::PersonKind::from_number(row.kind).ok_or(Fault::Integrity("unknown kind of person"))?;
        shared.book.put_person(row.id, kind, policy::Roles(row.roles), row.active, row.epoch);
    }
    Ok(())
}
