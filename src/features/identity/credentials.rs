//! Credentials made and changed: what of the [`Door`] draws a token or hashes a password before the op that keeps it.
//! Does not know: how anybody signs in.

use serde_json::{Value, json};

use super::directory::name_of;
use super::door::{Door, told};
use super::model::{STEP_UP_LASTS, folded};
use super::password::{self, Place};
use super::sessions::wrong_credential;
use super::sql::{self, AccountRow};
use crate::kernel::base::{Code, Fault, Refusal, Secret, UserId};
use crate::kernel::crypto::hex;
use crate::kernel::crypto::token::{PERSONAL_PREFIX, new_token, token_hash};
use crate::kernel::engine::Data;
use crate::kernel::engine::fields::Fields;
use crate::kernel::policy::Subject;
use crate::kernel::policy::audit::Draft;

impl Door {
    /// `password.change` {old, new}: ends the person's other sessions; the one it came by stays and has stepped up.
    ///
    /// # Errors
    /// `invalid` for a password that may not be chosen, `unauthenticated` for a wrong old one, and the same delays and refusals as at sign-in.
    pub async fn change_password(&self, subject: Subject, data: Data) -> Result<Value, Refusal> {
        let setting = match self.prepare_change(&subject, &data).await {
            Ok(setting) => setting,
            Err(refusal) => {
                let row = Draft {
                    category: "identity",
                    outcome: refusal.code.text(),
                    ..Draft::of(&subject, "password.change")
                };
                self.engine().audit(vec![row]).await?;
                return Err(refusal);
            }
        };
        let session = subject.session;
        let answer = self.internal(subject, "password.set", setting).await?;
        // A token has no idle log-off, and never steps up.
        let state = session.and_then(|session| self.engine().book().session(session));
        if let Some(state) = state.filter(|state| state.idle.is_some()) {
            state.step_up(self.now() + STEP_UP_LASTS);
        }
        Ok(answer)
    }

    async fn prepare_change(&self, subject: &Subject, data: &Data) -> Result<Value, Refusal> {
        let text = |field| {
            let missing = || Refusal::invalid(field, "This field is required.");
            Fields(data).string(field)?.map(|text| Secret::new(text.to_owned())).ok_or_else(missing)
        };
        let (old, new) = (text("old")?, text("new")?);
        let row = self.read_account(subject.user).await.map_err(told)?.ok_or_else(wrong_credential)?;
        let name = name_of(&self.engine().shared().vault, &row).map_err(told)?;
        let organization = self.organization_names(&row).await.map_err(told)?;
        password::judge("new", new.expose(), &[&row.handle, &name, &organization])?;
        if old.expose() == new.expose() {
            return Err(Refusal::invalid("new", "This is the old password."));
        }
        let attempted = self.attempt(&folded(&row.handle), &old, subject.address).await;
        let (row, place) = attempted.map_err(|refusal| match refusal.code {
            Code::Unauthenticated => refusal.field("old"),
            _ => refusal,
        })?;
        let hash = self.hashing().hash(&place, &new).await.map_err(told)?;
        Ok(json!({"verified": row.password_hash, "password_hash": hash}))
    }

    /// Adds an account for the command line: `user.add`, with `password` in the clear or none.
    ///
    /// # Errors
    /// As the op, and `invalid` for a password that may not be chosen.
    pub async fn add_user(
        &self,
        subject: Subject,
        mut data: Data,
        password: Option<Secret<String>>,
    ) -> Result<Value, Refusal> {
        if let Some(password) = password {
            let text = |field| Fields(&data).string(field).map(Option::unwrap_or_default);
            let custodian = self.custodian().await.map_err(told)?;
            let organization = Fields(&data).string("organization")?.unwrap_or(&custodian);
            password::judge("password", password.expose(), &[text("handle")?, text("name")?, organization])?;
            let hash = self.hash(&password).await?;
            data.insert("password_hash".into(), hash.into());
        }
        self.engine().run_internal(subject, "user.add", data).await
    }

    /// Sets a password for the command line: every session of the account ends.
    ///
    /// # Errors
    /// `not_found`, field `handle`; `invalid` for a password that may not be chosen.
    pub async fn set_password(
        &self,
        subject: Subject,
        handle: &str,
        password: Secret<String>,
    ) -> Result<Value, Refusal> {
        let row = self.read_handle(&folded(handle)).await.map_err(told)?;
        let row = row.ok_or_else(|| Refusal::not_found().field("handle").detail("There is no user of this handle."))?;
        let name = name_of(&self.engine().shared().vault, &row).map_err(told)?;
        let organization = self.organization_names(&row).await.map_err(told)?;
        password::judge("password", password.expose(), &[&row.handle, &name, &organization])?;
        let hash = self.hash(&password).await?;
        self.internal(subject, "user.password", json!({"handle": row.handle, "password_hash": hash})).await
    }

    /// `token.issue` {handle, label, days, allow}: the answer carries the token, which is not to be had again.
    ///
    /// # Errors
    /// As the op.
    pub async fn issue_token(&self, subject: Subject, mut data: Data) -> Result<Value, Refusal> {
        let token = new_token(self.engine().world(), PERSONAL_PREFIX);
        data.insert("token_hash".into(), hex(&token_hash(token.expose())).into());
        let mut answer = self.engine().run_internal(subject, "token.issue", data).await?;
        answer["token"] = token.expose().as_str().into();
        Ok(answer)
    }

    pub(super) async fn rehash(&self, subject: Subject, place: &Place, password: &Secret<String>, verified: &str) {
        let Ok(hash) = self.hashing().hash(place, password).await else { return };
        let setting = json!({"verified": verified, "password_hash": hash});
        if let Err(refusal) = self.internal(subject, "password.rehash", setting).await {
            // The old hash still opens the account; the next sign-in tries again.
            tracing::warn!(code = refusal.code.text(), "A password hash was not renewed");
        }
    }

    async fn hash(&self, password: &Secret<String>) -> Result<String, Refusal> {
        let place = self.hashing().place()?;
        self.hashing().hash(&place, password).await.map_err(told)
    }

    async fn read_account(&self, user: UserId) -> Result<Option<AccountRow>, Fault> {
        let mut tx = self.engine().shared().db.read().await?;
        Ok(sql::account(&mut tx, user).await?)
    }

    /// What a password must not hold of where the person works.
    async fn organization_names(&self, row: &AccountRow) -> Result<String, Fault> {
        let mut tx = self.engine().shared().db.read().await?;
        let rows = sql::organizations(&mut tx).await?;
        let theirs = rows.into_iter().find(|organization| Some(organization.id) == row.organization);
        Ok(theirs.map_or_else(String::new, |organization| organization.name))
    }

    async fn custodian(&self) -> Result<String, Fault> {
        let mut tx = self.engine().shared().db.read().await?;
        let rows = sql::organizations(&mut tx).await?;
        Ok(rows.into_iter().find(|row| row.custodian).map_or_else(String::new, |row| row.name))
    }
}
