//! What can be asked of an export, and what is answered.

use crate::kernel::base::{ChannelId, Micros, PatientId};

/// The form of an export.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// One event a line: every channel, every event.
    Ndjson,
    /// A transaction Bundle of FHIR R4.
    FhirTransaction,
    /// The proof folder.
    Proof,
}

impl Format {
    /// Every form this build knows.
    pub const ALL: [Self; 3] = [Self::Ndjson, Self::FhirTransaction, Self::Proof];

    /// As on the command line and in the record.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::FhirTransaction => "fhir-transaction",
            Self::Proof => "proof",
        }
    }

    /// From the command line.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.text() == text)
    }

    /// Whether it is a folder of files rather than one file.
    #[must_use]
    pub const fn is_folder(self) -> bool {
        matches!(self, Self::Proof)
    }
}

/// What is to be taken out.
#[derive(Clone, Debug)]
pub struct ExportRequest {
    /// Whose record.
    pub patient: PatientId,
    /// In which form.
    pub format: Format,
    /// These channels only; all the caller may read if none. In a proof the others stay as leaves.
    pub channels: Option<Vec<ChannelId>>,
    /// Entries at or after this time only.
    pub from: Option<Micros>,
    /// Entries at or before this time only.
    pub to: Option<Micros>,
    /// Only what this form has not had yet.
    pub since_last: bool,
    /// `fhir-transaction`: with an entry for the patient, to be made in a chart that does not know them.
    pub with_patient: bool,
}

impl ExportRequest {
    /// All of a patient's record in that form.
    #[must_use]
    pub const fn all(patient: PatientId, format: Format) -> Self {
        Self { patient, format, channels: None, from: None, to: None, since_last: false, with_patient: false }
    }
}

/// What was taken out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ExportSummary {
    /// Entries of the record.
    pub entries: u64,
    /// Channels they stand in.
    pub channels: u64,
}
