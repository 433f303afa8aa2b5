//! `[targets.NAME]`: receivers of a site that the chart is filed to. Floor 0: what may be set and what can stand together; how one is
//! reached is the chart's.
//! Invariant: no secret stands here. Tokens and keys lie in files, or in variables of the environment that are named.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// Characters of a target's name: it stands in commands, entries and metrics.
const NAME_CHARS_MAX: usize = 40;

/// A receiver.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Target {
    /// A FHIR R4 server.
    Fhir(FhirTarget),
    /// A receiver of HL7 v2 over MLLP.
    Mllp(MllpTarget),
    /// A folder that another program takes files from.
    Folder(FolderTarget),
}

impl<'de> Deserialize<'de> for Target {
    /// By its `kind`, so that what is wrong is said of the settings of that kind.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let table = toml::Table::deserialize(from)?;
        let read = match table.get("kind").and_then(toml::Value::as_str) {
            Some("fhir") => table.try_into().map(Self::Fhir),
            Some("mllp") => table.try_into().map(Self::Mllp),
            Some("folder") => table.try_into().map(Self::Folder),
            _ => return Err(D::Error::custom("kind must be fhir, mllp or folder")),
        };
        read.map_err(|error: toml::de::Error| D::Error::custom(error.message()))
    }
}

/// The word that says which kind a target is: one type a kind, so that each is told apart by it.
macro_rules! kind {
    ($name:ident, $text:literal) => {
        #[doc = concat!("`kind = \"", $text, "\"`.")]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            #[doc = "The only one."]
            #[default]
            #[serde(rename = $text)]
            Only,
        }
    };
}
kind!(FhirKind, "fhir");
kind!(MllpKind, "mllp");
kind!(FolderKind, "folder");

/// What a FHIR server takes: fhir-mapping's layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Clinical notes only, each by itself.
    #[default]
    NoteOnly,
    /// Notes, and the discrete resources in transactions.
    Full,
    /// Notes, and urgent messages as the inboxes of charts take them.
    Inbox,
    /// The signed document.
    Document,
}

/// How we say who we are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sign {
    /// Not at all.
    #[default]
    None,
    /// By a token that does not change.
    Bearer,
    /// By SMART Backend Services.
    Smart,
}

/// A FHIR R4 server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FhirTarget {
    /// `fhir`.
    pub kind: FhirKind,
    /// Its base, such as `https://chart.example/fhir`; without TLS on this machine only.
    pub url: String,
    /// What it takes.
    #[serde(default)]
    pub profile: Profile,
    /// How we say who we are.
    #[serde(default)]
    pub auth: Sign,
    /// `bearer`: the file that holds the token, read at each use.
    pub token_file: Option<PathBuf>,
    /// `bearer`: or the variable of the environment.
    pub token_env: Option<String>,
    /// `smart`: our name there.
    pub client_id: Option<String>,
    /// `smart`: where tokens are given; the server's `/.well-known/smart-configuration` says it if none.
    pub token_url: Option<String>,
    /// `smart`: the key our assertions are signed with (PEM, PKCS #8): P-384, or RSA for a server that takes RS384 alone. Not the key that signs documents.
    pub key_file: Option<PathBuf>,
    /// `smart`: or the variable of the environment.
    pub key_env: Option<String>,
    /// `smart`: what is asked for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Entries of one transaction; conditional ones are why some servers stop at 8.
    #[serde(default = "entries_max")]
    pub entries_max: u32,
    /// Seconds until an answer is given up.
    #[serde(default = "timeout_seconds")]
    pub timeout_seconds: u32,
    /// A patient that the server does not know is made there.
    #[serde(default)]
    pub create_patient: bool,
    /// PEM: the authorities whose certificates count, instead of those of this machine.
    pub ca_file: Option<PathBuf>,
}

const fn entries_max() -> u32 {
    100
}

const fn timeout_seconds() -> u32 {
    60
}

/// What a retraction becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cancel {
    /// The document is cancelled.
    #[default]
    T11,
    /// The document is replaced by a notice, where the receiver does not cancel.
    T10,
}

/// What documents come as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Documents: MDM.
    #[default]
    #[serde(rename = "MDM")]
    Mdm,
    /// Results: ORU^R01, where the site has no interface for documents.
    #[serde(rename = "ORU")]
    Oru,
}

