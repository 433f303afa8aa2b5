//! Files of messages over a whole engine: who reads them, when they go, how much there is room for.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde_json::{Value, json};
use tokio::io::{AsyncRead, ReadBuf};

use super::{Ward, with};
use crate::features::files::{self, Stored};
use crate::kernel::base::config::Config;
use crate::kernel::base::world::MINUTE;
use crate::kernel::base::{ChannelId, Code, FileId, ItemId, Refusal};
use crate::kernel::engine::{self, Silent};
use crate::kernel::policy::Subject;
use crate::testing::{House, id_of};

const DAY: i64 = 24 * 60 * MINUTE;

impl Ward {
    async fn try_upload(&self, who: &Subject, to: ChannelId, content: &[u8]) -> Result<Stored, Refusal> {
        files::store(&self.house.engine, who, to, "scan.txt", Some("text/plain"), content).await
    }

    async fn upload(&self, who: &Subject, to: ChannelId, content: &[u8]) -> FileId {
        self.try_upload(who, to, content).await.unwrap_or_else(|refusal| panic!("refused: {refusal:?}")).id
    }

    async fn download(&self, who: &Subject, channel: ChannelId, file: FileId) -> Result<Vec<u8>, Refusal> {
        let mut opened = files::open(&self.house.engine, who, channel, file).await?;
        let mut content = Vec::new();
        while let Some(chunk) = opened.next().await? {
            content.extend(chunk);
        }
        assert_eq!(content.len() as u64, opened.bytes());
        Ok(content)
    }

    async fn carry(&self, who: &Subject, channel: ChannelId, files: &[FileId]) -> Value {
        let data = json!({"channel": channel, "item": self.unsorted, "text": "See the scan", "files": files});
        self.house.run(who, "message.post", data).await
    }

    fn on_disk(&self) -> Vec<String> {
        let listing = std::fs::read_dir(self.house.folder.path().join("files"));
        let names = listing.into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }
}

fn holds(folder: &Path, marker: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => holds(&path, marker),
            false => std::fs::read(&path).unwrap().windows(marker.len()).any(|window| window == marker),
        }
    })
}

#[tokio::test]
async fn a_file_comes_back_as_it_was_and_lies_sealed() {
    let ward = Ward::open().await;
    for size in [0, 1, 65_535, 65_536, 65_537, 200_000] {
        let content: Vec<u8> = b"needleinahaystack".iter().copied().cycle().take(size).collect();
        let stored = ward.try_upload(&ward.nurse, ward.care_team, &content).await.unwrap();
        assert_eq!(stored.sha256, crate::kernel::crypto::hex(&crate::kernel::crypto::hash(&content)));
        assert_eq!(ward.download(&ward.nurse, ward.care_team, stored.id).await.unwrap(), content);
    }
    assert!(!holds(ward.house.folder.path(), b"needleinahaystack"));
    assert!(!holds(ward.house.folder.path(), b"scan.txt"));
}

#[tokio::test]
async fn a_file_is_its_uploaders_until_it_is_carried_and_then_its_readers() {
    let ward = Ward::open().await;
    let file = ward.upload(&ward.nurse, ward.care_team, b"INR 5.1").await;
    let code = async |who, channel, file| ward.download(who, channel, file).await.err().map(|refusal| refusal.code);
    assert_eq!(code(&ward.lead, ward.care_team, file).await, Some(Code::NotFound));
    let named = json!({"channel": ward.care_team, "item": ward.unsorted, "text": "a", "files": [file]});
    let refused = ward.house.refused(&ward.lead, "message.post", named.clone()).await;
    assert_eq!((refused.code, refused.field), (Code::NotFound, Some("files")));
    let never = with(named.clone(), json!({"files": [FileId(ward.house.world.id())]}));
    ward.same_as_missing(&ward.lead, "message.post", named, never).await;

    let posted = ward.carry(&ward.nurse, ward.care_team, &[file]).await;
    assert_eq!(ward.newest(ward.care_team).await["data"]["files"], json!([file]));
    assert_eq!(ward.download(&ward.lead, ward.care_team, file).await.unwrap(), b"INR 5.1");
    for who in [&ward.outsider, &ward.daughter] {
        assert_eq!(code(who, ward.care_team, file).await, Some(Code::NotFound));
        assert_eq!(ward.try_upload(who, ward.care_team, b"a").await.err().unwrap().code, Code::NotFound);
    }
    let family = ward.channel("shared", &[]).await;
    assert_eq!(code(&ward.nurse, family, file).await, Some(Code::NotFound));
    let elsewhere = json!({"channel": family, "item": ward.unsorted, "text": "a", "files": [file]});
    let refused = ward.house.refused(&ward.nurse, "message.post", elsewhere).await;
    assert_eq!((refused.code, refused.field), (Code::NotFound, Some("files")));
    let info = ward.house.run(&ward.lead, "file.info", json!({"channel": ward.care_team, "files": [file]})).await;
    let told = &info["files"][0];
    assert_eq!((&told["name"], &told["size"], &told["by"]), (&json!("scan.txt"), &json!(7), &json!(ward.nurse.user)));
    ward.same_as_missing(
        &ward.daughter,
        "file.info",
        json!({"channel": ward.care_team, "files": [file]}),
        json!({"channel": ChannelId(ward.house.world.id()), "files": [file]}),
    )
    .await;

    // The leaf commits to it, and a rebuild gives the same readers.
    let mut reader = ward.house.engine.reader(ward.lead.clone()).await.unwrap();
    let head = reader.head(ward.care_team).await.unwrap().unwrap();
    let (tx, vault) = reader.log();
    let seq = posted["seq"].as_i64().unwrap();
    let facts = crate::kernel::log::since(tx, vault, &head, seq - 1, seq, 1).await.unwrap();
    assert_ne!(facts[0].files, [0; 32]);
    drop(reader);
    engine::rebuild(ward.house.engine.shared()).await.unwrap();
    assert_eq!(ward.download(&ward.lead, ward.care_team, file).await.unwrap(), b"INR 5.1");
    assert_eq!(files::check(&ward.house.engine, ward.care_team).await.unwrap(), None);
}

