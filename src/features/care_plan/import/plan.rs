//! CarePlans into items: what they address, aim for and do. One item a resource, however many plans name it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use uuid::Uuid;

use super::bundle::{NAMESPACE, Source};
use super::concept::{Concept, notes};
use super::element::{Element, Report};
use super::items::{self, Origin};
use super::json;
use super::kinds::{self, ACTIVITIES};
use super::known::Lookup;
use super::owners::{self, Owner};
use super::patient::{self, Charts};
use super::reading::{ItemKind, ItemSource, NoteSource, Place, ResourceKey};
use super::references::{Index, Target, list};
use super::status;

const WRONG_TYPE: &str = "leads to a resource of another type than this element takes";
const OTHER_PATIENT: &str = "leads to a resource of another patient";
const LEFT_OUT: &str = "leads to a resource that was left out";

struct Draft {
    patient: ResourceKey,
    item: ItemSource,
    /// Keys of what it may serve; which of them are items is known at the end.
    links: Vec<ResourceKey>,
}

/// The items of one reading, before they are laid into charts.
pub(super) struct Drafts<'a> {
    sources: &'a [Source<'a>],
    index: &'a Index<'a>,
    owners: &'a [Owner],
    drafts: Vec<Draft>,
    by_key: BTreeMap<(ResourceKey, ResourceKey), usize>,
    /// Positions of sources that became items.
    used: BTreeSet<usize>,
    plan_notes: Vec<(ResourceKey, ResourceKey, NoteSource)>,
}

/// The plan being read.
struct Plan<'a> {
    position: usize,
    patient: &'a ResourceKey,
    key: &'a ResourceKey,
    element: Element<'a>,
    /// Active or draft: its activities become items.
    live: bool,
    /// Completed, revoked or an error: what it alone contains is over with it.
    over: bool,
    /// The contained resources, byte for byte.
    contained: Vec<&'a str>,
}

/// What an element of a plan may name.
#[derive(Clone, Copy)]
struct Slot {
    name: &'static str,
    expected: &'static [&'static str],
    kind: ItemKind,
}

const ADDRESSES: Slot = Slot { name: "addresses", expected: &["Condition"], kind: ItemKind::Problem };
const GOAL: Slot = Slot { name: "goal", expected: &["Goal"], kind: ItemKind::Goal };
const ACTIVITY: Slot = Slot { name: "activity", expected: ACTIVITIES, kind: ItemKind::Activity };

