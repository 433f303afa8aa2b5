//! One message of HL7 v2.5.1 from one document: MDM^T02, T06, T10, T11 (chapter 9) or ORU^R01 (chapter 7) with the same OBX segments.
//! Pure: the same document gives the same bytes, and other words of it, or others who stand for it, another control id. Segments end in CR.
//! Does not know: the record, MLLP, files.

use uuid::Uuid;

use crate::kernel::base::Micros;
use crate::kernel::base::config::{Hl7Message, Hl7v2};
use crate::kernel::base::world::rfc3339_millis;
use crate::kernel::crypto::{hash, hex};

/// The register of practitioners of the United States.
const US_NPI: &str = "http://hl7.org/fhir/sid/us-npi";

/// What happens to a document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// It is new (T02).
    Original,
    /// It adds to its parent (T06).
    Addendum,
    /// It replaces its parent (T10).
    Replacement,
    /// Nothing of its parent holds any more (T11).
    Cancel,
}

impl Act {
    /// The trigger event (table 0003).
    #[must_use]
    pub const fn event(self) -> &'static str {
        match self {
            Self::Original => "T02",
            Self::Addendum => "T06",
            Self::Replacement => "T10",
            Self::Cancel => "T11",
        }
    }
}

/// A code of LOINC with its name.
pub type Loinc = (&'static str, &'static str);

/// A person as the record knows them: one line, not split into family and given name, which it does not hold.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// Our id.
    pub id: Uuid,
    /// Name as one line.
    pub name: String,
    /// Profession in words.
    pub profession: Option<String>,
    /// What others know them by: a URI, and the number.
    pub number: Option<(String, String)>,
}

impl Person {
    /// Name and profession, for people to read.
    #[must_use]
    pub fn described(&self) -> String {
        let profession = self.profession.as_deref().map(|words| format!(", {words}")).unwrap_or_default();
        format!("{}{profession}", self.name)
    }
}

/// A number of the patient at some place.
#[derive(Clone, PartialEq, Eq)]
pub struct PatientNumber {
    /// A URI, or a name the site chose for it.
    pub authority: String,
    /// The number.
    pub value: String,
    /// Table 0203: `MR`, or `PI` for ours.
    pub class: &'static str,
}

/// Whose document it is. No `Debug`.
#[derive(Clone)]
pub struct Patient {
    /// The first one is what the receiver knows the patient by.
    pub numbers: Vec<PatientNumber>,
    /// Name as one line.
    pub name: String,
    /// A FHIR `date`.
    pub birth_date: Option<String>,
    /// administrative-gender of FHIR.
    pub gender: Option<String>,
}

/// One document. No `Debug`: it holds what is said of a patient.
pub struct Document {
    /// Its unique number; of a replacement, addendum or cancellation one of its own, but for [`Act::Cancel`], which has its parent's.
    pub id: Uuid,
    /// Grows with what it says: newest entry that was taken into account.
    pub version: i64,
    /// What happens.
    pub act: Act,
    /// What it adds to or replaces.
    pub parent: Option<Uuid>,
    /// Table 0270: `PR` progress note, `CN` consultation.
    pub class: &'static str,
    /// What kind of document.
    pub code: Loinc,
    /// When it took place.
    pub activity: Micros,
    /// When it was documented.
    pub documented: Micros,
    /// Everyone who wrote, in order.
    pub authors: Vec<Person>,
    /// Who attests it, when; without anybody the document is documented (`DO`), not authenticated (`AU`). Whose signature the law of a
    /// place asks for (`LA`) is not known here.
    pub attested: Vec<(Person, Micros)>,
    /// The care plan item: id, title.
    pub item: Option<(Uuid, String)>,
    /// For a listed part of the team only.
    pub restricted: bool,
    /// What it is called.
    pub title: String,
    /// What it says; lines end in `\n`.
    pub text: String,
    /// SHA-256 of what it says but for who stands for it: the same for the same state of the record.
    pub said: [u8; 32],
}

