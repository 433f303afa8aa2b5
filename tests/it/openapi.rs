//! The OpenAPI document tried by somebody else's program: schemathesis (PyPI) makes requests up from it and judges the answers.
//! In the suite for some seconds; `CARETHREAD_SCHEMATHESIS_SECONDS=300 cargo test --test it schemathesis` for longer.

use std::path::Path;

use serde_json::json;
use tokio::process::Command;

use super::foreign::Scene;

/// Enough to go through every route and op several times.
const SECONDS: &str = "25";

both!(schemathesis_finds_nothing);
async fn schemathesis_finds_nothing() {
    let scene = Scene::new().await;
    let (server, ward) = (&scene.server, &scene.ward);
    let python = std::env::var_os("CARETHREAD_TEST_PYTHON").expect("CARETHREAD_TEST_PYTHON: tests/run makes one");
    let program = Path::new(&python).with_file_name("schemathesis");
    assert!(program.is_file(), "there is no {}: tests/run installs it", program.display());
    let seconds = std::env::var("CARETHREAD_SCHEMATHESIS_SECONDS").unwrap_or_else(|_| SECONDS.into());
    let url = format!("https://localhost:{}", server.address.port());
    let certificate = server.house.data().join("tls/cert.pem");
    let known = json!({"patient": ward.id("patient"), "channel": ward.id("staff"), "item": ward.id("goal"), "user": ward.lead.id,
                       "message": ward.id("message_staff"), "reply_to": ward.id("note_staff")});
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemathesis");
    let mut command = Command::new(program);
    command.arg("--config-file").arg(own.join("schemathesis.toml")).args(["run", &format!("{url}/v1/openapi.json")]);
    command.args(["--max-time", &seconds, "--continue-on-failure", "--no-color", "--warnings", "off"]);
    // The ninth wrong password of one handle is answered after 16 s, as it should be.
    command.args(["--request-timeout", "40"]);
    command.args(["--suppress-health-check", "all"]).arg("--tls-verify").arg(&certificate);
    command.env("SCHEMATHESIS_HOOKS", "hooks").env("CARETHREAD_KNOWN", known.to_string()).env("CARETHREAD_URL", &url);
    command.env("PYTHONPATH", own);
    command.env("CARETHREAD_CERTIFICATE", &certificate).env("CARETHREAD_SIGN_IN", scene.sign_in());
    let output = command.current_dir(server.house.path("tmp")).kill_on_drop(true).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