impl<'a> Drafts<'a> {
    pub fn new(sources: &'a [Source<'a>], index: &'a Index<'a>, owners: &'a [Owner]) -> Self {
        Self {
            sources,
            index,
            owners,
            drafts: Vec::new(),
            by_key: BTreeMap::new(),
            used: BTreeSet::new(),
            plan_notes: Vec::new(),
        }
    }

    /// Whether the source at that position became an item.
    pub fn is_item(&self, position: usize) -> bool {
        self.used.contains(&position)
    }

    /// Items of all CarePlans.
    pub fn read_plans(&mut self, report: &mut Report) {
        for (position, source) in self.sources.iter().enumerate() {
            if let ("CarePlan", Owner::Patient(patient)) = (source.kind, &self.owners[position]) {
                self.read_plan(position, source, patient, report);
            }
        }
    }

    /// Items of the Conditions and Goals in no plan.
    pub fn read_loose(&mut self, report: &mut Report) {
        for (position, source) in self.sources.iter().enumerate() {
            if let ("Condition" | "Goal", Owner::Patient(patient)) = (source.kind, &self.owners[position]) {
                self.of_source(position, patient, None, report);
            }
        }
    }

    /// Lays the items into the charts of their patients.
    pub fn hand_out(mut self, charts: &mut Charts, lookup: &Lookup<'_>) {
        for (patient, plan, note) in std::mem::take(&mut self.plan_notes) {
            patient::chart(charts, &patient, lookup).notes.push((plan, note));
        }
        for Draft { patient, mut item, links } in self.drafts {
            let known_item = |key: &ResourceKey| {
                lookup.resource(key).is_some_and(|(known, _)| known.item && known.patient.as_ref() == Some(&patient))
            };
            let mut seen = BTreeSet::new();
            for link in links {
                let is_item = self.by_key.contains_key(&(patient.clone(), link.clone())) || known_item(&link);
                if is_item && link != item.key && seen.insert(link.clone()) {
                    item.addresses.push(link);
                }
            }
            patient::chart(charts, &patient, lookup).items.push(item);
        }
    }

    fn read_plan(&mut self, position: usize, source: &'a Source<'a>, patient: &'a ResourceKey, report: &mut Report) {
        let element = source.element();
        let state = status::of_code(&element, "status", report);
        let plan = Plan {
            position,
            patient,
            key: &source.key,
            live: matches!(state.word, Some("active" | "draft")),
            over: state.closed,
            contained: json::slices(source.raw, "contained"),
            element,
        };
        for note in notes(&plan.element, "note", report) {
            self.plan_notes.push((patient.clone(), source.key.clone(), note));
        }
        for slot in [ADDRESSES, GOAL] {
            let slices = json::slices(source.raw, slot.name);
            for reference in plan.element.objects_of(slot.name, report) {
                self.name(&plan, slot, &reference, slices.get(reference.position).copied().unwrap_or_default(), report);
            }
        }
        // What a finished plan once did is history: it stays with the plan, which is kept.
        if plan.live {
            let slices = json::slices(source.raw, ACTIVITY.name);
            for activity in plan.element.objects_of(ACTIVITY.name, report) {
                self.read_activity(
                    &plan,
                    &activity,
                    slices.get(activity.position).copied().unwrap_or_default(),
                    report,
                );
            }
        }
    }

    fn read_activity(&mut self, plan: &Plan<'a>, activity: &Element<'a>, raw: &'a str, report: &mut Report) {
        let (reference, detail) = (activity.object_of("reference", report), activity.object_of("detail", report));
        let draft = match (reference, detail) {
            (Some(reference), detail) => {
                if let Some(detail) = detail {
                    report.note(
                        &detail,
                        "an activity has a reference or a detail, not both (FHIR rule cpl-3); the reference was read",
                    );
                }
                self.name(plan, ACTIVITY, &reference, raw, report)
            }
            (None, Some(detail)) => Some(self.detail(plan, activity, &detail, raw, report)),
            (None, None) => {
                report.note(activity, "an activity with neither reference nor detail makes no item");
                None
            }
        };
        for note in notes(activity, "progress", report) {
            match draft {
                Some(draft) => self.drafts[draft].item.notes.push(note),
                None => self.plan_notes.push((plan.patient.clone(), plan.key.clone(), note)),
            }
        }
    }

    fn detail(
        &mut self,
        plan: &Plan<'a>,
        activity: &Element<'a>,
        detail: &Element<'a>,
        raw: &'a str,
        report: &mut Report,
    ) -> usize {
        let codes = Concept::member(detail, "code", report).unwrap_or_default().codes;
        let codes: Vec<String> = codes
            .iter()
            .map(|coding| format!("{}|{}", coding.system.unwrap_or_default(), coding.code.unwrap_or_default()))
            .collect();
        let place = Some(Place { file: activity.file.to_owned(), path: activity.path.clone() });
        let key = hashed(plan.key, "activity", &format!("{}\n{}", activity.position, codes.join(";")));
        let origin = Origin { key, raw, place, called: None };
        let item = items::of_detail(detail, activity.position, origin, report);
        let links = self.links(Some(plan.position), detail, "activity", plan.patient, report);
        self.put(plan.patient, item, links, Some(plan.key))
    }

    /// The item that a reference of a plan names, made if it is not one yet; none where it leads nowhere or to one that an
    /// earlier import already made.
    fn name(
        &mut self,
        plan: &Plan<'a>,
        slot: Slot,
        reference: &Element<'a>,
        raw: &'a str,
        report: &mut Report,
    ) -> Option<usize> {
        let called = reference.text_of("display", report);
        let complaint = match self.index.resolve(Some(plan.position), reference, slot.expected) {
            Target::Here(at) if !slot.expected.contains(&self.sources[at].kind) => WRONG_TYPE,
            Target::Here(at) => match &self.owners[at] {
                Owner::Patient(patient) if patient == plan.patient => {
                    let draft = self.of_source(at, plan.patient, called, report);
                    self.add_plan(draft, plan.key);
                    return Some(draft);
                }
                Owner::Refused => LEFT_OUT,
                _ => OTHER_PATIENT,
            },
            Target::Contained(_, inner) => match self.of_contained(plan, slot, inner, called, report) {
                Ok(draft) => return Some(draft),
                Err(complaint) => complaint,
            },
            Target::Known(key) => match self.of_known(plan, slot, &key, called) {
                Ok(draft) => return draft,
                Err(complaint) => complaint,
            },
            Target::Named(words) => return plan.live.then(|| self.of_words(plan, slot, reference, words, raw)),
            Target::Nothing(reason) => reason,
        };
        report.note(reference, complaint);
        None
    }

    fn of_source(&mut self, at: usize, patient: &ResourceKey, called: Option<&str>, report: &mut Report) -> usize {
        let source = &self.sources[at];
        self.used.insert(at);
        if let Some(draft) = self.by_key.get(&(patient.clone(), source.key.clone())) {
            return *draft;
        }
        let element = source.element();
        let origin = Origin { key: source.key.clone(), raw: source.raw, place: Some(source.place()), called };
        let item = items::of_resource(&element, source.kind, origin, report);
        let links = self.links(Some(at), &element, source.kind, patient, report);
        self.put(patient, item, links, None)
    }

    fn of_contained(
        &mut self,
        plan: &Plan<'a>,
        slot: Slot,
        inner: usize,
        called: Option<&str>,
        report: &mut Report,
    ) -> Result<usize, &'static str> {
        let value = &list(plan.element.value, "contained")[inner];
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        let (kind, belongs) =
            kinds::kind(text("resourceType")).filter(|(kind, _)| slot.expected.contains(kind)).ok_or(WRONG_TYPE)?;
        let path = format!("{}.contained[{inner}]", plan.element.path);
        let element = Element::root(plan.element.file, path.clone(), value);
        // Without a subject of its own it is of the plan's patient: it exists only within the plan.
        match owners::said(plan.position, &element, belongs, self.sources, self.index) {
            Ok(Some(patient)) if patient != *plan.patient => return Err(OTHER_PATIENT),
            Ok(_) => {}
            Err(_) => return Err("leads to a contained resource whose own patient is not known"),
        }
        let key = plan.key.within(text("id"));
        let draft = match self.by_key.get(&(plan.patient.clone(), key.clone())) {
            Some(draft) => *draft,
            None => {
                let place = Some(Place { file: plan.element.file.to_owned(), path });
                let origin = Origin { key, raw: plan.contained.get(inner).copied().unwrap_or_default(), place, called };
                let mut item = items::of_resource(&element, kind, origin, report);
                item.closed |= plan.over;
                let links = self.links(Some(plan.position), &element, kind, plan.patient, report);
                self.put(plan.patient, item, links, None)
            }
        };
        self.add_plan(draft, plan.key);
        Ok(draft)
    }

    /// What an earlier import kept becomes an item now that a plan names it. What was wrong with it was said then.
    fn of_known(
        &mut self,
        plan: &Plan<'a>,
        slot: Slot,
        key: &ResourceKey,
        called: Option<&str>,
    ) -> Result<Option<usize>, &'static str> {
        let lookup = self.index.lookup;
        let (known, value) = lookup.resource(key).ok_or(LEFT_OUT)?;
        let (kind, _) = kinds::kind(&known.kind).filter(|(kind, _)| slot.expected.contains(kind)).ok_or(WRONG_TYPE)?;
        if known.patient.as_ref() != Some(plan.patient) {
            return Err(OTHER_PATIENT);
        }
        if known.item {
            return Ok(None);
        }
        let draft = match self.by_key.get(&(plan.patient.clone(), key.clone())) {
            Some(draft) => *draft,
            None => {
                let (Some(value), Some(json)) = (value, &known.json) else {
                    return Err("leads to what was imported before, but not kept");
                };
                let element = Element::root("", kind.to_owned(), value);
                let origin = Origin { key: key.clone(), raw: json.reveal(), place: None, called };
                let mut silent = Report::default();
                let item = items::of_resource(&element, kind, origin, &mut silent);
                let links = self.links(None, &element, kind, plan.patient, &mut silent);
                self.put(plan.patient, item, links, None)
            }
        };
        self.add_plan(draft, plan.key);
        Ok(Some(draft))
    }

    fn of_words(&mut self, plan: &Plan<'a>, slot: Slot, reference: &Element<'a>, words: &str, raw: &str) -> usize {
        let key = hashed(plan.key, "named", &format!("{}\n{words}", slot.name));
        if let Some(draft) = self.by_key.get(&(plan.patient.clone(), key.clone())) {
            return *draft;
        }
        let place = Some(Place { file: reference.file.to_owned(), path: reference.path.clone() });
        let item = items::of_words(words, slot.kind, Origin { key, raw, place, called: None });
        self.put(plan.patient, item, Vec::new(), Some(plan.key))
    }

    /// Keys an element's references lead to, of the same patient; what leads nowhere is listed.
    fn links(
        &self,
        from: Option<usize>,
        element: &Element<'_>,
        kind: &str,
        patient: &ResourceKey,
        report: &mut Report,
    ) -> Vec<ResourceKey> {
        let mut keys = Vec::new();
        for reference in items::links(element, kind, report) {
            match self.index.resolve(from, &reference, &["Condition", "Goal"]) {
                Target::Here(at) => match &self.owners[at] {
                    Owner::Patient(owner) if owner == patient => keys.push(self.sources[at].key.clone()),
                    Owner::Patient(_) | Owner::Themself(_) => report.note(&reference, OTHER_PATIENT),
                    Owner::Nobody => {}
                    Owner::Refused => report.note(&reference, LEFT_OUT),
                },
                Target::Contained(at, inner) => {
                    let id = list(&self.sources[at].value, "contained")[inner].get("id").and_then(Value::as_str);
                    keys.extend(id.map(|id| self.sources[at].key.within(id)));
                }
                Target::Known(key) => keys.push(key),
                Target::Named(_) => {}
                Target::Nothing(reason) => report.note(&reference, reason),
            }
        }
        keys
    }

    fn put(
        &mut self,
        patient: &ResourceKey,
        item: ItemSource,
        links: Vec<ResourceKey>,
        plan: Option<&ResourceKey>,
    ) -> usize {
        let draft = self.drafts.len();
        self.by_key.insert((patient.clone(), item.key.clone()), draft);
        self.drafts.push(Draft { patient: patient.clone(), item, links });
        if let Some(plan) = plan {
            self.add_plan(draft, plan);
        }
        draft
    }

    /// Plans are read one after the other, so the last one is the only one that can repeat.
    fn add_plan(&mut self, draft: usize, plan: &ResourceKey) {
        let plans = &mut self.drafts[draft].item.plans;
        if plans.last() != Some(plan) {
            plans.push(plan.clone());
        }
    }
}

/// The key of something that has no id: the same plan, place and words give the same key on every import.
fn hashed(plan: &ResourceKey, what: &str, content: &str) -> ResourceKey {
    let hash = Uuid::new_v5(&NAMESPACE, format!("{what}\n{}\n{content}", plan.as_str()).as_bytes());
    plan.within(&format!("{what}-{hash}"))
}
