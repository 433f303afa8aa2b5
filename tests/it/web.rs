//! The web client: the program serves what was built from its source, and its tests hold in Chromium against this program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::process::Command;

use super::foreign::program;
use super::server::Server;

/// Chromium on two busy cores, every page in turn.
const PATIENCE: Duration = Duration::from_secs(1500);

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/web")
}

async fn npm(arguments: &[&str]) {
    assert!(
        package().join("node_modules").is_dir(),
        "clients/web/node_modules is missing: tests/run makes it (npm ci)"
    );
    let mut command = Command::new(program("npm"));
    command.args(arguments).env("CARETHREAD_BIN", env!("CARGO_BIN_EXE_carethread"));
    let output = command.current_dir(package()).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, output).await.expect("it ends").unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    found
}

both!(the_program_serves_the_page_and_nothing_else);
async fn the_program_serves_the_page_and_nothing_else() {
    let server = Server::new().await;
    let page = server.request("GET /", "", b"").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'; script-src 'self'; style-src 'self'") && !policy.contains("unsafe"),
        "{policy}"
    );
    let built = files(&package().join("dist"));
    assert!(built.len() > 5 && built.contains_key("index.html"));
    for name in built.keys().filter(|name| *name != "index.html") {
        let found = server.request(&format!("GET /{name}"), "", b"").await;
        assert_eq!((found.status, found.header("cache-control")), (200, "no-cache"), "{name}");
        assert_eq!(found.header("x-content-type-options"), "nosniff");
        let expected = match name.rsplit_once('.').unwrap().1 {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            "woff2" => "font/woff2",
            "html" => "text/html; charset=utf-8",
            other => panic!("{name}: what is a file of .{other} served as?"),
        };
        assert_eq!(found.header("content-type"), expected, "{name}");
        if expected.starts_with("text/") {
            assert_eq!(found.text.as_bytes(), built[name], "{name}");
        }
        let tag = found.header("etag").to_owned();
        let known = server.request(&format!("GET /{name}"), &format!("If-None-Match: W/{tag}\r\n"), b"").await;
        assert_eq!((known.status, known.text.len(), known.header("etag")), (304, 0, &*tag), "{name}");
    }
    for outside in [
        "/index.js",
        "/assets/../index.html",
        "/assets/..%2findex.html",
        "/..%2fCargo.toml",
        "/assets/",
        "/.well-known/",
        "/dist/index.html",
    ] {
        let answer = server.request(&format!("GET {outside}"), "", b"").await;
        assert_eq!((answer.status, &answer.json()["code"]), (404, &json!("not_found")), "{outside}");
    }
}

both!(scripts_travel_packed_to_those_who_unpack);
async fn scripts_travel_packed_to_those_who_unpack() {
    let server = Server::new().await;
    let tag = |accepts: &'static str| {
        let server = &server;
        async move {
            let answer = server.request("GET /assets/index.js", accepts, b"").await;
            let size: usize = answer.header("content-length").parse().unwrap();
            (answer.header("content-encoding").to_owned(), answer.header("etag").to_owned(), size)
        }
    };
    let (plain, packed) = (tag("").await, tag("Accept-Encoding: br, gzip;q=0.8\r\n").await);
    assert_eq!((&*plain.0, &*packed.0), ("", "gzip"));
    assert!(packed.2 < plain.2 / 2 && packed.1 != plain.1, "{plain:?} {packed:?}");
    assert!(packed.2 <= 150_000, "the first load is at most 150 kB of script: {packed:?}");
    assert_eq!(tag("Accept-Encoding: gzip;q=0\r\n").await, plain);
}

sqlite_only!(what_is_served_was_built_from_the_source, "A build of the pages, without a server.");
async fn what_is_served_was_built_from_the_source() {
    npm(&["run", "check"]).await;
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("dist");
    npm(&["run", "build", "--", "--emptyOutDir", "--outDir", made.to_str().unwrap()]).await;
    let (made, kept) = (files(&made), files(&package().join("dist")));
    let differing: Vec<&String> =
        made.keys().chain(kept.keys()).filter(|name| made.get(*name) != kept.get(*name)).collect();
    assert!(differing.is_empty(), "clients/web/dist is not what `npm run build` makes: {differing:?}");
}

sqlite_only!(the_pages_hold_against_this_program, "The tests of the pages start servers of their own.");
async fn the_pages_hold_against_this_program() {
    npm(&["run", "e2e"]).await;
}
