//! Configuration: built-in < TOML file < environment < flags. Unknown names are errors, so that a typing mistake is not a silent default.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::limits::Limits;

/// Everything a site may set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
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
    /// `[export]`
    pub export: Export,
    /// `[plan]`
    pub plan: Plan,
    /// `[keys]`
    pub keys: Keys,
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
}

impl Default for Notes {
    fn default() -> Self {
        Self { late_after_minutes: 60 }
    }
}

/// Chart export.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Export {
    /// `system` of the identifiers we give; `urn:uuid:<deployment>` if none.
    pub identifier_system: Option<String>,
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

impl Config {
    /// Reads TOML.
    ///
    /// # Errors
    /// A sentence with line and column.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
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
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            return Err("[tls] certificate and key are set together.".into());
        }
        Ok(())
    }
}
