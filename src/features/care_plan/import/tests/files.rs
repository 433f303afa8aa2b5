//! Every sample file: what was understood, what was kept aside, nothing lost, and a second reading changes nothing.

use super::*;

/// What is expected of files read in one call.
struct Expected {
    under: &'static str,
    patients: usize,
    /// Problems, goals, activities, barriers.
    items: [usize; 4],
    closed: usize,
    kept: usize,
    without_patient: usize,
    /// Path of each thing not understood, after its file.
    not_understood: &'static [(&'static str, &'static str)],
}

const TABLE: &[Expected] = &[
    Expected {
        under: "ckd-betsy",
        patients: 1,
        items: [12, 5, 9, 0],
        closed: 0,
        kept: 48,
        without_patient: 7,
        not_understood: &[],
    },
    Expected {
        under: "eltss-careplan.json",
        patients: 1,
        items: [3, 2, 3, 0],
        closed: 0,
        kept: 9,
        without_patient: 5,
        not_understood: &[("eltss-careplan.json", "Bundle.entry[5].resource.subject")],
    },
    Expected {
        under: "synthea-2019-milan.json",
        patients: 1,
        items: [5, 5, 13, 0],
        closed: 2,
        kept: 207,
        without_patient: 2,
        not_understood: &[],
    },
    Expected {
        under: "synthea-mcc-kendall.json",
        patients: 1,
        items: [16, 0, 0, 0],
        closed: 8,
        kept: 105,
        without_patient: 0,
        not_understood: &[],
    },
    Expected {
        under: "hl7-r4-examples",
        patients: 6,
        items: [2, 2, 1, 0],
        closed: 2,
        kept: 6,
        without_patient: 1,
        not_understood: &[
            ("bundle-transaction.json", "Bundle.entry[5]"),
            ("bundle-transaction.json", "Bundle.entry[6]"),
            ("bundle-transaction.json", "Bundle.entry[8]"),
            ("bundle-transaction.json", "Bundle.entry[9]"),
            ("careplan-example-f001-heart.json", "CarePlan.subject"),
            ("careplan-example-pregnancy.json", "CarePlan.subject"),
            ("composition-example.json", "Composition.subject"),
            ("documentreference-example.json", "DocumentReference.subject"),
            ("provenance-example.json", "Provenance.target"),
        ],
    },
];

#[test]
fn every_sample_file_gives_what_it_is_known_to_hold() {
    for expected in TABLE {
        let files = sample(expected.under);
        let reading = read(&as_files(&files), &Known::nothing());
        let items: Vec<&ItemSource> = reading.patients.iter().flat_map(|patient| &patient.items).collect();
        let count = |kind| items.iter().filter(|item| item.kind == kind).count();
        let kinds = [ItemKind::Problem, ItemKind::Goal, ItemKind::Activity, ItemKind::Barrier].map(count);
        let listed: Vec<(&str, &str)> =
            reading.not_understood.iter().map(|one| (one.file.as_str(), one.path.as_str())).collect();
        assert_eq!(reading.patients.len(), expected.patients, "{}", expected.under);
        assert_eq!(kinds, expected.items, "{}", expected.under);
        assert_eq!(items.iter().filter(|item| item.closed).count(), expected.closed, "{}", expected.under);
        assert_eq!(
            reading.patients.iter().map(|patient| patient.kept.len()).sum::<usize>(),
            expected.kept,
            "{}",
            expected.under
        );
        assert_eq!(reading.kept_without_patient.len(), expected.without_patient, "{}", expected.under);
        assert_eq!(listed, expected.not_understood, "{}", expected.under);
        assert_eq!(unaccounted(&as_files(&files), &reading), [], "{}", expected.under);
    }
}

#[test]
fn all_sample_files_in_one_call_stay_apart() {
    let files: Vec<_> = TABLE.iter().flat_map(|expected| sample(expected.under)).collect();
    let reading = read(&as_files(&files), &Known::nothing());
    assert_eq!(reading.patients.len(), 10);
    assert_eq!(unaccounted(&as_files(&files), &reading), []);
    for expected in TABLE {
        let alone = read(&as_files(&sample(expected.under)), &Known::nothing());
        assert!(alone.patients.iter().all(|patient| reading.patients.contains(patient)), "{}", expected.under);
    }
}

