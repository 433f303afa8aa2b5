//! A patient's plan, read again from a FHIR server and imported: what changed there becomes new versions here, what was changed on both
//! sides is for the lead to settle, what is there no more is marked.
//! Invariants: the patient is one the importer may change the plan of, and exactly one there; nobody is registered by it. What the
//! server gives is bounded, and only the configured server is asked.

use std::collections::{BTreeSet, VecDeque};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Outcome;
use super::fhir::Server;
use super::patient::{Resolved, resolve};
use super::remote::located;
use super::{Receivers, Way};
use crate::features::care_plan::{ImportReport, Pulled, import_pulled};
use crate::features::patients;
use crate::kernel::base::limits::IMPORT_BYTES_MAX;
use crate::kernel::base::{Code, PatientId, Refusal, Stop};
use crate::kernel::engine::Engine;
use crate::kernel::policy::{Right, Subject};

/// What a plan is made of. All of them have the search parameter `patient` (FHIR R4).
const KINDS: &[&str] = &["CarePlan", "CareTeam", "Goal", "Condition", "ServiceRequest"];
/// What is read besides, where one of those refers to it: activities, and who they are of.
const REFERRED: &[&str] = &[
    "Appointment",
    "CommunicationRequest",
    "Condition",
    "DeviceRequest",
    "Goal",
    "MedicationRequest",
    "NutritionOrder",
    "Organization",
    "Practitioner",
    "PractitionerRole",
    "RelatedPerson",
    "RequestGroup",
    "ServiceRequest",
    "Task",
    "VisionPrescription",
];
/// Pages of one search; a plan of more is not read to its end, and then nothing counts as gone.
const PAGES_MAX: usize = 50;
/// Resources that are read one by one because a plan refers to them.
const REFERRED_MAX: usize = 300;

/// What came of it.
#[derive(Serialize, JsonSchema)]
pub struct PullReport {
    /// As an import answers.
    #[serde(flatten)]
    pub report: ImportReport,
    /// Resources that were read.
    pub resources: usize,
    /// Types that the server did not give: nothing of them counts as gone.
    pub unread: Vec<String>,
}

/// Reads the plan of a patient again from a configured FHIR server.
///
/// # Errors
/// `not_found` for a target or patient that is not there or not theirs, `forbidden`, `conflict` where the server does not know exactly one
/// such patient or does not answer as it should, `busy` where it does not answer.
pub async fn pull(engine: &Engine, subject: &Subject, target: &str, patient: PatientId) -> Result<PullReport, Stop> {
    let mut identifiers = Vec::new();
    {
        let mut cx = engine.reader(subject.clone()).await?;
        cx.permit_patient(Right::ImportPlan, patient).await?;
        let (tx, vault) = cx.log();
        let known = patients::identity_of(tx, vault, patient).await?.ok_or_else(Refusal::not_found)?;
        identifiers.extend(known.identifiers.into_iter().map(|one| (one.system, one.value)));
    }
    let shared = engine.shared();
    let receivers = Receivers::of(&shared.config.targets, shared.vault.world());
    let missing = || Refusal::not_found().field("target").detail("No FHIR server is configured by this name.");
    let receiver = receivers.named(target).ok_or_else(missing)?;
    let Way::Fhir(server) = &receiver.way else { return Err(missing().into()) };
    let there = match resolve(server, &identifiers).await.map_err(|outcome| refusal(&outcome))? {
        Resolved::One(place) => place,
        Resolved::Nobody => {
            return Err(Refusal::conflict("The server knows nobody by this patient's identifiers.").into());
        }
        Resolved::Several => {
            return Err(Refusal::conflict("The server knows several by this patient's identifiers.").into());
        }
    };
    let found = Reading::of(server, &there).await.map_err(|outcome| refusal(&outcome))?;
    let (resources, unread) = (found.resources, found.unread);
    let pulled = Pulled { patient, server: target.to_owned(), whole: unread.is_empty(), bytes: found.bundle };
    let report = import_pulled(engine, subject, pulled).await?;
    Ok(PullReport { report, resources, unread: unread.into_iter().map(str::to_owned).collect() })
}

/// Why a server could not be read, without its words: those may say something about a patient, and errors do not.
fn refusal(outcome: &Outcome) -> Refusal {
    match outcome {
        Outcome::Again { .. } | Outcome::Held { .. } => {
            Refusal::new(Code::Busy).detail("The server does not answer now. Try again.").retry_after_ms(30_000)
        }
        Outcome::Stopped { code, .. } => {
            Refusal::new(Code::Conflict).detail(&format!("The server cannot be read: {code}."))
        }
        _ => Refusal::conflict("The server cannot be read."),
    }
}

