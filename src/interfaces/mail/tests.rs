//! LMTP over a wire in memory: the steps in their order, an answer for each recipient, and limits.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::{Listener, session};
use crate::kernel::base::config::Mail;
use crate::kernel::policy::PersonKind;
use crate::testing::House;

/// Says all of it at once, as pipelining allows, and gives the codes that were answered.
async fn said(house: &House, free: bool, text: &[u8]) -> Vec<String> {
    let (mut peer, line) = tokio::io::duplex(64 << 10);
    let (engine, host) = (house.engine.clone(), house.command_line().await);
    let served = tokio::spawn(async move { session::run(line, &engine, &host, free, CancellationToken::new()).await });
    let (mut reader, mut writer) = tokio::io::split(&mut peer);
    let writing = async {
        let _ = writer.write_all(text).await;
        let _ = writer.shutdown().await;
    };
    let mut answer = String::new();
    let (_, read) = tokio::join!(writing, reader.read_to_string(&mut answer));
    read.unwrap();
    let _ = served.await.unwrap();
    let last = |line: &&str| line.as_bytes().get(3) == Some(&b' ');
    answer.lines().filter(last).map(|line| line.get(..3).unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn each_recipient_of_a_mail_has_an_answer() {
    let house = House::new().await;
    let nurse = house.person("nurse", PersonKind::Practitioner).await;
    house
        .run(&house.command_line().await, "user.email", json!({"handle": "nurse", "add": "nurse@clinic.example"}))
        .await;
    let text = b"LHLO mx\r\nMAIL FROM:<nurse@clinic.example>\r\nRCPT TO:<p-abcdefghijklmnop@localhost>\r\nRCPT TO:<a@elsewhere.example>\r\nRCPT TO:<p-bbcdefghijklmnop@localhost>\r\nDATA\r\nFrom: nurse@clinic.example\r\nSubject: Dose\r\n\r\n..dots\r\n.\r\nQUIT\r\n";
    let codes = said(&house, true, text).await;
    assert_eq!(codes, ["220", "250", "250", "250", "550", "250", "354", "250", "250", "221"]);
    let mails = house.run(&nurse, "intake.list", json!({})).await;
    assert_eq!(mails["mails"].as_array().unwrap().len(), 1, "one mail to no channel waits once");
    assert_eq!(mails["mails"][0]["content"]["text"], json!("Dose\n\n.dots"));
}

#[tokio::test]
async fn steps_have_an_order_and_what_is_wrong_an_answer() {
    let house = House::new().await;
    let codes = said(&house, true, b"MAIL FROM:<a@b>\r\nEHLO x\r\nLHLO x\r\nRCPT TO:<a@localhost>\r\nDATA\r\nMAIL FROM:<a@b> SIZE=99999999\r\nnonsense\r\nNOOP\r\nRSET\r\n").await;
    assert_eq!(codes, ["220", "503", "500", "250", "503", "503", "552", "500", "250", "250"]);
    let no_mail = b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@localhost>\r\nDATA\r\nnothing\r\n.\r\n";
    assert_eq!(said(&house, true, no_mail).await, ["220", "250", "250", "250", "354", "554"]);
    assert_eq!(said(&house, false, b"").await, ["421"]);
    let long = [b"NOOP ".to_vec(), vec![b'a'; 5000], b"\r\nNOOP\r\n".to_vec()].concat();
    assert_eq!(said(&house, true, &long).await, ["220", "500", "250"]);
    let many = b"nonsense\r\n".repeat(50);
    assert_eq!(said(&house, true, &many).await.last().map(String::as_str), Some("421"));
    let large = [
        b"LHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<a@localhost>\r\nDATA\r\nSubject: s\r\n\r\n".to_vec(),
        b"aaaaaaa\r\n".repeat(1_300_000),
        b".\r\nNOOP\r\n".to_vec(),
    ]
    .concat();
    assert_eq!(said(&house, true, &large).await, ["220", "250", "250", "250", "354", "552", "250"]);
}

#[tokio::test]
async fn nobody_else_reaches_it_unless_that_is_said() {
    let of = |lmtp: &str, lmtp_open| Mail { lmtp: Some(lmtp.to_owned()), lmtp_open, ..Mail::default() };
    assert!(Listener::open(&Mail::default()).await.unwrap().is_none());
    assert!(Listener::open(&of("0.0.0.0:0", false)).await.is_err());
    assert!(Listener::open(&of("0.0.0.0:0", true)).await.unwrap().is_some());
    assert!(Listener::open(&of("127.0.0.1:0", false)).await.unwrap().is_some());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lmtp");
    let place = format!("unix:{}", path.display());
    let listener = Listener::open(&of(&place, false)).await.unwrap();
    assert!(path.exists());
    drop(listener);
    assert!(!path.exists());
}
