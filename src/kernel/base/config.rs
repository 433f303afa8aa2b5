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
    /// `[heads]`
    pub heads: Heads,
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

    /// Lays variables of the environment over it: `CARETHREAD_SECTION_NAME`, such as `CARETHREAD_LIMITS_IDLE_MINUTES`. The value is
    /// TOML, or a text that needs no quotes. Variables of no section are passed over: they belong to the command line.
    ///
    /// # Errors
    /// A sentence that names the variable.
    pub fn with_environment(self, variables: impl Iterator<Item = (String, String)>) -> Result<Self, String> {
        let mut table = toml::Table::try_from(&self).map_err(|error| error.to_string())?;
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
        if !(1..=86_400).contains(&self.heads.sign_seconds) {
            return Err("[heads] sign_seconds must be 1 to 86400.".into());
        }
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            return Err("[tls] certificate and key are set together.".into());
        }
        Ok(())
    }
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
}