/// A page of a search, each resource byte for byte.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow, default)]
    entry: Vec<PageEntry<'a>>,
    #[serde(default)]
    link: Vec<PageLink>,
}

#[derive(Deserialize)]
struct PageEntry<'a> {
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct PageLink {
    relation: String,
    url: String,
}

/// What is gathered of a patient: a Bundle in the making.
struct Reading {
    bundle: Vec<u8>,
    resources: usize,
    unread: Vec<&'static str>,
    seen: BTreeSet<String>,
    referred: VecDeque<String>,
}

impl Reading {
    async fn of(server: &Server, patient: &str) -> Result<Self, Outcome> {
        let mut reading = Self {
            bundle: b"{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\":[".to_vec(),
            resources: 0,
            unread: Vec::new(),
            seen: BTreeSet::new(),
            referred: VecDeque::new(),
        };
        let answer = server.get(&server.url(patient)).await?;
        if answer.status != 200 {
            return Err(server.refused(&answer));
        }
        reading.take(server, &answer.body)?;
        let id = patient.trim_start_matches("Patient/");
        for kind in KINDS {
            match reading.search(server, kind, id).await {
                Ok(true) => {}
                // One type that is not served there does not keep the others.
                Ok(false) | Err(Outcome::Stopped { .. }) => reading.unread.push(kind),
                Err(outcome) => return Err(outcome),
            }
        }
        reading.follow(server).await?;
        reading.bundle.extend_from_slice(b"]}");
        Ok(reading)
    }

    /// Whether all pages came.
    async fn search(&mut self, server: &Server, kind: &str, patient: &str) -> Result<bool, Outcome> {
        let mut url = server.url(&format!("{kind}?patient={patient}"));
        for _ in 0..PAGES_MAX {
            let answer = server.get(&url).await?;
            if answer.status != 200 {
                return Err(server.refused(&answer));
            }
            let broken = |_| Outcome::again("A page is not JSON.");
            let page: Page<'_> = serde_json::from_slice(&answer.body).map_err(broken)?;
            for resource in page.entry.iter().filter_map(|entry| entry.resource) {
                self.take(server, resource.get().as_bytes())?;
            }
            match page.link.into_iter().find(|link| link.relation == "next") {
                Some(next) => url = next.url,
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Reads what is referred to, as far as it is there.
    async fn follow(&mut self, server: &Server) -> Result<(), Outcome> {
        let mut asked = 0;
        while let Some(place) = self.referred.pop_front() {
            if self.seen.contains(&place) || asked >= REFERRED_MAX {
                continue;
            }
            asked += 1;
            let answer = server.get(&server.url(&place)).await?;
            if answer.status == 200 {
                self.take(server, &answer.body)?;
            }
        }
        Ok(())
    }

    /// Adds a resource as an entry, with where it stands there.
    fn take(&mut self, server: &Server, raw: &[u8]) -> Result<(), Outcome> {
        let resource: Value = serde_json::from_slice(raw).map_err(|_| Outcome::again("A resource is not JSON."))?;
        let (kind, id) = (resource["resourceType"].as_str(), resource["id"].as_str());
        let Some((place, _)) = kind.zip(id).and_then(|(kind, id)| located(&format!("{kind}/{id}"))) else {
            return Ok(());
        };
        if kind == Some("OperationOutcome") || !self.seen.insert(place.clone()) {
            return Ok(());
        }
        if self.bundle.len() + raw.len() > IMPORT_BYTES_MAX {
            return Err(Outcome::stopped("refused", "The plan is larger than 64 MiB."));
        }
        if self.resources > 0 {
            self.bundle.push(b',');
        }
        self.resources += 1;
        let url = Value::from(server.url(&place)).to_string();
        self.bundle.extend_from_slice(format!("{{\"fullUrl\":{url},\"resource\":").as_bytes());
        self.bundle.extend_from_slice(raw);
        self.bundle.push(b'}');
        references(&resource, &mut self.referred);
        Ok(())
    }
}

/// Every reference of a resource to one that is worth reading, relative to the same server.
fn references(value: &Value, found: &mut VecDeque<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("reference")
                && let Some((kind, _)) = reference.split_once('/')
                && REFERRED.contains(&kind)
                && located(reference).is_some_and(|(place, _)| place == *reference)
                && !found.contains(reference)
            {
                found.push_back(reference.clone());
            }
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(list) => list.iter().for_each(|member| references(member, found)),
        _ => {}
    }
}
