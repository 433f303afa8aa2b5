//! `bench growth`: what it fills in large transactions is a record like any other.

use serde_json::{Value, json};

use super::database::{Base, Database};
use super::server::House;

both!(a_record_that_was_filled_for_a_bench_verifies);
async fn a_record_that_was_filled_for_a_bench_verifies() {
    let house = House::new("").await;
    let base = (Database::chosen() == Database::Postgres).then(Base::new);
    let folder = house.path("bench").display().to_string();
    std::fs::create_dir(&folder).unwrap();
    let mut arguments = vec!["bench", "growth", "--folder", &folder, "--keep", "--entries", "300,1200"];
    arguments.extend(["--patients", "3", "--seconds", "1", "--writers", "4"]);
    if let Some(base) = &base {
        arguments.extend(["--database", &base.url]);
    }
    let done = house.cli(&arguments).await;
    let rows = done.json()["growth"].as_array().cloned().unwrap();
    assert_eq!(rows.len(), 2, "{}", done.stdout);
    for (row, entries) in rows.iter().zip([300, 1200]) {
        assert!(row["entries"].as_u64().unwrap() >= entries, "{row}");
        assert_eq!(row["channels"], 6, "two channels a patient");
        for figure in ["append_per_s", "resume_ms", "list_ms", "newest_ms", "last_1000_ms", "start_ms", "rss_kib"] {
            assert!(row[figure].as_f64().unwrap() > 0.0, "{figure}: {row}");
        }
    }
    let kept = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_carethread"));
    command.args(["verify", "--record", "--json", "--data"]).arg(&kept).env_remove("CARETHREAD_DATABASE_URL");
    if let Some(base) = &base {
        command.args(["--database", &base.url]);
    }
    let output = command.output().await.unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["ok"], &told["faults"]), (&json!(true), &json!([])), "{told}");
    assert!(told["entries"].as_u64().unwrap() >= 1200);
}
