//! What can be typed about what leaves the record: exports, and reports of it.

use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Args, Subcommand, ValueEnum};

use crate::features::chart::Format;

/// `export`
#[derive(Args, Debug)]
pub struct Export {
    /// The patient: an id, or `SYSTEM|VALUE` of an identifier
    #[arg(long, value_name = "P")]
    pub patient: String,
    /// In which form
    #[arg(long, value_enum, required_unless_present = "target", conflicts_with = "target")]
    pub format: Option<Format>,
    /// A new file, or a new folder for `proof` and `hl7v2`
    #[arg(long, value_name = "PATH", required_unless_present = "target", conflicts_with = "target")]
    pub out: Option<PathBuf>,
    /// To this configured target, instead of a file
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// Stand for it with this statement, in the name of `--by`: then it is filed
    #[arg(long, value_name = "STATEMENT", requires = "target", conflicts_with = "format", required_unless_present_any = ["format", "dry_run"])]
    pub attest: Option<String>,
    /// Say what the target will keep or lose, and file nothing
    #[arg(long, requires = "target", conflicts_with_all = ["attest", "format"])]
    pub dry_run: bool,
    /// The file of this attested draft, in the form it was drafted in: the draft says the rest
    #[arg(long, value_name = "ID", requires = "format", conflicts_with_all = ["target", "since", "item", "class", "entry", "channel", "from", "to", "with_patient", "purpose"])]
    pub export: Option<String>,
    /// Only what this format has not had yet
    #[arg(long, value_enum)]
    pub since: Option<Since>,
    /// About this plan item only; may be repeated
    #[arg(long, value_name = "ID")]
    pub item: Vec<String>,
    /// Of this record class only (care_record, coordination, operational); may be repeated
    #[arg(long, value_name = "CLASS")]
    pub class: Vec<String>,
    /// This entry only; may be repeated
    #[arg(long, value_name = "ID")]
    pub entry: Vec<String>,
    /// This channel only; may be repeated
    #[arg(long, value_name = "ID")]
    pub channel: Vec<String>,
    /// Entries at or after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Entries at or before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// `fhir-transaction`: with an entry for the patient
    #[arg(long, conflicts_with = "target")]
    pub with_patient: bool,
    /// Why it is taken out: stands in the accounting of disclosures
    #[arg(long, value_name = "TEXT")]
    pub purpose: Option<String>,
}

/// From where an export goes on.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Since {
    /// The last export of this format
    Last,
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Ndjson => "One event a line",
            Self::FhirTransaction => "A transaction Bundle of FHIR R4",
            Self::FhirDocument => "A signed document Bundle of FHIR R4",
            Self::Html => "A page to read",
            Self::Pdf => "A document to print",
            Self::Hl7v2 => "HL7 v2 messages",
            Self::Proof => "What anyone can check",
        };
        Some(PossibleValue::new(self.text()).help(help))
    }
}

/// `report ..`
#[derive(Subcommand, Debug)]
pub enum Report {
    /// Messages that went to the wrong patient and were moved: who had been sent them, who had read them
    WrongPatient {
        /// Of or to this patient only: an id, or `SYSTEM|VALUE` of an identifier
        #[arg(long, value_name = "P")]
        patient: Option<String>,
    },
    /// Where the record of a patient went: date, who took it out, who received it, what, why
    Disclosures {
        /// The patient: an id, or `SYSTEM|VALUE` of an identifier
        #[arg(long, value_name = "P")]
        patient: String,
        /// In which form
        #[arg(long, value_enum, default_value_t = Table::Csv)]
        format: Table,
        /// At or after this time (RFC 3339)
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// At or before this time (RFC 3339)
        #[arg(long, value_name = "TIME")]
        to: Option<String>,
    },
}

/// The form of a report.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Table {
    /// A table (RFC 4180)
    Csv,
    /// A Bundle of FHIR R4 AuditEvents
    Fhir,
}
