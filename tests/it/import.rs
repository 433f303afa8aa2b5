//! FHIR R4 as others publish it comes in: every sample file, what was understood, what is kept, and that a second import changes
//! nothing. A Bundle that cannot be read names its resource and path, and nothing of it comes in.

use std::path::PathBuf;

use carethread::on_db;
use serde_json::{Value, json};

use super::chance::fresh_id;
use super::database::Tables;
use super::server::{House, ROOMY, Server, list, sample, text};

/// What files read in one call are known to hold.
struct Sample {
    under: &'static str,
    patients: usize,
    /// Problems, goals, activities, barriers; closed ones too.
    items: [usize; 4],
    closed: usize,
    /// Resources kept byte for byte: those of items and those beside them.
    kept: i64,
    not_understood: usize,
}

const SAMPLES: [Sample; 5] = [
    Sample { under: "ckd-betsy", patients: 1, items: [12, 5, 9, 0], closed: 0, kept: 82, not_understood: 0 },
    Sample { under: "eltss-careplan.json", patients: 1, items: [3, 2, 3, 0], closed: 0, kept: 23, not_understood: 1 },
    Sample {
        under: "synthea-2019-milan.json",
        patients: 1,
        items: [5, 5, 13, 0],
        closed: 2,
        kept: 233,
        not_understood: 0,
    },
    Sample {
        under: "synthea-mcc-kendall.json",
        patients: 1,
        items: [16, 0, 0, 0],
        closed: 8,
        kept: 122,
        not_understood: 0,
    },
    Sample { under: "hl7-r4-examples", patients: 6, items: [2, 2, 1, 0], closed: 2, kept: 18, not_understood: 9 },
];

/// The files of a sample.
pub fn files(under: &str) -> Vec<String> {
    let path = sample(under);
    let mut found: Vec<PathBuf> = if path.is_dir() {
        std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect()
    } else {
        vec![path]
    };
    found.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    found.sort();
    found.into_iter().map(|path| path.display().to_string()).collect()
}