/// A receiver of HL7 v2 over MLLP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MllpTarget {
    /// `mllp`.
    pub kind: MllpKind,
    /// `HOST:PORT`.
    pub address: String,
    /// Over TLS: only a receiver on this machine may go without.
    #[serde(default)]
    pub tls: bool,
    /// The name its certificate is for; the host of `address` if none.
    pub server_name: Option<String>,
    /// PEM: the authorities whose certificates count, instead of those of this machine.
    pub ca_file: Option<PathBuf>,
    /// PEM: the certificate we show, if the receiver asks for one.
    pub certificate: Option<PathBuf>,
    /// PEM: its key.
    pub key: Option<PathBuf>,
    /// Seconds until an acknowledgement is given up.
    #[serde(default = "ack_seconds")]
    pub ack_seconds: u32,
    /// MSH-5.
    pub receiving_application: Option<String>,
    /// MSH-6.
    pub receiving_facility: Option<String>,
    /// What a retraction becomes.
    #[serde(default)]
    pub cancel: Cancel,
    /// What documents come as.
    #[serde(default)]
    pub message: Message,
}

const fn ack_seconds() -> u32 {
    30
}

/// A folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderTarget {
    /// `folder`.
    pub kind: FolderKind,
    /// It must be there, on a disk of its reader's.
    pub path: PathBuf,
    /// The form of the files, by the name `export --format` gives it.
    #[serde(default = "format")]
    pub format: String,
}

fn format() -> String {
    "fhir-document".to_owned()
}

/// The forms a folder can take: one file each, or messages.
const FORMATS: &[&str] = &["ndjson", "fhir-transaction", "fhir-document", "html", "pdf", "hl7v2"];

/// Every `[targets.NAME]`, by its name.
pub type Targets = BTreeMap<String, Target>;

/// Whether all of them can stand.
pub(super) fn check(targets: &Targets) -> Result<(), String> {
    for (name, target) in targets {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(good) {
            return Err("[targets.NAME] takes small letters, digits and hyphens, at most 40.".into());
        }
        let checked = match target {
            Target::Fhir(fhir) => fhir.check(),
            Target::Mllp(mllp) => mllp.check(),
            Target::Folder(folder) => folder.check(),
        };
        checked.map_err(|reason| format!("[targets.{name}] {reason}"))?;
    }
    Ok(())
}

/// Whether a host is this machine.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a URL can be gone to: TLS, or this machine; nothing secret in it.
fn check_url(name: &str, text: &str) -> Result<(), String> {
    let wrong = || format!("{name} is no https:// URL.");
    let url: http::Uri = text.parse().map_err(|_| wrong())?;
    let (scheme, host) = (url.scheme_str().ok_or_else(wrong)?, url.host().ok_or_else(wrong)?);
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) || url.query().is_some() {
        return Err(format!("{name} holds no user, no password and no query."));
    }
    match scheme {
        "https" => Ok(()),
        "http" if is_loopback(host) => Ok(()),
        "http" => Err(format!("{name} must begin with https:// unless it is on this machine.")),
        _ => Err(wrong()),
    }
}

impl FhirTarget {
    fn check(&self) -> Result<(), String> {
        check_url("url", &self.url)?;
        if let Some(url) = &self.token_url {
            check_url("token_url", url)?;
        }
        if !(1..=500).contains(&self.entries_max) || !(1..=600).contains(&self.timeout_seconds) {
            return Err("entries_max must be 1 to 500, timeout_seconds 1 to 600.".into());
        }
        let (token, key) = (self.token_file.is_some() || self.token_env.is_some(), self.key());
        let smart = self.client_id.is_some() || key || self.token_url.is_some() || !self.scopes.is_empty();
        match self.auth {
            Sign::None if token || smart => Err("auth = \"none\" takes no token, key or client.".into()),
            Sign::Bearer if smart => Err("auth = \"bearer\" takes a token only.".into()),
            Sign::Bearer if self.token_file.is_some() == self.token_env.is_some() => {
                Err("auth = \"bearer\" wants token_file or token_env, one of them.".into())
            }
            Sign::Smart if token || self.client_id.is_none() || !key || self.scopes.is_empty() => {
                Err("auth = \"smart\" wants client_id, scopes and key_file or key_env, and takes no token.".into())
            }
            _ => Ok(()),
        }
    }

    const fn key(&self) -> bool {
        self.key_file.is_some() != self.key_env.is_some()
    }
}

impl MllpTarget {
    /// The host of `address`, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    fn check(&self) -> Result<(), String> {
        let port = self.address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
        if port.is_none_or(|(host, port)| host.is_empty() || port == 0) {
            return Err("address must be HOST:PORT.".into());
        }
        if !self.tls && !is_loopback(self.host()) {
            return Err("tls = true is demanded of a receiver that is not on this machine.".into());
        }
        if !self.tls && (self.ca_file.is_some() || self.certificate.is_some() || self.server_name.is_some()) {
            return Err("ca_file, certificate and server_name belong to tls = true.".into());
        }
        if self.certificate.is_some() != self.key.is_some() {
            return Err("certificate and key are set together.".into());
        }
        if !(1..=600).contains(&self.ack_seconds) {
            return Err("ack_seconds must be 1 to 600.".into());
        }
        Ok(())
    }
}