/// Text of a field: separators and line ends escaped (chapter 2.7), control characters replaced, so that nothing in it ends a field, a
/// segment or an MLLP frame.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push_str("\\E\\"),
            '|' => out.push_str("\\F\\"),
            '^' => out.push_str("\\S\\"),
            '&' => out.push_str("\\T\\"),
            '~' => out.push_str("\\R\\"),
            '\r' => {
                if chars.peek() == Some(&'\n') {
                    chars.next();
                }
                out.push_str("\\.br\\");
            }
            '\n' => out.push_str("\\.br\\"),
            '\t' => out.push('\t'),
            c if c.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}

/// A text that has one line in its field.
fn one_line(text: &str) -> String {
    escape(&text.replace(['\r', '\n', '\t'], " "))
}

/// *TS* in UTC to the millisecond.
fn timestamp(at: Micros) -> String {
    let digits: String = rfc3339_millis(at).chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    format!("{digits}+0000")
}

/// *HD* inside a component: a name, or the universal id of a URI.
fn authority(of: &str) -> String {
    match of.strip_prefix("urn:oid:") {
        Some(oid) => format!("&{}&ISO", one_line(oid)),
        None if of.contains(':') => format!("&{}&URI", one_line(of)),
        None => one_line(of),
    }
}

/// *XCN*: number, name as shown (type `D`), assigning authority, resource identifier.
fn person(person: &Person, settings: &Hl7v2) -> String {
    let profession = person.profession.as_deref().map(one_line).unwrap_or_default();
    let name = one_line(&person.name);
    let (number, authority, class) = match &person.number {
        // Table 0203 has a type for these alone.
        Some((system, number)) if system == US_NPI => (one_line(number), "NPI".to_owned(), "NPI"),
        Some((system, number)) => (one_line(number), authority(system), ""),
        None => (person.id.to_string(), authority(&settings.namespace), "RI"),
    };
    format!("{number}^{name}^^^^^{profession}^^{authority}^D^^^{class}")
}

fn people(of: &[Person], settings: &Hl7v2) -> String {
    of.iter().map(|one| person(one, settings)).collect::<Vec<_>>().join("~")
}

/// MSH-10, at most 20 characters: the same for the same segments about the same state of a document, another for others. Whoever stands
/// for it is in them.
fn control_id(document: &Document, segments: &[String]) -> String {
    let told = format!("{} {} {}", document.id, document.act.event(), document.version);
    let told = format!("{told}\r{}", segments.join("\r"));
    format!("CT{}", hex(&hash(told.as_bytes())[..9]).to_uppercase())
}

/// The message. `sent` is the time of the message (MSH-7): whoever sends it again sends these bytes again.
#[must_use]
pub fn message(document: &Document, patient: &Patient, settings: &Hl7v2, sent: Micros) -> Vec<u8> {
    let event = document.act.event();
    let (kind, told, mut segments) = match settings.message {
        Hl7Message::Mdm => {
            let kind = format!("MDM^{event}^MDM_{}", structure(document.act));
            (kind, Some(format!("EVN|{event}|{}", timestamp(sent))), vec![txa(document, settings)])
        }
        Hl7Message::Oru => ("ORU^R01^ORU_R01".to_owned(), None, vec![obr(document, settings)]),
    };
    segments.splice(0..0, [pid(patient), "PV1|1|N".into()]);
    if settings.message == Hl7Message::Oru || document.act != Act::Cancel {
        segments.extend(observations(document));
    }
    let header = header(settings, &kind, &control_id(document, &segments), sent);
    let mut bytes = Vec::new();
    for line in std::iter::once(header).chain(told).chain(segments) {
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\r');
    }
    bytes
}

/// Message structures of chapter 9: T06 and T10 have that of T02, T11 that of T01.
const fn structure(act: Act) -> &'static str {
    match act {
        Act::Cancel => "T01",
        Act::Original | Act::Addendum | Act::Replacement => "T02",
    }
}