/// Imports files in one call: the exit code, and what it said.
pub async fn import(house: &House, files: &[String]) -> (i32, Value) {
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let done = house.cli(&[&["patient", "import"], &files[..]].concat()).await;
    (done.code, serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{}{}", done.stdout, done.stderr)))
}

/// Resources kept, and entries of the whole record.
async fn size(house: &House) -> (i64, i64) {
    let mut tables = Tables::of(house).await;
    let count = "SELECT (SELECT count(*) FROM imported_resource), (SELECT count(*) FROM entry)";
    let counted = on_db!(tables, |c| sqlx::query_as(count).fetch_one(c).await).unwrap();
    tables.close().await;
    counted
}

both!(every_sample_is_understood_as_far_as_it_goes_and_a_second_import_changes_nothing);
async fn every_sample_is_understood_as_far_as_it_goes_and_a_second_import_changes_nothing() {
    for expected in SAMPLES {
        let server = Server::new().await;
        let files = files(expected.under);
        let (code, first) = import(&server.house, &files).await;
        let patients = list(&first, "patients");
        assert_eq!((code, patients.len()), (0, expected.patients), "{}: {first}", expected.under);
        let left_out = list(&first, "not_understood");
        assert_eq!(left_out.len(), expected.not_understood, "{}: {left_out:?}", expected.under);
        for one in left_out {
            assert!(files.contains(&text(one, "file")), "{one}");
            assert!(!text(one, "path").is_empty() && !text(one, "reason").is_empty(), "{one}");
        }
        let lead = server.person("lead").await;
        let (mut kinds, mut closed) = ([0; 4], 0);
        for patient in patients {
            assert_eq!(patient["created"], true);
            let id = text(patient, "id");
            server.cli(&["team", "add", "--patient", &id, "--user", "lead", "--role", "Lead", "--lead"]).await;
            let plan = server.run(&lead, "plan.items", json!({"patient": id, "closed": true})).await;
            let open = server.run(&lead, "plan.items", json!({"patient": id})).await;
            let items: Vec<&Value> = list(&plan, "items").iter().filter(|item| item["standing"].is_null()).collect();
            assert_eq!(patient["items"], items.len());
            closed += list(&plan, "items").len() - list(&open, "items").len();
            for item in items {
                let kind = ["problem", "goal", "activity", "barrier"].iter().position(|kind| item["kind"] == *kind);
                kinds[kind.unwrap()] += 1;
                assert!(!text(item, "title").trim().is_empty() && !item["source"].is_null(), "{item}");
            }
        }
        assert_eq!((kinds, closed), (expected.items, expected.closed), "{}", expected.under);
        let before = size(&server.house).await;
        assert_eq!(before.0, expected.kept, "{}", expected.under);
        let (code, second) = import(&server.house, &files).await;
        let mut as_known = first.clone();
        for patient in as_known["patients"].as_array_mut().unwrap() {
            patient["created"] = json!(false);
        }
        assert_eq!((code, second), (0, as_known), "{}", expected.under);
        assert_eq!(size(&server.house).await, before, "{}", expected.under);
    }
}

both!(files_of_one_patient_give_the_same_in_one_call_or_one_by_one_beside_a_server_or_alone);
async fn files_of_one_patient_give_the_same_in_one_call_or_one_by_one_beside_a_server_or_alone() {
    let files = files("ckd-betsy");
    let (alone, one_by_one) = (House::new(ROOMY).await, Server::new().await);
    let (_, whole) = import(&alone, &files).await;
    let mut last = Value::Null;
    // A part that comes before the patient is not understood yet, and is when it comes again.
    for file in files.iter().chain(&files) {
        let (_, done) = import(&one_by_one.house, std::slice::from_ref(file)).await;
        last = done;
    }
    let listed = |answer: &Value| answer["patients"][0]["name"].clone();
    assert_eq!(listed(&whole), listed(&last));
    let (_, done) = import(&one_by_one.house, &files).await;
    assert_eq!(
        (&done["patients"][0]["items"], &done["patients"][0]["created"]),
        (&whole["patients"][0]["items"], &json!(false))
    );
    let identifiers = one_by_one.cli(&["patient", "list"]).await["patients"][0]["identifiers"].clone();
    let named = format!("{}|{}", text(&identifiers[0], "system"), text(&identifiers[0], "value"));
    one_by_one.person("nurse").await;
    let joined = one_by_one.cli(&["team", "add", "--patient", &named, "--user", "nurse", "--role", "Nurse"]).await;
    assert_eq!(joined["patient"], done["patients"][0]["id"]);
}

both!(a_bundle_that_cannot_be_read_names_the_place_and_brings_nothing);
async fn a_bundle_that_cannot_be_read_names_the_place_and_brings_nothing() {
    let server = Server::new().await;
    let patient = json!({"resource": {"resourceType": "Patient", "id": "p1", "name": [{"text": "Ann"}]}});
    let goal = json!({"resource": {"resourceType": "Goal", "id": "g1", "lifecycleStatus": "active",
                                   "subject": {"reference": "Patient/p1"}, "description": {"text": "Walk"}}});
    let bundle = |more: &Value| {
        json!({"resourceType": "Bundle", "type": "transaction", "entry": [patient, goal, more]}).to_string()
    };
    let whole = bundle(&json!({"resource": {"resourceType": "Basic", "id": "b"}}));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let table: [(&str, Vec<u8>, &str); 12] = [
        ("cut short", whole.as_bytes()[..whole.len() - 9].to_vec(), ""),
        ("no JSON", b"hello".to_vec(), ""),
        ("nothing", Vec::new(), ""),
        ("not UTF-8", b"{\"resourceType\":\"Patient\",\"id\":\"\xff\"}".to_vec(), ""),
        ("a member twice", whole.replace("\"id\":\"g1\"", "\"id\":\"g1\",\"id\":\"g2\"").into_bytes(), ""),
        ("too deep", whole.replace("\"Walk\"", &deep).into_bytes(), ""),
        ("a list", format!("[{whole}]").into_bytes(), ""),
        ("entries are no list", br#"{"resourceType":"Bundle","type":"batch","entry":7}"#.to_vec(), "Bundle.entry"),
        ("no type", bundle(&json!({"resource": {"id": "x"}})).into_bytes(), "Bundle.entry[2].resource.resourceType"),
        ("an unknown type", br#"{"resourceType":"Widget","id":"1"}"#.to_vec(), "Resource.resourceType"),
        ("a resource that is a text", bundle(&json!({"resource": "x"})).into_bytes(), "Bundle.entry[2].resource"),
        (
            "no patient",
            json!({"resourceType": "Bundle", "type": "batch", "entry": [goal]}).to_string().into_bytes(),
            "Bundle.entry[0].resource.subject",
        ),
    ];
    let before = size(&server.house).await;
    for (why, bytes, path) in table {
        let file = server.house.path("broken.json");
        std::fs::write(&file, bytes).unwrap();
        let name = file.display().to_string();
        let done = server.house.cli(&["patient", "import", &name]).await;
        let told: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{why}: {}", done.stderr));
        let listed = &list(&told, "not_understood")[0];
        assert_eq!((done.code, &told["patients"]), (1, &json!([])), "{why}: {told}");
        assert_eq!((&listed["file"], &listed["path"]), (&json!(name), &json!(path)), "{why}");
        assert!(!text(listed, "reason").is_empty() && !done.stderr.trim().is_empty(), "{why}");
        assert_eq!(size(&server.house).await, before, "{why}: something came in");
    }
    // A broken file beside a whole one takes nothing of it away.
    let (broken, good) = (server.house.path("broken.json"), server.house.path("good.json"));
    std::fs::write(&broken, "hello").unwrap();
    std::fs::write(&good, &whole).unwrap();
    let (code, done) = import(&server.house, &[broken, good].map(|path| path.display().to_string())).await;
    assert_eq!((code, list(&done, "patients").len(), list(&done, "not_understood").len()), (0, 1, 1), "{done}");
}

both!(an_import_over_http_answers_what_the_command_line_prints);
async fn an_import_over_http_answers_what_the_command_line_prints() {
    let server = Server::new().await;
    let (nurse, relative) =
        (server.person("nurse").await, server.person_with("relative", &["--kind", "patient"]).await);
    let body = std::fs::read(sample("synthea-mcc-kendall.json")).unwrap();
    let post = async |headers: String, body: &[u8]| server.request("POST /v1/imports", &headers, body).await;
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\nContent-Type: application/fhir+json\r\n");
    // An answer may come before a large body is read: these are small.
    assert_eq!(post(String::new(), b"{}").await.status, 401);
    assert_eq!(post(bearer(&relative.token), b"{}").await.status, 403);
    let done = post(bearer(&nurse.token), &body).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(
        (&done.json()["patients"][0]["items"], &done.json()["patients"][0]["created"]),
        (&json!(16), &json!(true))
    );
    // Whoever does not stand at the patient is not told that they are here: to them it is somebody new.
    let stranger = server.person("stranger").await;
    let again = post(bearer(&stranger.token), &body).await;
    assert_eq!((again.status, &again.json()["patients"][0]["created"]), (200, &json!(true)), "{}", again.text);
    assert_ne!(again.json()["patients"][0]["id"], done.json()["patients"][0]["id"]);
    let unread = post(bearer(&nurse.token), b"hello").await;
    assert_eq!(list(&unread.json(), "patients").len(), 0, "{}", unread.text);
    assert_eq!(server.code(&stranger, "patient.get", json!({"patient": fresh_id()})).await, "not_found");
}
