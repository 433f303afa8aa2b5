//! The sample patients: real FHIR R4 of others (see `tests/data/fhir/README.md`), built in so that the demo needs no files.

use super::super::commands::File;

macro_rules! files {
    ($($name:literal)*) => {
        [$(($name, include_bytes!(concat!("../../../../tests/data/fhir/", $name)).as_slice())),*]
    };
}

/// Betsy Johnson: chronic kidney disease, diabetes, heart failure; a medical and a personal care plan.
const BETSY: [(&str, &[u8]); 18] = files! {
    "ckd-betsy/01-organizations.json" "ckd-betsy/02-cc-providers.json" "ckd-betsy/cc-betsy-1-demographic.json"
    "ckd-betsy/cc-betsy-2-concerns.json" "ckd-betsy/cc-betsy-2-problems.json" "ckd-betsy/cc-betsy-3-goals.json"
    "ckd-betsy/cc-betsy-4-meds.json" "ckd-betsy/cc-betsy-4-nutrition.json" "ckd-betsy/cc-betsy-4-services.json"
    "ckd-betsy/cc-betsy-5-allergies.json" "ckd-betsy/cc-betsy-5-vitals-bp.json" "ckd-betsy/cc-betsy-5-vitals.json"
    "ckd-betsy/cc-betsy-6-labs-a1c.json" "ckd-betsy/cc-betsy-6-labs-egfr.json" "ckd-betsy/cc-betsy-6-labs.json"
    "ckd-betsy/cc-betsy-7-encounters.json" "ckd-betsy/cc-betsy-8-teams.json" "ckd-betsy/cc-betsy-9-careplans.json"
};

/// Milan Beatty: depression and prediabetes.
const MILAN: [(&str, &[u8]); 1] = files! { "synthea-2019-milan.json" };

/// The files of both, as typed at the command line.
pub fn files() -> Vec<File> {
    BETSY.iter().chain(&MILAN).map(|(name, bytes)| File::new(name, bytes)).collect()
}
