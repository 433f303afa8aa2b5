//! The record in every form it is taken out in, read by other people's software: what was written comes out as text.

use std::path::Path;

use serde_json::{Value, json};

use super::server::Server;
use super::ward::Ward;

/// Whatever people or programs may write into a message.
fn hostile() -> Vec<String> {
    let long = "longword".repeat(1000);
    let texts = [
        "<script>alert('x')</script> <img src=x onerror=alert(1)> &amp; ]]> -->",
        "MSH|^~\\&|EVIL|X\rPID|1||9999^^^X^MR\rOBX|1|FT|x||injected||||||F",
        "\\F\\ \\S\\ \\T\\ \\R\\ \\E\\ \\.br\\ \\X0D\\ C:\\new\\file",
        "bell \u{7} escape \u{1b}[31m vertical \u{b} separator \u{1c} next \u{85} end",
        "\u{202e}reversed\u{202c} \u{2066}isolated\u{2069}",
        "שלום עולם (abc) 123",
        "مرحبا بالعالم",
        "漢字かな交じり文",
        "😀 👩\u{200d}⚕️ e\u{301} ŠŽ Ελληνικά Кириллица",
        "two\nlines\n\nand a gap",
    ];
    texts.into_iter().map(str::to_owned).chain([long]).collect()
}

both!(every_text_comes_out_of_every_form_as_text);
async fn every_text_comes_out_of_every_form_as_text() {
    let server = Server::new().await;
    let lead = server.person("lead").await;
    let ward = Ward::open(&server, lead).await;
    for text in hostile() {
        let data = json!({"channel": ward.id("staff"), "item": ward.id("goal"), "text": text});
        server.run(&ward.lead, "message.post", data).await;
    }
    let texts = server.house.path("texts.json");
    std::fs::write(&texts, serde_json::to_vec(&hostile()).unwrap()).unwrap();
    let export = async |format: &str| -> (std::path::PathBuf, Value) {
        let out = server.house.path(&format!("out.{format}"));
        let path = out.to_str().unwrap().to_owned();
        let done = server.cli(&["export", "--patient", ward.id("patient"), "--format", format, "--out", &path]).await;
        (out, done)
    };
    let mut read = vec![texts];
    for form in ["html", "pdf", "hl7v2", "fhir-transaction", "fhir-document", "ndjson", "proof"] {
        let (out, told) = export(form).await;
        assert!(told["entries"].as_u64() >= Some(hostile().len() as u64), "{form}");
        read.push(out);
    }
    let python = std::env::var_os("CARETHREAD_TEST_PYTHON");
    let python =
        python.expect("CARETHREAD_TEST_PYTHON names a Python with hl7, hl7apy and pikepdf: tests/run makes one");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/judge_transcripts.py");
    let judged = tokio::process::Command::new(python).arg(script).args(read).output().await.unwrap();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
}
