//! E-mail in, from outside: by HTTP and by LMTP, every sample mail, and what waits for a person. LMTP is spoken by Python's smtplib.

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::process::Command;

use super::server::{House, Person, ROOMY, Server, list, text};
use super::ward::Ward;

/// Hands the files over, in order: from, to, file, .. ; prints what was answered, one line a mail.
const HAND_OVER: &str = r#"
import smtplib, sys
place, *mails = sys.argv[1:]
for sender, to, path in zip(mails[::3], mails[1::3], mails[2::3]):
    peer = smtplib.LMTP(place)
    try:
        refused = peer.sendmail(sender, to.split(","), open(path, "rb").read())
        print("taken", sorted(code for code, _ in refused.values()))
    except smtplib.SMTPResponseException as error:
        print("refused", error.smtp_code)
    except smtplib.SMTPRecipientsRefused as error:
        print("refused", sorted(code for code, _ in error.recipients.values()))
    peer.quit()
"#;

/// Each sample, when it was written, and words of its text.
const SAMPLES: [(&str, &str, &[&str]); 6] = [
    (
        "forwarded-as-rfc822-part.eml",
        "1998-08-13T07:42:41",
        &[
            "[Fwd: Map of Argentina with Description]\n\nFred,\n\nFire up Air Force One!",
            "Hi A1,\n\nI finally figured out this MIME thing.",
        ],
    ),
    (
        "forwarded-inline-qp.eml",
        "2005-05-08T18:17:00",
        &[
            "Fwd: Signed email causes file attachments\n\nWe should not include",
            "Test attachments oddly encoded with japanese charset.",
        ],
    ),
    ("japanese-subject-attachment.eml", "2009-10-30T08:11:02", &["まみむめもまみむめも"]),
    (
        "outlook-alternative-related.eml",
        "2000-05-17T23:47:24",
        &[
            "A HARE one day ridiculed the short feet and slow pace of the Tortoise, who replied, laughing:",
            "Slow but steady wins the race.",
        ],
    ),
    (
        "pdf-non-ascii-name.eml",
        "2005-05-10T17:26:39",
        &["Another PDF with \u{1f389} Unicode chars in it \u{1f37f}\n\nJust attaching another PDF, here, to see"],
    ),
    ("reply-format-flowed.eml", "2007-11-18T08:56:07", &["Re: Test reply email\n\nMessage body"]),
];

fn mail(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/mail").join(name)
}

async fn newest(server: &Server, person: &Person, channel: &str) -> Value {
    let page = server.run(person, "history", json!({"channel": channel, "limit": 1})).await;
    list(&page, "events")[0].clone()
}

#[track_caller]
fn is_right(event: &Value, held: &str, words: &[&str]) {
    let data = &event["data"];
    assert_eq!((&event["event"], &data["medium"]), (&json!("note.logged"), &json!("email")));
    assert!(text(data, "held_at").starts_with(held), "{data}");
    let text = text(data, "text");
    words.iter().for_each(|part| assert!(text.contains(part), "{part:?} in {text:?}"));
    assert!(!list(data, "files").is_empty(), "the original");
}

both!(a_mail_by_http_is_a_note);
async fn a_mail_by_http_is_a_note() {
    let server = Server::with(ROOMY).await;
    let ward = Ward::open(&server, server.person("lead").await).await;
    let stranger = server.person("stranger").await;
    let path = |more: &str| format!("POST /v1/intake/email?channel={}{more}", ward.id("staff"));
    let bearer =
        |person: &Person| format!("Authorization: Bearer {}\r\nContent-Type: message/rfc822\r\n", person.token);
    for (name, held, words) in SAMPLES {
        let raw = std::fs::read(mail(name)).unwrap();
        let answer = server.request(&path(""), &bearer(&ward.lead), &raw).await;
        assert_eq!(answer.status, 201, "{name}: {}", answer.text);
        let reply = answer.json();
        assert_eq!(reply["late"], json!(true));
        let event = newest(&server, &ward.lead, ward.id("staff")).await;
        assert_eq!((&event["data"]["id"], &event["data"]["item"]), (&reply["id"], &json!(ward.id("unsorted"))));
        is_right(&event, held, words);
        let again = server.request(&path(&format!("&item={}", ward.id("goal"))), &bearer(&ward.lead), &raw).await;
        assert_eq!((again.status, &again.json()["id"], &again.json()["repeat"]), (201, &reply["id"], &json!(true)));
        assert_eq!(server.request(&path(""), &bearer(&stranger), &raw).await.status, 404);
    }
    assert_eq!(server.request(&path(""), &bearer(&ward.lead), b"no mail").await.status, 400);
    assert_eq!(server.request(&path(""), "", b"From: a@b\n\nx").await.status, 401);
    assert_eq!(server.request("POST /v1/intake/email", &bearer(&ward.lead), b"From: a@b\n\nx").await.status, 400);
    let large = vec![b'a'; (10 << 20) + 1];
    assert_eq!(server.request(&path(""), &bearer(&ward.lead), &large).await.status, 413);
}