impl FolderTarget {
    fn check(&self) -> Result<(), String> {
        if !self.path.is_absolute() {
            return Err("path must be absolute.".into());
        }
        if !FORMATS.contains(&self.format.as_str()) {
            return Err(format!("format must be one of {}.", FORMATS.join(", ")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn refused(text: &str) -> String {
        Config::parse(text).unwrap_err()
    }

    #[test]
    fn targets_are_read_with_what_they_need() {
        let text = "[targets.ehr]\nkind = \"fhir\"\nurl = \"https://chart.example/fhir\"\nprofile = \"full\"\n\
                    auth = \"smart\"\nclient_id = \"us\"\nkey_file = \"/etc/key.pem\"\nscopes = [\"system/Patient.rs\"]\n\
                    [targets.old]\nkind = \"mllp\"\naddress = \"10.0.0.7:2575\"\ntls = true\ncancel = \"T10\"\n\
                    [targets.drop]\nkind = \"folder\"\npath = \"/srv/out\"\nformat = \"pdf\"\n";
        let config = Config::parse(text).unwrap();
        let [Target::Folder(folder), Target::Fhir(fhir), Target::Mllp(mllp)] =
            config.targets.values().collect::<Vec<_>>()[..]
        else {
            panic!("three kinds");
        };
        assert_eq!((fhir.profile, fhir.entries_max, fhir.create_patient), (Profile::Full, 100, false));
        assert_eq!((mllp.cancel, mllp.ack_seconds, mllp.host()), (Cancel::T10, 30, "10.0.0.7"));
        assert_eq!(folder.format, "pdf");
        // What is laid over it from the environment keeps them.
        let again =
            config.clone().with_environment([("CARETHREAD_PLAN_UNSORTED_HOURS".into(), "5".into())].into_iter());
        assert_eq!(again.unwrap().targets, config.targets);
    }

    #[test]
    fn a_wrong_target_is_told_by_line_or_by_name() {
        for (line, reason) in [
            ("kind = \"fhir\"\nurl = \"https://a/fhir\"\nprofil = \"full\"", "unknown field `profil`"),
            ("kind = \"fax\"\nurl = \"https://a/fhir\"", "line 1, column 1"),
            ("url = \"https://a/fhir\"", "kind must be"),
            ("kind = \"fhir\"", "missing field `url`"),
            ("kind = \"fhir\"\nurl = \"https://a/fhir\"\nentries_max = \"many\"", "expected u32"),
            ("kind = \"mllp\"\naddress = \"a:1\"\nurl = \"https://a/fhir\"", "unknown field `url`"),
            ("kind = \"fhir\"\nurl = \"http://chart.example/fhir\"", "[targets.x] url must begin with https://"),
            ("kind = \"fhir\"\nurl = \"https://me:secret@chart.example/fhir\"", "no password"),
            ("kind = \"fhir\"\nurl = \"https://a/fhir\"\nauth = \"bearer\"", "token_file or token_env"),
            ("kind = \"fhir\"\nurl = \"https://a/fhir\"\nauth = \"smart\"\nclient_id = \"us\"", "key_file or key_env"),
            ("kind = \"fhir\"\nurl = \"https://a/fhir\"\ntoken_file = \"/t\"", "auth = \"none\""),
            ("kind = \"mllp\"\naddress = \"10.0.0.7:2575\"", "tls = true"),
            ("kind = \"mllp\"\naddress = \"10.0.0.7\"\ntls = true", "HOST:PORT"),
            ("kind = \"folder\"\npath = \"out\"", "absolute"),
            ("kind = \"folder\"\npath = \"/out\"\nformat = \"fax\"", "format must be"),
        ] {
            let told = refused(&format!("[targets.x]\n{line}"));
            assert!(told.contains(reason) && !told.contains("secret"), "{line}: {told}");
        }
        assert!(refused("[targets.\"A b\"]\nkind = \"folder\"\npath = \"/out\"").contains("small letters"));
    }

    #[test]
    fn this_machine_is_told_from_others() {
        let here = ["localhost", "127.0.0.1", "[::1]", "::1", "127.9.9.9"];
        assert!(here.into_iter().all(is_loopback));
        assert!(!["10.0.0.7", "localhost.example", "127.0.0.1.example"].into_iter().any(is_loopback));
    }
}