#[test]
fn what_is_kept_is_kept_byte_for_byte() {
    for expected in TABLE {
        let files = sample(expected.under);
        let reading = read(&as_files(&files), &Known::nothing());
        let texts: Vec<&str> = files.iter().map(|(_, bytes)| std::str::from_utf8(bytes).unwrap()).collect();
        let mut raws: Vec<&str> = Vec::new();
        for patient in &reading.patients {
            raws.extend(patient.raw.iter().map(|raw| raw.reveal().as_str()));
            raws.extend(patient.items.iter().map(|item| item.raw.reveal().as_str()));
            raws.extend(patient.kept.iter().map(|kept| kept.json.reveal().as_str()));
        }
        raws.extend(
            reading
                .not_understood
                .iter()
                .filter_map(|listed| listed.verbatim.as_ref())
                .map(|raw| raw.reveal().as_str()),
        );
        assert!(
            raws.iter().all(|raw| raw.len() > 2 && texts.iter().any(|text| text.contains(raw))),
            "{}",
            expected.under
        );
    }
}

#[test]
fn a_second_reading_gives_the_same() {
    for expected in TABLE {
        let files = sample(expected.under);
        let first = read(&as_files(&files), &Known::nothing());
        let mut known = Known::nothing();
        remember(&mut known, &first);
        let second = read(&as_files(&files), &known);
        assert!(first.patients == second.patients, "{}", expected.under);
        assert!(
            first.not_understood == second.not_understood && first.kept_without_patient == second.kept_without_patient
        );
    }
}

#[test]
fn betsys_files_one_call_each_give_what_one_call_gives() {
    let files = sample("ckd-betsy");
    let whole = read(&as_files(&files), &Known::nothing());
    let mut known = Known::nothing();
    let mut items: std::collections::BTreeMap<ResourceKey, ItemSource> = std::collections::BTreeMap::new();
    for file in &files {
        let reading = read(&as_files(std::slice::from_ref(file)), &known);
        assert!(reading.not_understood.is_empty(), "{}: {:?}", file.0, reading.not_understood);
        for item in reading.patients.iter().flat_map(|patient| &patient.items) {
            items.entry(item.key.clone()).or_insert_with(|| item.clone());
        }
        remember(&mut known, &reading);
    }
    // What a plan of a later call names was an item already, or became one from what had been kept.
    assert_eq!(items.len(), whole.patients[0].items.len());
    for item in &whole.patients[0].items {
        let other = &items[&item.key];
        assert!(
            other.title == item.title
                && other.kind == item.kind
                && other.raw == item.raw
                && other.closed == item.closed
        );
        assert!(other.addresses == item.addresses, "{}", item.key.as_str());
    }
}

#[test]
fn betsy_is_read_as_a_person_would() {
    let reading = read(&as_files(&sample("ckd-betsy")), &Known::nothing());
    let betsy = &reading.patients[0];
    assert_eq!(betsy.key.as_str(), "Patient/cc-pat-betsy");
    assert_eq!(betsy.name.reveal(), "Betsy Johnson");
    assert_eq!(betsy.birth_date.as_ref().map(|date| date.reveal().as_str()), Some("1957-11-07"));
    assert_eq!((betsy.gender, betsy.identifiers.len()), (Some("female"), 2));
    let item = |key: &str| betsy.items.iter().find(|item| item.key.as_str() == key).unwrap();
    let diabetes = item("Condition/cc-cond-betsy-diabetes");
    assert_eq!(diabetes.plans.len(), 2, "one item, though two plans name it");
    let goal = item("Goal/cc-goal-betsy-a1c");
    assert_eq!(goal.title.reveal(), "Stabilize Hemoglobin A1c");
    assert_eq!(
        goal.detail.as_ref().map(|detail| detail.reveal().as_str()),
        Some("Hemoglobin A1c total in Blood < 7 %")
    );
    assert!(goal.addresses == [diabetes.key.clone()] && goal.notes.len() == 1);
    let diet = item("ServiceRequest/cc-service-betsy-edu-diet");
    assert_eq!((diet.title.reveal().as_str(), diet.addresses.len()), ("Diet counseling", 2));
    let team = &betsy.team[0];
    let nurse = &team.participants[1];
    assert_eq!(nurse.roles[0].text.as_ref().map(|text| text.reveal().as_str()), Some("Registered Nurse"));
    assert!(nurse.member.is_some() && betsy.team.len() == 2 && team.participants.len() == 7);
}

#[test]
fn the_text_of_an_answer_holds_nothing_of_the_patient() {
    let files: Vec<_> = TABLE.iter().flat_map(|expected| sample(expected.under)).collect();
    let shown = format!("{:?}", read(&as_files(&files), &Known::nothing()));
    for secret in ["Betsy", "betsy", "Chalmers", "Henry", "Diabetes", "234234", "henry-jones", "Kendall", "8adf7251"] {
        // File names are the caller's own words.
        let shown = shown.replace("cc-betsy-", "").replace("synthea-", "");
        assert!(!shown.contains(secret), "{secret}");
    }
}
