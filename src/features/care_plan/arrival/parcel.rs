//! A reading as the op takes it: what is shown of each patient, and every resource byte for byte.

use serde::{Deserialize, Serialize};

use super::super::entries::{Code, Content, Kind, Source, SourceNote};
use super::super::import::{self, ItemKind, ItemSource, KeptResource, PatientSource, Reading, ResourceKey};
use super::super::model::{ACTIVE, CODES_MAX, COMPLETED};
use crate::features::patients::{IDENTIFIERS_MAX, Identifier, Identity};
use crate::kernel::base::limits::TITLE_CHARS_MAX;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{PatientId, Phi};

/// Characters of the source's notes that an item's entry carries; all of them stay in the kept resource.
const NOTE_CHARS_MAX: usize = 16_000;

/// Everything one call brings.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Parcel {
    /// In the order of the reading.
    pub patients: Vec<ParcelPatient>,
    /// Of nobody: organizations, practitioners.
    pub loose: Vec<ParcelResource>,
    /// They are of this patient alone, who is registered: nobody else is brought in, and nobody new.
    #[serde(default)]
    pub only: Option<PatientId>,
    /// All that this server holds of the patient: what it held before, and holds no more, is gone there.
    #[serde(default)]
    pub server: Option<String>,
}

/// One patient of the source.
#[derive(Serialize, Deserialize)]
pub(super) struct ParcelPatient {
    /// Its key.
    pub key: String,
    /// Who they are.
    pub identity: Identity,
    /// Their plan.
    pub items: Vec<ParcelItem>,
    /// What makes no item, the Patient first.
    pub resources: Vec<ParcelResource>,
}

/// One item of the source.
#[derive(Serialize, Deserialize)]
pub(super) struct ParcelItem {
    /// What it is.
    pub kind: Kind,
    /// What the source says of it.
    pub said: Said,
    /// Keys of the CarePlans that name it.
    pub plans: Vec<String>,
    /// It stood in what was read, and is not only known from before.
    pub present: bool,
    /// What it was made of.
    pub resource: ParcelResource,
}

/// What a source says of an item.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Said {
    /// Its words; `addresses` stands beside.
    pub content: Content,
    /// Keys of the items it serves.
    pub addresses: Vec<String>,
    /// Its state in a word.
    pub status: String,
    /// It is over.
    pub closed: bool,
}

/// One resource, or the part of one that an item was made of.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct ParcelResource {
    /// Its key.
    pub key: String,
    /// Its type; empty for a part.
    pub kind: String,
    /// Of a Patient, the server it says it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Key of its patient; none for what belongs to nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    /// Its JSON, byte for byte.
    pub json: String,
}

impl Parcel {
    pub(super) fn of(reading: Reading) -> Self {
        Self {
            patients: reading.patients.into_iter().map(ParcelPatient::of).collect(),
            loose: reading.kept_without_patient.into_iter().map(|kept| ParcelResource::of(kept, None)).collect(),
            only: None,
            server: None,
        }
    }
}

impl Parcel {
    /// Leaves out the items that are ours: an item that was filed to a chart and is read again from there is not another one. What
    /// stands there is kept beside the plan as everything else is.
    pub(super) fn forget_ours(&mut self, system: &str) {
        let ours = |json: &str| import::identifiers_of(json).iter().any(|(of, _)| of == system);
        for patient in &mut self.patients {
            let plans = patient.resources.iter().filter(|one| one.kind == "CarePlan" && ours(&one.json));
            let plans: Vec<String> = plans.map(|plan| plan.key.clone()).collect();
            patient.items.retain(|item| item.resource.kind.is_empty() || !ours(&item.resource.json));
            for item in &mut patient.items {
                item.plans.retain(|plan| !plans.contains(plan));
            }
        }
    }
}

impl ParcelResource {
    fn of(kept: KeptResource, patient: Option<&ResourceKey>) -> Self {
        Self {
            key: kept.key.as_str().to_owned(),
            kind: kept.kind.to_owned(),
            server: None,
            patient: patient.map(|key| key.as_str().to_owned()),
            json: kept.json.into_revealed(),
        }
    }
}