#[tokio::test]
async fn who_leaves_gets_no_further_chunk() {
    let ward = Ward::open().await;
    let file = ward.upload(&ward.nurse, ward.care_team, &vec![b'a'; 200_000]).await;
    let late = ward.house.person("late", crate::kernel::policy::PersonKind::Practitioner).await;
    ward.join(&late).await;
    ward.carry(&ward.nurse, ward.care_team, &[file]).await;
    let mut opened = files::open(&ward.house.engine, &late, ward.care_team, file).await.unwrap();
    assert_eq!(opened.next().await.unwrap().unwrap().len(), 65_536);
    ward.leave(&late).await;
    assert_eq!(opened.next().await.unwrap_err().code, Code::NotFound);
}

/// Gives some bytes, then breaks off.
struct Broken(usize);

impl AsyncRead for Broken {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.0 == 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        self.0 -= 1;
        buf.initialize_unfilled().fill(b'a');
        buf.advance(buf.remaining());
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn what_breaks_off_leaves_nothing() {
    let ward = Ward::open().await;
    let stored = files::store(&ward.house.engine, &ward.nurse, ward.care_team, "a", None, Broken(3)).await;
    assert_eq!(stored.err().unwrap().code, Code::BadFrame);
    assert!(ward.on_disk().is_empty());
}

#[tokio::test]
async fn what_nothing_carries_goes_after_a_day() {
    let ward = Ward::open().await;
    let (kept, loose) =
        (ward.upload(&ward.nurse, ward.care_team, b"a").await, ward.upload(&ward.nurse, ward.care_team, b"b").await);
    ward.carry(&ward.nurse, ward.care_team, &[kept]).await;
    let orphan = ward.house.world.id();
    std::fs::write(ward.house.folder.path().join("files").join(orphan.to_string()), b"left by a crash").unwrap();
    let operator = ward.house.command_line().await;
    ward.house.advance(DAY - MINUTE);
    assert_eq!(files::sweep(&ward.house.engine, &operator).await.unwrap(), 0);
    ward.house.advance(2 * MINUTE);
    assert_eq!(files::sweep(&ward.house.engine, &operator).await.unwrap(), 2);
    assert_eq!(ward.on_disk(), [kept.to_string()]);
    assert!(ward.download(&ward.nurse, ward.care_team, loose).await.is_err());
    let named = json!({"channel": ward.care_team, "item": ward.unsorted, "text": "a", "files": [loose]});
    assert_eq!(ward.house.code(&ward.nurse, "message.post", named).await, Code::NotFound);
    assert_eq!(ward.download(&ward.lead, ward.care_team, kept).await.unwrap(), b"a");
}

#[tokio::test]
async fn there_is_room_for_so_much_a_file_a_channel_and_a_day() {
    let mut config = Config::default();
    config.files.disk_percent_max = 100;
    config.files.bytes_max = 100;
    config.files.channel_bytes_max = 250;
    config.files.user_bytes_per_day = 200;
    let ward = Ward::of(House::with(config, Arc::new(Silent)).await).await;
    let code = async |who, size| {
        let content = vec![b'a'; size];
        ward.try_upload(who, ward.care_team, &content).await.err().map(|refusal| refusal.code)
    };
    assert_eq!(code(&ward.nurse, 101).await, Some(Code::TooLarge));
    assert!(ward.on_disk().is_empty());
    assert_eq!(code(&ward.nurse, 100).await, None);
    assert_eq!(code(&ward.nurse, 99).await, None);
    assert_eq!(code(&ward.nurse, 2).await, Some(Code::TooLarge));
    assert_eq!(code(&ward.lead, 52).await, Some(Code::TooLarge));
    assert_eq!(code(&ward.lead, 51).await, None);
    ward.house.advance(DAY + MINUTE);
    assert_eq!(code(&ward.lead, 1).await, Some(Code::TooLarge));
    files::sweep(&ward.house.engine, &ward.house.command_line().await).await.unwrap();
    assert_eq!(code(&ward.nurse, 100).await, None);
}

#[tokio::test]
async fn a_full_disk_takes_no_files() {
    let mut config = Config::default();
    config.files.disk_percent_max = 0;
    let ward = Ward::of(House::with(config, Arc::new(Silent)).await).await;
    assert_eq!(ward.try_upload(&ward.nurse, ward.care_team, b"a").await.err().unwrap().code, Code::Busy);
}

#[tokio::test]
async fn files_of_the_wrong_patient_are_served_no_more_and_copies_go_along() {
    let ward = Ward::open().await;
    let answer = ward.house.run(&ward.nurse, "patient.register", json!({"name": "Ada Okafor"})).await;
    let (channel, item): (ChannelId, ItemId) = (id_of(&answer, "care_team"), id_of(&answer["items"], "whole"));
    let wrong = ward.upload(&ward.nurse, ward.care_team, b"INR 5.1").await;
    let posted = ward.carry(&ward.nurse, ward.care_team, &[wrong]).await;
    let copy = ward.upload(&ward.nurse, channel, b"INR 5.1").await;
    let data =
        json!({"message": posted["id"], "channel": channel, "item": item, "reason": "Her sister", "files": [wrong]});
    let refused = ward.house.refused(&ward.nurse, "message.move", data.clone()).await;
    assert_eq!((refused.code, refused.field), (Code::NotFound, Some("files")));
    ward.house.run(&ward.nurse, "message.move", with(data, json!({"files": [copy]}))).await;
    for _ in 0..2 {
        for who in [&ward.nurse, &ward.lead] {
            let refused = ward.download(who, ward.care_team, wrong).await.err().unwrap();
            assert_eq!(refused.code, Code::NotFound);
        }
        assert_eq!(ward.download(&ward.nurse, channel, copy).await.unwrap(), b"INR 5.1");
        assert_eq!(files::check(&ward.house.engine, ward.care_team).await.unwrap(), None);
        engine::rebuild(ward.house.engine.shared()).await.unwrap();
    }
    // What is withheld stays sealed where it is.
    ward.house.advance(2 * DAY);
    files::sweep(&ward.house.engine, &ward.house.command_line().await).await.unwrap();
    assert_eq!(ward.on_disk().len(), 2);
}

#[tokio::test]
async fn a_stored_file_that_was_changed_cut_or_swapped_is_found() {
    let ward = Ward::open().await;
    let (one, other) = (
        ward.upload(&ward.nurse, ward.care_team, b"one").await,
        ward.upload(&ward.nurse, ward.care_team, b"two").await,
    );
    let posted = ward.carry(&ward.nurse, ward.care_team, &[one, other]).await;
    let path = |file: FileId| ward.house.folder.path().join("files").join(file.to_string());
    let (sound, second) = (std::fs::read(path(one)).unwrap(), std::fs::read(path(other)).unwrap());
    let mut flipped = sound.clone();
    flipped[30] ^= 1;
    for content in [flipped.as_slice(), &sound[..sound.len() - 1], &sound[..10], &second] {
        std::fs::write(path(one), content).unwrap();
        let found = files::check(&ward.house.engine, ward.care_team).await.unwrap();
        assert_eq!(found.map(|(seq, _)| seq), posted["seq"].as_i64());
        assert!(ward.download(&ward.lead, ward.care_team, one).await.is_err());
    }
    std::fs::remove_file(path(one)).unwrap();
    assert!(files::check(&ward.house.engine, ward.care_team).await.unwrap().is_some());
    std::fs::write(path(one), &sound).unwrap();
    assert_eq!(files::check(&ward.house.engine, ward.care_team).await.unwrap(), None);
}
