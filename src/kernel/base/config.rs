//! Configuration: built-in < TOML file < environment < flags. Unknown names are errors, so that a typing mistake is not a silent default.

mod export;
pub mod site;
pub mod targets;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::limits::Limits;
use super::phi::Secret;
pub use export::{Export, Hl7Message, Hl7v2};

/// Everything a site may set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[database]`
    pub database: Database,
    /// `[limits]`
    pub limits: Limits,
    /// `[http]`
    pub http: Http,
    /// `[tls]`
    pub tls: Tls,
    /// `[sign_in]`
    pub sign_in: SignIn,
    /// `[notes]`
    pub notes: Notes,
    /// `[handoffs]`
    pub handoffs: Handoffs,
    /// `[asks]`
    pub asks: Asks,
    /// `[export]`
    pub export: Export,
    /// `[plan]`
    pub plan: Plan,
    /// `[keys]`
    pub keys: Keys,
    /// `[heads]`
    pub heads: Heads,
    /// `[mail]`
    pub mail: Mail,
    /// `[files]`
    pub files: Files,
    /// `[site]`
    pub site: site::Site,
    /// `[targets.NAME]`
    pub targets: targets::Targets,
}

/// Where the record lies, if not in the data folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// A PostgreSQL database for the record; files of the data folder if none.
    pub url: Option<DatabaseUrl>,
    /// One of its own for the wrapped keys; the schema `carethread_keys` beside the record if none.
    pub keys_url: Option<DatabaseUrl>,
}

/// `postgres://USER:PASSWORD@HOST/DATABASE`. It holds a password: what is printed or written of it says only that it is set.
#[derive(Clone, Debug)]
pub struct DatabaseUrl(Secret<String>);

impl DatabaseUrl {
    /// What is shown in its place.
    pub const SHOWN: &str = "postgres://...";

    /// Wraps; whether it is one is looked at with the rest of the configuration.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Secret::new(text.to_owned()))
    }

    /// The named exit: for connecting.
    #[must_use]
    pub const fn secret(&self) -> &Secret<String> {
        &self.0
    }

    fn is_postgres(&self) -> bool {
        ["postgres://", "postgresql://"].iter().any(|scheme| self.0.expose().starts_with(scheme))
    }
}

impl PartialEq for DatabaseUrl {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose() == other.0.expose()
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::SHOWN)
    }
}

impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

impl Database {
    /// As members of a TOML table, with what [`Serialize`] does not show.
    fn exposed(&self) -> toml::Table {
        let members = [("url", &self.url), ("keys_url", &self.keys_url)];
        let value = |url: &DatabaseUrl| toml::Value::String(url.0.expose().clone());
        members.into_iter().filter_map(|(name, url)| Some((name.to_owned(), value(url.as_ref()?)))).collect()
    }

    fn check(&self) -> Result<(), String> {
        for (name, url) in [("url", &self.url), ("keys_url", &self.keys_url)] {
            if url.as_ref().is_some_and(|url| !url.is_postgres()) {
                return Err(format!("[database] {name} must begin with postgres://."));
            }
        }
        if self.keys_url.is_some() && self.url.is_none() {
            return Err("[database] keys_url is set only beside url.".into());
        }
        Ok(())
    }
}

/// How browsers and proxies reach the server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Further allowed values of `Origin`, exact.
    pub origins: Vec<String>,
    /// Addresses whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<std::net::IpAddr>,
}

/// A certificate of the site instead of the one made on first start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM chain.
    pub certificate: Option<PathBuf>,
    /// PEM key.
    pub key: Option<PathBuf>,
}

/// Whether a second factor is demanded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondFactor {
    /// From accounts that enrolled one.
    #[default]
    WhenEnrolled,
    /// From every account.
    Required,
}

/// Sign-in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignIn {
    /// Whether a second factor is demanded.
    pub second_factor: SecondFactor,
}

/// Documented notes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Notes {
    /// Minutes after the end of a discussion from which its note is a late entry.
    pub late_after_minutes: u32,
    /// Minutes after which whoever opened a note is reminded to document it; later reminders come ever more rarely, at least daily.
    pub remind_minutes: u32,
}

impl Default for Notes {
    fn default() -> Self {
        Self { late_after_minutes: 60, remind_minutes: 30 }
    }
}

/// Handoffs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Handoffs {
    /// Minutes after which whoever is to answer an offer is reminded; after twice as many whoever leads is told.
    pub respond_minutes: u32,
}

impl Default for Handoffs {
    fn default() -> Self {
        Self { respond_minutes: 30 }
    }
}

/// How long a message waits for its answer before it is said again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Asks {
    /// Minutes, for `stat`.
    pub stat_minutes: u32,
    /// Minutes, for `urgent`.
    pub urgent_minutes: u32,
    /// Minutes, for `routine`.
    pub routine_minutes: u32,
}