fn header(settings: &Hl7v2, kind: &str, control_id: &str, sent: Micros) -> String {
    let named = [
        &settings.sending_application,
        &settings.sending_facility,
        &settings.receiving_application,
        &settings.receiving_facility,
    ];
    let named: Vec<String> = named.into_iter().map(|name| one_line(name)).collect();
    let (named, sent) = (named.join("|"), timestamp(sent));
    format!("MSH|^~\\&|{named}|{sent}||{kind}|{control_id}|P|2.5.1||||||UNICODE UTF-8")
}

fn pid(patient: &Patient) -> String {
    let number =
        |one: &PatientNumber| format!("{}^^^{}^{}", one_line(&one.value), authority(&one.authority), one.class);
    let numbers: Vec<String> = patient.numbers.iter().map(number).collect();
    let birth: String =
        patient.birth_date.as_deref().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    // Table 0001; what the record does not know is left empty.
    let sex = match patient.gender.as_deref() {
        Some("male") => "M",
        Some("female") => "F",
        Some("other") => "O",
        Some("unknown") => "U",
        _ => "",
    };
    format!("PID|1||{}||{}^^^^^^D||{birth}|{sex}", numbers.join("~"), one_line(&patient.name))
}

fn document_number(id: Uuid, settings: &Hl7v2) -> String {
    format!("{id}^{}", one_line(&settings.namespace))
}

fn txa(document: &Document, settings: &Hl7v2) -> String {
    let authors = people(&document.authors, settings);
    let parent = document.parent.map(|parent| document_number(parent, settings)).unwrap_or_default();
    // Name and time of each (*PPN*, component 15).
    let signed = document.attested.iter().map(|(who, at)| format!("{}^^{}", person(who, settings), timestamp(*at)));
    let signed: Vec<String> = signed.collect();
    let fields = [
        "1".into(),
        document.class.into(),
        "TEXT".into(),
        timestamp(document.activity),
        authors.clone(),
        timestamp(document.documented),
        timestamp(document.documented),
        String::new(),
        authors,
        String::new(),
        String::new(),
        document_number(document.id, settings),
        parent,
        String::new(),
        String::new(),
        one_line(&document.title),
        if document.attested.is_empty() { "DO".into() } else { "AU".into() },
        if document.restricted { "R".into() } else { "U".into() },
        if document.act == Act::Cancel { "CA".into() } else { "AV".into() },
        String::new(),
        String::new(),
        signed.join("~"),
    ];
    format!("TXA|{}", fields.join("|")).trim_end_matches('|').to_owned()
}

fn obr(document: &Document, settings: &Hl7v2) -> String {
    let (code, name) = document.code;
    let mut fields = vec![String::new(); 25];
    let status = if matches!(document.act, Act::Replacement | Act::Cancel) { "C" } else { "F" };
    let told = [
        (1, "1".into()),
        (
            3,
            document_number(document.parent.filter(|_| document.act != Act::Addendum).unwrap_or(document.id), settings),
        ),
        (4, format!("{code}^{name}^LN")),
        (7, timestamp(document.activity)),
        (22, timestamp(document.documented)),
        (25, status.into()),
    ];
    for (at, value) in told {
        fields[at - 1] = value;
    }
    format!("OBR|{}", fields.join("|"))
}

/// The item, then the text.
fn observations(document: &Document) -> Vec<String> {
    let (code, name) = document.code;
    let corrected = matches!(document.act, Act::Replacement | Act::Cancel);
    let status = if corrected { "C" } else { "F" };
    let item = document.item.as_ref().map(|(id, title)| format!("{id}^{}^L", one_line(title)));
    let item = item.map(|item| format!("CE|18776-5^Plan of care note^LN|1|{item}||||||{status}"));
    let text = escape(document.text.trim_end());
    let text = format!("FT|{code}^{name}^LN|2|{text}||||||{status}|||{}", timestamp(document.activity));
    let all = item.into_iter().chain([text]).enumerate();
    all.map(|(at, one)| format!("OBX|{}|{one}", at + 1)).collect()
}