both!(mail_by_lmtp_is_a_note_or_waits);
async fn mail_by_lmtp_is_a_note_or_waits() {
    let mut house = House::new(&format!("{ROOMY}[mail]\ndomain = \"mail.clinic.example\"\n")).await;
    let place = house.path("lmtp");
    house.set("CARETHREAD_MAIL_LMTP", &format!("unix:{}", place.display()));
    let server = house.serve().await;
    let ward = Ward::open(&server, server.person("lead").await).await;
    let (staff, lead) = (ward.id("staff"), &ward.lead);
    let about = json!({"channel": staff, "item": ward.id("goal")});
    let address = text(&server.run(lead, "channel.mail_address", about).await, "address");
    assert!(address.ends_with("@mail.clinic.example"), "{address}");
    server.cli(&["user", "email", "--handle", "lead", "--add", "doug@example.com"]).await;
    let listed = server.cli(&["user", "email", "--handle", "lead", "--list"]).await;
    assert_eq!(listed["emails"], json!(["doug@example.com"]));

    let hand_over = async |mails: &[(&str, &str)]| {
        let mut python = Command::new("python3");
        python.arg("-c").arg(HAND_OVER).arg(&place);
        for (to, name) in mails {
            python.arg("mx@clinic.example").arg(to).arg(mail(name));
        }
        let output = python.output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let known = "outlook-alternative-related.eml";
    assert_eq!(hand_over(&[(&address, known), (&address, known)]).await, "taken []\ntaken []\n");
    let event = newest(&server, lead, staff).await;
    let (_, held, words) = SAMPLES.into_iter().find(|(name, _, _)| *name == known).unwrap();
    is_right(&event, held, words);
    assert_eq!((&event["by"], &event["data"]["item"]), (&json!(lead.id), &json!(ward.id("goal"))));
    assert_eq!(event["data"]["with"][0]["user"], json!(lead.id));

    let others: Vec<(&str, &str)> =
        SAMPLES.iter().filter(|(name, _, _)| *name != known).map(|(name, _, _)| (address.as_str(), *name)).collect();
    assert_eq!(hand_over(&others).await, "taken []\n".repeat(5));
    assert_eq!(newest(&server, lead, staff).await["seq"], event["seq"], "nobody knows their senders");
    let waiting = server.run(lead, "intake.list", json!({"channel": staff})).await;
    let waiting = list(&waiting, "mails");
    assert_eq!(waiting.len(), 5);
    for one in waiting {
        assert_eq!(one["reason"], json!("unknown_sender"));
        let file = json!({"mail": one["id"], "channel": staff, "item": ward.id("goal")});
        server.run(lead, "intake.file", file).await;
        let event = newest(&server, lead, staff).await;
        let text = text(&event["data"], "text");
        let sample = SAMPLES.into_iter().find(|(_, _, words)| text.contains(words[0]));
        let (_, held, words) = sample.unwrap_or_else(|| panic!("no sample says {text}"));
        is_right(&event, held, words);
    }
    assert!(list(&server.run(lead, "intake.list", json!({})).await, "mails").is_empty());

    let both = format!("{address},someone@elsewhere.example");
    assert_eq!(hand_over(&[(&both, known)]).await, "taken [550]\n");
    assert_eq!(hand_over(&[("someone@elsewhere.example", known)]).await, "refused [550]\n");
    assert_eq!(hand_over(&[(&address, "README.md")]).await, "refused 554\n");
    let log = server.house.log();
    assert!(!log.contains("Tortoise") && !log.contains("doug@example.com") && !log.contains(&address));
}
