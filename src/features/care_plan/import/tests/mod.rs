//! Tests of the reader: the sample files, the rules one by one, and laws over arbitrary input.

mod files;
mod laws;
mod rules;

use super::*;

/// Reads files given as name and text, with nothing known.
pub(super) fn read_texts(files: &[(&str, &str)]) -> Reading {
    read_known(files, &Known::nothing())
}

pub(super) fn read_known(files: &[(&str, &str)], known: &Known) -> Reading {
    let files: Vec<SourceFile<'_>> =
        files.iter().map(|(name, text)| SourceFile { name, bytes: text.as_bytes() }).collect();
    read(&files, known)
}

/// The sample files under a folder (or one file) of `tests/data/fhir`, by name.
pub(super) fn sample(under: &str) -> Vec<(String, Vec<u8>)> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fhir").join(under);
    let mut paths = if path.is_dir() {
        std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
    } else {
        vec![path]
    };
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths
        .iter()
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap()))
        .collect()
}

pub(super) fn as_files(files: &[(String, Vec<u8>)]) -> Vec<SourceFile<'_>> {
    files.iter().map(|(name, bytes)| SourceFile { name, bytes }).collect()
}

/// Where each resource of the files stands that can be told one by one, found without the reader's own code.
pub(super) fn places(files: &[SourceFile<'_>]) -> Vec<Place> {
    let mut places = Vec::new();
    for file in files {
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(file.bytes) else { continue };
        let Some(kind) = value["resourceType"].as_str() else { continue };
        if kind == "Bundle" {
            let entries = value["entry"].as_array().map_or(0, Vec::len);
            places.extend((0..entries).map(|at| Place { file: file.name.into(), path: format!("Bundle.entry[{at}]") }));
        } else {
            places.push(Place { file: file.name.into(), path: kind.into() });
        }
    }
    places
}

/// The law of nothing lost: each resource is exactly one of patient, item, kept, repeat, or listed with all its bytes.
pub(super) fn unaccounted(files: &[SourceFile<'_>], reading: &Reading) -> Vec<Place> {
    let entry =
        |place: &Place| Place { file: place.file.clone(), path: place.path.trim_end_matches(".resource").into() };
    let whole = |item: &&ItemSource| !item.key.as_str().contains('#') || item.key.as_str().contains("#content-");
    let mut found: std::collections::BTreeMap<Place, usize> = std::collections::BTreeMap::new();
    let mut put = |place: Place| *found.entry(place).or_default() += 1;
    for patient in &reading.patients {
        patient.place.iter().map(entry).for_each(&mut put);
        patient.items.iter().filter(whole).filter_map(|item| item.place.as_ref()).map(entry).for_each(&mut put);
        patient.kept.iter().map(|kept| entry(&kept.place)).for_each(&mut put);
    }
    reading.kept_without_patient.iter().map(|kept| entry(&kept.place)).for_each(&mut put);
    reading.repeats.iter().map(entry).for_each(&mut put);
    let mut refused_files = Vec::new();
    for listed in reading.not_understood.iter().filter(|listed| listed.verbatim.is_some()) {
        let verbatim = listed.verbatim.as_ref().unwrap().reveal();
        if files.iter().any(|file| file.name == listed.file && file.bytes == verbatim.as_bytes()) {
            refused_files.push(listed.file.clone());
        } else {
            let path = listed.path.split_inclusive(']').next().unwrap_or_default();
            put(Place { file: listed.file.clone(), path: path.into() });
        }
    }
    let mut wrong = places(files);
    wrong.retain(|place| found.remove(place) != Some(1) && !refused_files.contains(&place.file));
    wrong.extend(found.into_keys().filter(|place| !refused_files.contains(&place.file)));
    wrong
}

/// Everything of a reading as a caller would remember it.
pub(super) fn remember(known: &mut Known, reading: &Reading) {
    for patient in &reading.patients {
        let owned = |kind: &str, item, json| KnownResource {
            kind: kind.into(),
            patient: Some(patient.key.clone()),
            server: None,
            item,
            json: Some(json),
        };
        if let Some(raw) = &patient.raw {
            known.add(
                patient.key.clone(),
                KnownResource { server: patient.server.clone(), ..owned("Patient", false, raw.clone()) },
            );
        }
        for kept in &patient.kept {
            known.add(kept.key.clone(), owned(kept.kind, false, kept.json.clone()));
        }
        for item in &patient.items {
            let value: serde_json::Value = serde_json::from_str(item.raw.reveal()).unwrap();
            known.add(
                item.key.clone(),
                owned(value["resourceType"].as_str().unwrap_or_default(), true, item.raw.clone()),
            );
        }
    }
    for kept in &reading.kept_without_patient {
        known.add(
            kept.key.clone(),
            KnownResource {
                kind: kept.kind.into(),
                patient: None,
                server: None,
                item: false,
                json: Some(kept.json.clone()),
            },
        );
    }
}
