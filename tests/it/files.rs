//! Files of messages over HTTP: in and out as they were, to those who may read the message, in little memory, with nothing left on the
//! disk that could be read.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::http::{self, Answer};
use super::server::{Person, ROOMY, Server, list, text};
use super::ward::Ward;

/// Settings with more of them about files.
fn settings(more: &str) -> String {
    ROOMY.replacen("[files]\n", &format!("[files]\n{more}"), 1)
}

struct Scene {
    server: Server,
    ward: Ward,
}

impl Scene {
    async fn open(more: &str) -> Self {
        let server = Server::with(&settings(more)).await;
        let lead = server.person("lead").await;
        let ward = Ward::open(&server, lead).await;
        Self { server, ward }
    }

    fn route(&self, channel: &str) -> String {
        format!("/v1/channels/{}/files", self.ward.id(channel))
    }

    async fn upload(&self, who: &Person, channel: &str, content: &[u8]) -> Answer {
        let headers = format!(
            "Authorization: Bearer {}\r\nContent-Type: text/plain\r\nX-File-Name: M%C3%BCller%20lab.txt\r\n",
            who.token
        );
        self.server.request(&format!("POST {}", self.route(channel)), &headers, content).await
    }

    async fn download(&self, who: &Person, channel: &str, file: &str) -> Answer {
        let headers = format!("Authorization: Bearer {}\r\n", who.token);
        self.server.request(&format!("GET {}/{file}", self.route(channel)), &headers, b"").await
    }

    async fn carry(&self, channel: &str, item: &str, file: &str) -> Value {
        let data =
            json!({"channel": self.ward.id(channel), "item": self.ward.id(item), "text": "See there", "files": [file]});
        self.server.run(&self.ward.lead, "message.post", data).await
    }

    fn on_disk(&self) -> usize {
        std::fs::read_dir(self.server.house.data().join("files")).unwrap().count()
    }

    /// Kilobytes that the server's process has resident.
    fn resident_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

fn holds(folder: &Path, marker: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => holds(&path, marker),
            false => std::fs::read(&path).is_ok_and(|all| all.windows(marker.len()).any(|window| window == marker)),
        }
    })
}

fn content(size: usize) -> Vec<u8> {
    b"the-needle-of-this-test ".iter().copied().cycle().take(size).collect()
}

both!(files_come_back_as_they_were_and_lie_sealed);
async fn files_come_back_as_they_were_and_lie_sealed() {
    let scene = Scene::open("").await;
    let lead = &scene.ward.lead;
    let colleague = scene.server.person("colleague").await;
    scene.ward.add(&scene.server, &colleague, json!({})).await;
    for size in [0, 1, 64 << 10, 10 << 20] {
        let content = content(size);
        let stored = scene.upload(lead, "staff", &content).await;
        assert_eq!(stored.status, 201, "{}", stored.text);
        let (stored, id) = (stored.json(), text(&stored.json(), "id"));
        assert_eq!((stored["size"].as_u64(), text(&stored, "sha256").len()), (Some(size as u64), 64));
        scene.carry("staff", "goal", &id).await;
        let back = scene.download(&colleague, "staff", &id).await;
        assert!(back.status == 200 && back.text.as_bytes() == content, "{size}");
        let expected = [
            ("content-length", size.to_string().as_str().to_owned()),
            ("content-disposition", "attachment; filename*=UTF-8''M%C3%BCller%20lab.txt".into()),
            ("content-security-policy", "sandbox; default-src 'none'; frame-ancestors 'none'".into()),
            ("x-content-type-options", "nosniff".into()),
            ("cache-control", "no-store".into()),
            ("content-type", text(&stored, "type")),
        ];
        for (name, value) in expected {
            assert_eq!(back.header(name), value, "{name}");
        }
    }
    for marker in [b"the-needle-of-this-test".as_slice(), "Müller lab.txt".as_bytes()] {
        assert!(!holds(&scene.server.house.data(), marker));
        assert!(!holds(&scene.server.house.path("tmp"), marker));
    }
    assert!(!scene.server.house.log().contains("Müller"));
    let verified = scene.server.cli(&["verify", "--record"]).await;
    assert_eq!(verified["ok"], true, "{verified}");
}