impl Default for Asks {
    fn default() -> Self {
        Self { stat_minutes: 5, urgent_minutes: 30, routine_minutes: 1440 }
    }
}

/// The care plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// Hours after which a message on Unsorted is overdue.
    pub unsorted_hours: u32,
}

impl Default for Plan {
    fn default() -> Self {
        Self { unsorted_hours: 24 }
    }
}

/// Where the key-encryption key comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySource {
    /// The file `kek` in the data folder.
    #[default]
    File,
    /// The environment variable `CARETHREAD_KEK`.
    Environment,
}

/// Keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// Where the key-encryption key comes from.
    pub provider: KeySource,
    /// Name of the signer of heads; `carethread` followed by the deployment if none.
    pub signer: Option<String>,
}

/// Signed heads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Heads {
    /// Seconds between two rounds that sign where changed channels stand.
    pub sign_seconds: u32,
}

impl Default for Heads {
    fn default() -> Self {
        Self { sign_seconds: 600 }
    }
}

/// E-mail in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mail {
    /// The domain of the channels' addresses: the site's mail server hands over what is sent there.
    pub domain: String,
    /// Where mail is handed over by LMTP: `HOST:PORT`, or `unix:PATH`; nowhere if none.
    pub lmtp: Option<String>,
    /// Other machines may reach it, too: then the network between must be trusted.
    pub lmtp_open: bool,
    /// The name under which the site's mail server writes Authentication-Results; what others wrote there is not believed.
    pub authserv_id: Option<String>,
    /// Mails that wait for a person, of one channel; beyond it the mail server is told to try again later.
    pub waiting_max: u32,
}

impl Default for Mail {
    fn default() -> Self {
        Self { domain: "localhost".into(), lmtp: None, lmtp_open: false, authserv_id: None, waiting_max: 500 }
    }
}

/// Uploaded files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Files {
    /// Bytes of one file.
    pub bytes_max: u64,
    /// Bytes of all files of one channel.
    pub channel_bytes_max: u64,
    /// Bytes that one person uploads in 24 hours.
    pub user_bytes_per_day: u64,
    /// Percent of the disk in use beyond which nothing is uploaded.
    pub disk_percent_max: u8,
}

impl Default for Files {
    fn default() -> Self {
        Self { bytes_max: 100 << 20, channel_bytes_max: 1 << 30, user_bytes_per_day: 100 << 20, disk_percent_max: 80 }
    }
}

impl Config {
    /// Reads TOML.
    ///
    /// # Errors
    /// A sentence with line and column.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| told(text, &error))?;
        config.check()?;
        Ok(config)
    }

    /// Lays variables of the environment over it: `CARETHREAD_SECTION_NAME`, such as `CARETHREAD_LIMITS_IDLE_MINUTES`. The value is
    /// TOML, or a text that needs no quotes. Variables of no section are passed over: they belong to the command line.
    ///
    /// # Errors
    /// A sentence that names the variable.
    pub fn with_environment(self, variables: impl Iterator<Item = (String, String)>) -> Result<Self, String> {
        let mut table = toml::Table::try_from(&self).map_err(|error| error.to_string())?;
        table.insert("database".into(), self.database.exposed().into());
        let sections: Vec<String> = table.keys().cloned().collect();
        let mut config = self;
        for (variable, text) in variables {
            let Some(rest) = variable.strip_prefix("CARETHREAD_").map(str::to_ascii_lowercase) else { continue };
            let found =
                sections.iter().find_map(|section| Some((section, rest.strip_prefix(section)?.strip_prefix('_')?)));
            let Some((section, name)) = found else { continue };
            let value = format!("value = {text}")
                .parse::<toml::Table>()
                .ok()
                .and_then(|mut parsed| parsed.remove("value"))
                .unwrap_or(toml::Value::String(text));
            if let Some(toml::Value::Table(section)) = table.get_mut(section) {
                section.insert(name.to_owned(), value);
            }
            config = table
                .clone()
                .try_into()
                .map_err(|error: toml::de::Error| format!("{variable}: {}", error.message()))?;
            config.check().map_err(|reason| format!("{variable}: {reason}"))?;
        }
        Ok(config)
    }

    /// Whether the values can stand together.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self) -> Result<(), String> {
        self.database.check()?;
        targets::check(&self.targets)?;
        self.site.check(self.limits.text_chars)?;
        let limits = &self.limits;
        if !(2..=30).contains(&limits.idle_minutes) {
            return Err("[limits] idle_minutes must be 2 to 30.".into());
        }
        let positive = [
            limits.commands_per_second,
            limits.commands_burst,
            limits.inflight,
            limits.sockets_per_user,
            limits.sign_in_seconds,
        ];
        if positive.contains(&0) || limits.frame_bytes < 4096 || limits.text_chars == 0 {
            return Err("[limits] must be positive, frame_bytes at least 4096.".into());
        }
        if !(1..=86_400).contains(&self.heads.sign_seconds) {
            return Err("[heads] sign_seconds must be 1 to 86400.".into());
        }
        if self.files.disk_percent_max > 100 {
            return Err("[files] disk_percent_max must be 0 to 100.".into());
        }
        if !(1..=1440).contains(&self.notes.remind_minutes) {
            return Err("[notes] remind_minutes must be 1 to 1440.".into());
        }
        if !(1..=1440).contains(&self.handoffs.respond_minutes) {
            return Err("[handoffs] respond_minutes must be 1 to 1440.".into());
        }
        let asks = [self.asks.stat_minutes, self.asks.urgent_minutes, self.asks.routine_minutes];
        if asks.iter().any(|minutes| !(1..=525_600).contains(minutes)) {
            return Err("[asks] stat_minutes, urgent_minutes and routine_minutes must be 1 to 525600.".into());
        }
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            return Err("[tls] certificate and key are set together.".into());
        }
        Ok(())
    }
}

