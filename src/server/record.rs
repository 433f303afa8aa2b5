//! Where the record of a data folder lies: in the folder, or on PostgreSQL.
//! A folder whose record is on PostgreSQL remembers that, and of which deployment it is, in a file `database`; it does not remember the
//! URL, which may hold a password.

use std::fs;
use std::io;

use anyhow::{Context, bail};

use super::Folder;
use crate::kernel::base::config::{Config, DatabaseUrl};
use crate::kernel::base::id::DeploymentId;
use crate::kernel::store::{Location, Schema, postgres};

/// Before the deployment's id in the file `database`.
const DEPLOYMENT: &str = "deployment ";

/// Two databases and what they are called in sentences.
#[derive(Clone, Debug)]
pub struct Record {
    /// The record.
    pub record: Location,
    /// Wrapped keys.
    pub keys: Location,
    /// What the folder says the deployment is; nothing where the record itself is in the folder.
    pub deployment: Option<DeploymentId>,
}

/// Tables that were there before `init`.
#[derive(Debug, Default)]
pub struct Before {
    record: Vec<String>,
    keys: Vec<String>,
}

impl Record {
    /// Of a folder that `init` is about to make.
    #[must_use]
    pub fn new(folder: &Folder, config: &Config) -> Self {
        match &config.database.url {
            None => Self::in_folder(folder),
            Some(url) => Self::on_postgres(url, config, None),
        }
    }

    /// Of a folder that is there.
    ///
    /// # Errors
    /// A sentence when the folder and the configuration disagree.
    pub fn of(folder: &Folder, config: &Config) -> anyhow::Result<Self> {
        folder.demand_initialised()?;
        let path = folder.path().display();
        match (deployment(folder)?, &config.database.url) {
            (None, None) => Ok(Self::in_folder(folder)),
            (None, Some(_)) => {
                bail!(
                    "{path} holds its record itself: it is not used with a database. Make another folder with `carethread init`."
                )
            }
            (Some(_), None) => bail!(
                "The record of {path} is on PostgreSQL: name it by `[database] url`, CARETHREAD_DATABASE_URL or --database."
            ),
            (Some(deployment), Some(url)) => Ok(Self::on_postgres(url, config, Some(deployment))),
        }
    }

    fn in_folder(folder: &Folder) -> Self {
        Self { record: Location::File(folder.record()), keys: Location::File(folder.keys()), deployment: None }
    }

    fn on_postgres(url: &DatabaseUrl, config: &Config, deployment: Option<DeploymentId>) -> Self {
        let keys = config.database.keys_url.as_ref().unwrap_or(url);
        let location = |url: &DatabaseUrl| Location::Postgres(url.secret().clone());
        Self { record: location(url), keys: location(keys), deployment }
    }

    /// What the record is called in a sentence.
    #[must_use]
    pub const fn record_name(&self) -> &'static str {
        match self.record {
            Location::File(_) => "record.db",
            Location::Postgres(_) => "The database",
        }
    }

    /// What the keys are called in a sentence.
    #[must_use]
    pub const fn keys_name(&self) -> &'static str {
        match self.keys {
            Location::File(_) => "keys.db",
            Location::Postgres(_) => "The database of the keys",
        }
    }

    /// Gives what is in the databases before anything of ours is.
    ///
    /// # Errors
    /// A sentence when a deployment is there already, or a database cannot be used. Nothing is changed.
    pub async fn demand_free(&self) -> anyhow::Result<Before> {
        if let Location::Postgres(url) = &self.record
            && postgres::holds_deployment(url).await.context("The database cannot be used")?
        {
            bail!("The database holds a deployment already; nothing was changed.");
        }
        if let Location::Postgres(url) = &self.keys
            && postgres::holds_keys(url).await.context("The database of the keys cannot be used")?
        {
            bail!("The database holds the keys of a deployment already; nothing was changed.");
        }
        let mut before = Before::default();
        if let (Location::Postgres(record), Location::Postgres(keys)) = (&self.record, &self.keys) {
            before.record = postgres::tables(record, Schema::Record).await?;
            before.keys = postgres::tables(keys, Schema::Keys).await?;
        }
        Ok(before)
    }

    /// Takes away what was made in the databases since.
    pub async fn forget_made(&self, before: &Before) {
        let (Location::Postgres(record), Location::Postgres(keys)) = (&self.record, &self.keys) else { return };
        let forgotten = async {
            postgres::forget_made(record, Schema::Record, &before.record).await?;
            postgres::forget_made(keys, Schema::Keys, &before.keys).await
        };
        if let Err(error) = forgotten.await {
            tracing::error!(%error, "What was made in the database cannot be taken away: drop it and create it again");
        }
    }

    /// Has the folder remember that its record is elsewhere.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn remember(&self, folder: &Folder, deployment: DeploymentId) -> anyhow::Result<()> {
        if matches!(self.record, Location::File(_)) {
            return Ok(());
        }
        let text = format!(
            "# The record of this folder is on PostgreSQL. Which one: [database] url, CARETHREAD_DATABASE_URL or --database.\n\
             {DEPLOYMENT}{deployment}\n"
        );
        fs::write(folder.elsewhere(), text)
            .with_context(|| format!("{} cannot be written", folder.elsewhere().display()))
    }

    /// # Errors
    /// A sentence when the database is another deployment's than the folder.
    pub fn demand_same(&self, found: DeploymentId) -> anyhow::Result<()> {
        match self.deployment.filter(|expected| *expected != found) {
            None => Ok(()),
            Some(expected) => bail!("The database belongs to deployment {found}, the data folder to {expected}."),
        }
    }
}

/// What the file `database` says; nothing if it is not there.
fn deployment(folder: &Folder) -> anyhow::Result<Option<DeploymentId>> {
    let path = folder.elsewhere();
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
    };
    let named = text.lines().find_map(|line| line.strip_prefix(DEPLOYMENT)?.trim().parse().ok());
    named.map(Some).with_context(|| format!("{} names no deployment", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::base::World;

    #[test]
    fn a_folder_and_its_configuration_agree() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new(parent.path());
        let (files, mut server) = (Config::default(), Config::default());
        server.database.url = Some(DatabaseUrl::new("postgres://a@h/d"));
        let refused = |config: &Config| Record::of(&folder, config).unwrap_err().to_string();
        assert!(refused(&server).contains("is no data folder"));
        let deployment = DeploymentId(World::system().id());
        let record = Record::new(&folder, &server);
        record.remember(&folder, deployment).unwrap();
        assert!(refused(&files).contains("is on PostgreSQL"));
        let found = Record::of(&folder, &server).unwrap();
        assert!(found.demand_same(deployment).is_ok());
        assert!(found.demand_same(DeploymentId(World::system().id())).is_err());
        fs::write(folder.elsewhere(), "deployment of nobody").unwrap();
        assert!(refused(&server).contains("names no deployment"));
        fs::remove_file(folder.elsewhere()).unwrap();
        fs::write(folder.record(), "").unwrap();
        fs::write(folder.keys(), "").unwrap();
        assert!(refused(&server).contains("holds its record itself"));
        assert!(matches!(Record::of(&folder, &files).unwrap().record, Location::File(_)));
    }
}