both!(a_file_is_for_those_who_read_its_message);
async fn a_file_is_for_those_who_read_its_message() {
    let scene = Scene::open("").await;
    let lead = &scene.ward.lead;
    let stranger = scene.server.person("stranger").await;
    let daughter = scene.server.person_with("daughter", &["--kind", "related-person"]).await;
    scene.ward.add(&scene.server, &daughter, json!({})).await;
    let id = text(&scene.upload(lead, "staff", b"for staff").await.json(), "id");
    scene.carry("staff", "goal", &id).await;
    let shared = text(&scene.upload(lead, "shared", b"for all").await.json(), "id");
    scene.carry("shared", "shared_goal", &shared).await;
    let never = "0197aaaa-aaaa-7aaa-8aaa-aaaaaaaaaaaa";
    for who in [&stranger, &daughter] {
        let (hidden, missing) = (scene.download(who, "staff", &id).await, scene.download(who, "staff", never).await);
        assert_eq!((hidden.status, &hidden.text), (404, &missing.text));
        assert_eq!(hidden.json()["code"], "not_found");
        assert_eq!(scene.upload(who, "staff", b"a").await.json()["code"], "not_found");
    }
    assert_eq!(scene.download(&daughter, "shared", &shared).await.text, "for all");
    assert_eq!(scene.download(&daughter, "shared", &id).await.status, 404);
    assert_eq!(scene.upload(lead, "archived", b"a").await.json()["code"], "archived");
    assert_eq!(scene.upload(lead, "plan", b"a").await.json()["code"], "forbidden");
    let note = json!({"channel": scene.ward.id("staff"), "item": scene.ward.id("goal"), "medium": "phone", "text": "a", "files": [id],
                      "held_at": "2026-01-02T03:04:05Z", "with": [{"name": "Dr. Osei"}]});
    scene.server.run(lead, "note.log", note).await;
    let history = scene.server.run(lead, "history", json!({"channel": scene.ward.id("staff"), "limit": 1})).await;
    assert_eq!(list(&history, "events")[0]["data"]["files"], json!([id]));
}

both!(there_is_no_more_room_than_the_site_gives);
async fn there_is_no_more_room_than_the_site_gives() {
    let scene = Scene::open("bytes_max = 100000\nuser_bytes_per_day = 150000\n").await;
    let lead = &scene.ward.lead;
    assert_eq!(scene.upload(lead, "staff", &content(100_001)).await.json()["code"], "too_large");
    assert_eq!(scene.on_disk(), 0);
    assert_eq!(scene.upload(lead, "staff", &content(100_000)).await.status, 201);
    assert_eq!(scene.upload(lead, "shared", &content(50_001)).await.json()["code"], "too_large");
    assert_eq!(scene.upload(lead, "shared", &content(50_000)).await.status, 201);
    assert_eq!(scene.on_disk(), 2);
}

both!(an_upload_that_breaks_off_leaves_nothing);
async fn an_upload_that_breaks_off_leaves_nothing() {
    let scene = Scene::open("").await;
    let mut stream = http::connect(scene.server.address, &scene.server.tls).await.unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nX-File-Name: a\r\nContent-Length: 1000000\r\n\r\n",
        scene.route("staff"),
        scene.ward.lead.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&content(300_000)).await.unwrap();
    stream.flush().await.unwrap();
    until("the upload has begun", || scene.on_disk() == 1).await;
    drop(stream);
    until("nothing is left of it", || scene.on_disk() == 0).await;
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not in time: {what}");
}

sqlite_only!(a_large_file_passes_in_little_memory, "Both ways are the same on either database.");
async fn a_large_file_passes_in_little_memory() {
    const SIZE: usize = 100 << 20;
    // More than this is no window of a few chunks, queues of TLS and a socket, and what the allocator keeps.
    const GROWTH_KB_MAX: u64 = 24 << 10;
    let scene = Scene::open("").await;
    let mut stream = http::connect(scene.server.address, &scene.server.tls).await.unwrap();
    let token = &scene.ward.lead.token;
    scene.upload(&scene.ward.lead, "shared", b"").await;
    let before = scene.resident_kb();
    let mut most = before;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nX-File-Name: a\r\nContent-Length: {SIZE}\r\n\r\n",
        scene.route("staff"),
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let piece = content(1 << 20);
    for _ in 0..SIZE >> 20 {
        stream.write_all(&piece).await.unwrap();
        most = most.max(scene.resident_kb());
    }
    stream.flush().await.unwrap();
    let mut answer = vec![0; 16 << 10];
    let count = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let stored: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let head = format!(
        "GET {}/{} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n",
        scene.route("staff"),
        text(&stored, "id")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let (mut read, mut buffer) = (0, vec![0; 1 << 20]);
    while read < SIZE {
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "cut off after {read} bytes");
        read += count;
        if (read >> 20) % 4 == 0 {
            most = most.max(scene.resident_kb());
        }
    }
    assert!(most - before < GROWTH_KB_MAX, "from {before} kB to {most} kB");
}

both!(a_page_of_ours_opens_files_by_its_cookie_and_no_other_page_does);
async fn a_page_of_ours_opens_files_by_its_cookie_and_no_other_page_does() {
    let scene = Scene::open("").await;
    let file = text(&scene.upload(&scene.ward.lead, "staff", b"a picture").await.json(), "id");
    scene.carry("staff", "goal", &file).await;
    let get = async |headers: &str| {
        let cookie = format!("Cookie: __Host-carethread={}\r\n{headers}", scene.ward.lead.token);
        scene.server.request(&format!("GET {}/{file}", scene.route("staff")), &cookie, b"").await.status
    };
    assert_eq!(get("Sec-Fetch-Site: same-origin\r\n").await, 200);
    for other in ["", "Sec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site: same-site\r\n", "Sec-Fetch-Site: none\r\n"] {
        assert_eq!(get(other).await, 401, "{other}");
    }
    assert_eq!(get("Sec-Fetch-Site: same-origin\r\nOrigin: https://evil.example\r\n").await, 403);
}