/// Why a text is not a configuration, with line and column. The line itself is shown unless there is a URL in it.
fn told(text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| span.start.min(text.len()));
    let before = text.get(..at).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    if !line.contains("://") {
        return error.to_string();
    }
    let (number, column) = (before.matches('\n').count() + 1, before[start..].chars().count() + 1);
    format!("TOML parse error at line {number}, column {column}: the line cannot be read; a URL stands in quotes.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> std::vec::IntoIter<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn the_environment_lies_over_the_file() {
        let file = Config::parse("[limits]\nidle_minutes = 20\nframe_bytes = 9000").unwrap();
        let pairs = [
            ("CARETHREAD_LIMITS_IDLE_MINUTES", "5"),
            ("CARETHREAD_SIGN_IN_SECOND_FACTOR", "required"),
            ("CARETHREAD_HTTP_ORIGINS", "[\"https://a.example\"]"),
            ("CARETHREAD_DATA", "x"),
            ("PATH", "x"),
        ];
        let config = file.with_environment(variables(&pairs)).unwrap();
        assert_eq!((config.limits.idle_minutes, config.limits.frame_bytes), (5, 9000));
        assert_eq!(config.sign_in.second_factor, SecondFactor::Required);
        assert_eq!(config.http.origins, ["https://a.example"]);
    }

    #[test]
    fn a_wrong_variable_is_named() {
        for pair in [
            ("CARETHREAD_LIMITS_IDLE_MINUTE", "5"),
            ("CARETHREAD_LIMITS_IDLE_MINUTES", "soon"),
            ("CARETHREAD_LIMITS_IDLE_MINUTES", "99"),
        ] {
            let refused = Config::default().with_environment(variables(&[pair])).unwrap_err();
            assert!(refused.contains(pair.0), "{refused}");
        }
    }

    #[test]
    fn a_wrong_file_is_told_by_line_and_column() {
        let refused = Config::parse("[limits]\nidle_minute = 20").unwrap_err();
        assert!(refused.contains("line 2, column 1"), "{refused}");
        assert!(Config::parse("[limits]\nidle_minutes = 1").is_err());
    }

    #[test]
    fn a_password_is_read_and_never_shown() {
        let file = Config::parse("[database]\nurl = \"postgres://a:hunter2@h/d\"").unwrap();
        let pairs =
            [("CARETHREAD_LIMITS_IDLE_MINUTES", "5"), ("CARETHREAD_DATABASE_KEYS_URL", "postgres://k:hunter3@h/k")];
        let config = file.with_environment(variables(&pairs)).unwrap();
        let exposed = |url: &Option<DatabaseUrl>| url.as_ref().unwrap().secret().expose().clone();
        assert_eq!(exposed(&config.database.url), "postgres://a:hunter2@h/d");
        assert_eq!(exposed(&config.database.keys_url), "postgres://k:hunter3@h/k");
        let shown = [toml::to_string(&config).unwrap(), format!("{config:?}"), serde_json::json!(config).to_string()];
        assert!(shown.iter().all(|shown| !shown.contains("hunter")), "{shown:?}");
        for wrong in [
            "[database]\nurl = postgres://a:hunter2@h/d",
            "[database]\nurl = \"mysql://a:hunter2@h/d\"",
            "[database]\nurl = \"postgres://a:hunter2@h/d",
            "[database]\nurl = [\"postgres://a:hunter2@h/d\"]",
            "[database]\nkeys_url = \"postgres://a:hunter2@h/d\"",
        ] {
            let refused = Config::parse(wrong).unwrap_err();
            assert!(!refused.contains("hunter"), "{refused}");
        }
        let pair = [("CARETHREAD_DATABASE_URL", "sqlite://a:hunter2@h/d")];
        let refused = Config::default().with_environment(variables(&pair)).unwrap_err();
        assert!(refused.contains("CARETHREAD_DATABASE_URL") && !refused.contains("hunter"), "{refused}");
    }
}
