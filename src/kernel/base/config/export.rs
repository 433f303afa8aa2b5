//! `[export]`: what leaves the record for charts.

use serde::{Deserialize, Serialize};

use super::targets::{Cancel, Message, Target};

/// Chart export.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Export {
    /// `system` of the identifiers we give; `urn:uuid:<deployment>` if none.
    pub identifier_system: Option<String>,
    /// `[export.hl7v2]`
    pub hl7v2: Hl7v2,
}

/// Which message a document goes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hl7Message {
    /// Medical document management: MDM^T02, T06, T10, T11.
    #[default]
    Mdm,
    /// Unsolicited results, where a site has no MDM interface: ORU^R01.
    Oru,
}

/// Messages of HL7 v2.5.1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hl7v2 {
    /// MSH-3.
    pub sending_application: String,
    /// MSH-4.
    pub sending_facility: String,
    /// MSH-5.
    pub receiving_application: String,
    /// MSH-6.
    pub receiving_facility: String,
    /// Whose the numbers of documents and persons are: a name or a URI.
    pub namespace: String,
    /// The `system` of the patient identifier that comes first in PID-3; the first one of the record if none.
    pub identifier_system: Option<String>,
    /// What the receiver calls whoever gave that identifier; the `system` itself if none.
    pub authority: Option<String>,
    /// MDM or ORU.
    pub message: Hl7Message,
    /// The receiver takes MDM^T11; else what was taken back is replaced by a notice (T10).
    pub cancel: bool,
}

impl Hl7v2 {
    /// As a receiver takes them: what its own section says goes before this one.
    #[must_use]
    pub fn towards(&self, target: Option<&Target>) -> Self {
        let Some(Target::Mllp(receiver)) = target else { return self.clone() };
        let or = |own: &Option<String>, common: &String| own.clone().unwrap_or_else(|| common.clone());
        Self {
            receiving_application: or(&receiver.receiving_application, &self.receiving_application),
            receiving_facility: or(&receiver.receiving_facility, &self.receiving_facility),
            message: match receiver.message {
                Message::Mdm => Hl7Message::Mdm,
                Message::Oru => Hl7Message::Oru,
            },
            cancel: receiver.cancel == Cancel::T11,
            ..self.clone()
        }
    }
}

impl Default for Hl7v2 {
    fn default() -> Self {
        Self {
            sending_application: "CARETHREAD".into(),
            sending_facility: String::new(),
            receiving_application: String::new(),
            receiving_facility: String::new(),
            namespace: "CARETHREAD".into(),
            identifier_system: None,
            authority: None,
            message: Hl7Message::Mdm,
            cancel: false,
        }
    }
}