impl ParcelPatient {
    fn of(source: PatientSource) -> Self {
        let key = source.key;
        let own = source.raw.map(|raw| ParcelResource {
            key: key.as_str().to_owned(),
            kind: "Patient".to_owned(),
            server: source.server,
            patient: Some(key.as_str().to_owned()),
            json: raw.into_revealed(),
        });
        let kept = source.kept.into_iter().map(|kept| ParcelResource::of(kept, Some(&key)));
        let short = |text: &Phi<String>| text.reveal().chars().count() <= TITLE_CHARS_MAX;
        let identity = Identity {
            name: source.name.into_revealed().chars().take(TITLE_CHARS_MAX).collect(),
            birth_date: source.birth_date.map(Phi::into_revealed),
            identifiers: source
                .identifiers
                .into_iter()
                .filter(|(system, value)| short(system) && short(value))
                .take(IDENTIFIERS_MAX)
                .map(|(system, value)| Identifier { system: system.into_revealed(), value: value.into_revealed() })
                .collect(),
            language: source.language.map(Phi::into_revealed),
            gender: source.gender.map(str::to_owned),
        };
        Self {
            identity,
            resources: own.into_iter().chain(kept).collect(),
            items: source.items.into_iter().map(|item| ParcelItem::of(item, &key)).collect(),
            key: key.as_str().to_owned(),
        }
    }
}

impl ParcelItem {
    fn of(source: ItemSource, patient: &ResourceKey) -> Self {
        let (kind, id) = import::type_and_id(source.raw.reveal());
        let status = source.source_status.unwrap_or(if source.closed { COMPLETED } else { ACTIVE });
        let from = Source {
            kind: kind.clone().unwrap_or_else(|| part_name(&source).to_owned()),
            id: id.filter(|_| kind.is_some()).unwrap_or_else(|| source.key.as_str().to_owned()),
            status: source.source_status.map(str::to_owned),
            named_only: source.flagged,
            removed: false,
        };
        Self {
            kind: kind_of(source.kind),
            plans: source.plans.iter().map(|key| key.as_str().to_owned()).collect(),
            present: source.place.is_some(),
            said: Said {
                addresses: source.addresses.iter().map(|key| key.as_str().to_owned()).collect(),
                status: status.to_owned(),
                closed: source.closed,
                content: Content {
                    title: source.title.into_revealed(),
                    detail: source.detail.map(Phi::into_revealed),
                    codes: source.codes.into_iter().take(CODES_MAX).map(code).collect(),
                    owner: None,
                    due: source.due.map(rfc3339),
                    addresses: Vec::new(),
                    source: Some(from),
                    notes: notes(source.notes),
                },
            },
            resource: ParcelResource {
                key: source.key.as_str().to_owned(),
                kind: kind.unwrap_or_default(),
                server: None,
                patient: Some(patient.as_str().to_owned()),
                json: source.raw.into_revealed(),
            },
        }
    }
}

const fn kind_of(kind: ItemKind) -> Kind {
    match kind {
        ItemKind::Problem => Kind::Problem,
        ItemKind::Goal => Kind::Goal,
        ItemKind::Activity => Kind::Activity,
        ItemKind::Barrier => Kind::Barrier,
    }
}

fn code(code: import::Code) -> Code {
    let text = |text: Option<Phi<String>>| text.map(Phi::into_revealed);
    Code { system: text(code.system), code: text(code.code), display: text(code.display) }
}

/// What a part of a resource is called where it becomes an item.
const fn part_name(source: &ItemSource) -> &'static str {
    if source.flagged { "Reference" } else { "CarePlan.activity" }
}

fn notes(notes: Vec<import::NoteSource>) -> Vec<SourceNote> {
    let mut left = NOTE_CHARS_MAX;
    let mut kept = Vec::new();
    for note in notes {
        let text = note.text.into_revealed();
        let length = text.chars().count();
        if length > left {
            break;
        }
        left -= length;
        kept.push(SourceNote { author: note.author.map(Phi::into_revealed), at: note.at, text });
    }
    kept
}
