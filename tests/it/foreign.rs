//! Any WebSocket client will do: a client that others wrote signs in in each way there is, and is heard and hears.

use std::path::Path;

use serde_json::json;

use super::server::{Server, text};
use super::ward::Ward;

both!(a_client_that_others_wrote_signs_in_in_every_way_and_is_heard);
async fn a_client_that_others_wrote_signs_in_in_every_way_and_is_heard() {
    let python = std::env::var_os("CARETHREAD_TEST_PYTHON");
    let python = python.expect("CARETHREAD_TEST_PYTHON names a Python with websockets: tests/run makes one");
    let server = Server::new().await;
    let ward = Ward::open(&server, server.person("lead").await).await;
    let headers = format!("Authorization: Bearer {}\r\n", ward.lead.token);
    let issued = server.request("POST /v1/ws-tickets", &headers, b"").await;
    assert_eq!(issued.status, 201, "{}", issued.text);
    let mut command = tokio::process::Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/foreign.py"));
    command.arg(server.address.port().to_string()).arg(server.house.data().join("tls/cert.pem"));
    command.args([&ward.lead.token, &text(&issued.json(), "ticket")]).args([ward.id("staff"), ward.id("goal")]);
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = server.run(&ward.lead, "history", json!({"channel": ward.id("staff"), "limit": 1})).await;
    assert!(text(&page["events"][0]["data"], "text").starts_with("Blåbär \u{1f489} \0 x"), "byte for byte");
}
