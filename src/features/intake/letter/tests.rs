//! Every sample mail, read: exactly the words, the people, the time, the files. And bytes that are no mail.

use proptest::prelude::*;

use super::*;
use crate::kernel::base::world::rfc3339_millis;

/// Some day after all samples.
const NOW: Micros = 1_790_000_000_000_000;
const CHARS: usize = 8000;

fn sample(name: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mail");
    std::fs::read(folder.join(name)).unwrap()
}

fn read(raw: impl AsRef<[u8]>) -> Letter {
    Letter::read(raw.as_ref(), Some("mx.google.com")).unwrap_or_else(|NoMail| panic!("no mail"))
}

/// Name, type and size.
type File = (String, String, usize);

/// What a test looks at: time, people, files, text.
fn seen(letter: &Letter) -> (String, Vec<String>, Vec<File>, String) {
    let Held { at, guessed } = letter.held(NOW);
    let held = format!("{}{}", rfc3339_millis(at), if guessed { " guessed" } else { "" });
    let with = letter.with.iter().map(|one| match &one.address {
        Some(address) if *address != one.name => format!("{}: {} <{address}>", one.place.text(), one.name),
        _ => format!("{}: {}", one.place.text(), one.name),
    });
    let files = letter.attachments.iter().map(|file| (file.name.clone(), file.media_type.clone(), file.bytes.len()));
    let (text, cut) = letter.words(CHARS);
    assert!(!cut);
    (held, with.collect(), files.collect(), text)
}

fn file(name: &str, media_type: &str, size: usize) -> File {
    (name.to_owned(), media_type.to_owned(), size)
}

#[test]
fn a_mail_forwarded_as_a_part() {
    let letter = read(sample("forwarded-as-rfc822-part.eml"));
    let (held, with, files, text) = seen(&letter);
    assert_eq!(held, "1998-08-13T07:42:41.000Z");
    assert_eq!(
        with,
        ["from: Bill Clinton <president@whitehouse.gov>", "to: A1 Gore (The Enforcer) <vice-president@whitehouse.gov>"]
    );
    assert_eq!(files, [file("map_of_Argentina.gif", "image/gif", 288)]);
    assert_eq!(letter.sender.as_deref(), Some("vice-president@whitehouse.gov"));
    assert_eq!(letter.message_id, None);
    assert_eq!(
        text,
        "[Fwd: Map of Argentina with Description]\n\nFred,\n\nFire up Air Force One!  We're going South!\n\nThanks,\nAl\n\n---------- Forwarded message ----------\nFrom: Bill Clinton <president@whitehouse.gov>\nDate: Mon, 13 Aug 1998 17:42:41 +1000\nSubject: Map of Argentina with Description\nTo: A1 Gore (The Enforcer) <vice-president@whitehouse.gov>\n\nHi A1,\n\nI finally figured out this MIME thing.  Pretty cool.  I'll send you\nsome sax music in .au files next week!\n\nAnyway, the attached image is really too small to get a good look at\nArgentina.  Try this for a much better map:\n\n     http://www.1one1yp1anet.com/dest/sam/graphics/map-arg.htm\n\nThen again, shouldn't the CIA have something like that?\n\nBill"
    );
}

#[test]
fn a_mail_forwarded_in_the_text() {
    let letter = read(sample("forwarded-inline-qp.eml"));
    let (held, with, files, text) = seen(&letter);
    // 1:17 PM of the forwarder, whose zone is -0500.
    assert_eq!(held, "2005-05-08T18:17:00.000Z");
    assert_eq!(with, ["from: xxxxx xxxxxx <xxxxxxxx@xxx.com>", "to: xxxxxxx@xxxxxxxxxx.com"]);
    assert_eq!(files, [file("01 Quien Te Dij\u{fffd}at. Pitbull.mp3", "application/octet-stream", 399)]);
    assert_eq!(letter.sender.as_deref(), Some("xxxxxxxxx.xxxxxxx@gmail.com"));
    assert_eq!(letter.message_id.as_deref(), Some("e85734b90505081209eaaa17b@mail.gmail.com"));
    assert_eq!(
        text,
        "Fwd: Signed email causes file attachments\n\nWe should not include these files or vcards as attachments.\n\n---------- Forwarded message ----------\nFrom: xxxxx xxxxxx <xxxxxxxx@xxx.com>\nDate: May 8, 2005 1:17 PM\nSubject: Signed email causes file attachments\nTo: xxxxxxx@xxxxxxxxxx.com\n\n\nHi,\n\nTest attachments oddly encoded with japanese charset."
    );
}

#[test]
fn a_japanese_subject_and_file_name() {
    let letter = read(sample("japanese-subject-attachment.eml"));
    let (held, with, files, text) = seen(&letter);
    assert_eq!(held, "2009-10-30T08:11:02.000Z");
    assert_eq!(with, ["from: Mikel Lindsaar <mikel@test.lindsaar.net>", "to: Mikel Lindsaar <raasdnil@gmail.com>"]);
    let name = format!("{}.txt", "かきくけこ".repeat(5));
    assert_eq!(files, [file(&name, "text/plain", 18)]);
    assert_eq!(letter.attachments[0].bytes, b"this is the data\r\n");
    assert_eq!(text, "まみむめも".repeat(10));
    let findings = letter.findings.unwrap();
    assert!(
        findings.text.starts_with("mx.google.com; spf=neutral (google.com: 210.14.110.240 is neither")
            && !findings.forged
    );
    assert!(
        Letter::read(&sample("japanese-subject-attachment.eml"), Some("mx.clinic.example"))
            .is_ok_and(|one| one.findings.is_none())
    );
}

#[test]
fn a_page_with_images_beside_its_plain_text() {
    let letter = read(sample("outlook-alternative-related.eml"));
    let (held, with, files, text) = seen(&letter);
    assert_eq!(held, "2000-05-17T23:47:24.000Z");
    assert_eq!(with, ["from: Doug Sauder <doug@example.com>", "to: Joe Blow <jblow@example.com>"]);
    assert_eq!(
        files,
        [
            file("blueball.png", "image/png", 1325),
            file("greenball.png", "image/png", 1298),
            file("redball.png", "image/png", 1453)
        ]
    );
    assert_eq!(
        text,
        "Test message from Microsoft Outlook 00\n\nThe Hare and the Tortoise \n \nA HARE one day ridiculed the short feet and slow pace of the Tortoise, who replied, laughing:  \"Though you be swift as the wind, I will beat you in a race.\"  The Hare, believing her assertion to be simply impossible, assented to the proposal; and they agreed that the Fox should choose the course and fix the goal.  On the day appointed for the race the two started together.  The Tortoise never for a moment stopped, but went on with a slow but steady pace straight to the end of the course.  The Hare, lying down by the wayside, fell fast asleep.  At last waking up, and moving as fast as he could, he saw the Tortoise had reached the goal, and was comfortably dozing after her fatigue.  \n \nSlow but steady wins the race."
    );
}

#[test]
fn a_picture_in_the_subject_and_a_pdf() {
    let letter = read(sample("pdf-non-ascii-name.eml"));
    let (held, with, files, text) = seen(&letter);
    assert_eq!(held, "2005-05-10T17:26:39.000Z");
    assert_eq!(with, ["from: Test Tester <xxxx@xxxx.com>", "to: xxxx@xxxx.com"]);
    assert_eq!(files, [file("broken.pdf", "application/pdf", 1026)]);
    // Its last letter is two bytes in a part that says ISO-8859-1, and is read as what it says.
    assert_eq!(
        text,
        "Another PDF with \u{1f389} Unicode chars in it \u{1f37f}\n\nJust attaching another PDF, here, to see what the message looks like,\nand to see if I can figure out what is going wrong here.    \u{c3}\u{201a}"
    );
}

#[test]
fn an_answer_that_flows() {
    let letter = read(sample("reply-format-flowed.eml"));
    let (held, with, files, text) = seen(&letter);
    assert_eq!(held, "2007-11-18T08:56:07.000Z");
    assert_eq!(with, ["from: Testing <xxxxxxxx@xxx.org>", "to: Mikel Lindsaar <mikel@xxxx.net>"]);
    assert_eq!((files.len(), text.as_str(), letter.automatic), (0, "Re: Test reply email\n\nMessage body", None));
}

#[test]
fn charsets_pages_and_flow() {
    let text =
        |head: &str, body: &[u8]| read([format!("From: a@x.example\r\n{head}\r\n\r\n").as_bytes(), body].concat()).text;
    assert_eq!(
        text("Content-Type: text/plain; charset=windows-1252", b"\x93Dosis\x94 \x80 5, f\xfcr Herrn M\xfcller"),
        "\u{201c}Dosis\u{201d} € 5, für Herrn Müller"
    );
    assert_eq!(text("Content-Type: text/plain; charset=shift_jis", b"\x8c\x8c\x88\xb3"), "血圧");
    assert_eq!(text("Content-Type: text/plain; charset=iso-2022-jp", b"\x1b$B7l05\x1b(B"), "血圧");
    assert_eq!(text("Content-Type: text/plain; charset=koi8-r", b"\xc4\xc1"), "да");
    assert_eq!(text("Content-Type: text/plain; charset=gb18030", b"\xd1\xaa\xd1\xb9"), "血压");
    assert_eq!(
        text("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64", b"5pel5pys"),
        "日本"
    );
    assert_eq!(
        text(
            "Content-Type: text/plain; charset=utf-8; format=flowed; delsp=yes",
            "あ \r\nい\r\n> so \r\n> on".as_bytes()
        ),
        "あい\n> soon"
    );
    assert_eq!(
        text(
            "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable",
            b"<p>BP =31=35=30<img src=3D\"http://x.example/a\"><br>f=C3=BCr</p>"
        ),
        "BP 150\nfür"
    );
    assert_eq!(text("Content-Type: text/plain", b"a\x00b\x07\r\nc\x1b[31m"), "ab\nc[31m");
}

#[test]
fn times_ahead_of_us_and_missing_ones() {
    let held = |raw: &str| read(raw).held(NOW);
    assert_eq!(held("From: a@x.example\n\nx"), Held { at: NOW, guessed: true });
    assert_eq!(held("From: a@x.example\nDate: Fri, 1 Jan 2100 10:00:00 +0000\n\nx"), Held { at: NOW, guessed: true });
    assert_eq!(held("From: a@x.example\nDate: Sat, 31 Feb 2026 10:00:00 +0000\n\nx"), Held { at: NOW, guessed: true });
    let outer = 1_741_000_000_000_000 / 60_000_000 * 60_000_000;
    let date = jiff::Timestamp::from_microsecond(outer).unwrap().strftime("%a, %d %b %Y %H:%M:%S +0000");
    let within = |line: &str| {
        format!(
            "From: a@x.example\nSubject: Fwd: x\nDate: {date}\n\n---------- Forwarded message ---------\nFrom: b@x.example\nDate: {line}\nSubject: x\n\ny"
        )
    };
    assert_eq!(held(&within("2020-01-01 10:00")), Held { at: 1_577_872_800_000_000, guessed: false });
    // Not to be read for certain, and after it was forwarded.
    assert_eq!(held(&within("01/02/2020 10:00")), Held { at: outer, guessed: true });
    assert_eq!(held(&within("2026-01-01 10:00")), Held { at: outer, guessed: true });
}

#[test]
fn what_no_person_sent_and_what_the_site_found() {
    let of = |head: &str| read(format!("From: a@x.example\n{head}\n\nx")).automatic;
    assert_eq!(of("Auto-Submitted: no"), None);
    assert_eq!(of("Auto-Submitted: auto-replied"), Some(Automatic::Reply));
    assert_eq!(of("Precedence: bulk"), Some(Automatic::List));
    assert_eq!(of("List-Id: <news.x.example>"), Some(Automatic::List));
    assert_eq!(of("Return-Path: <>"), Some(Automatic::Reply));
    assert_eq!(of("X-Carethread-Loop: 1"), Some(Automatic::Loop));
    assert_eq!(of(&"Received: from a by b; Fri, 30 Oct 2009 01:11:12 -0700\n".repeat(101)), Some(Automatic::Loop));
    let forged = |text: &str| {
        read(format!("From: a@x.example\nAuthentication-Results: {text}\n\nx")).findings.map(|found| found.forged)
    };
    assert_eq!(forged("mx.google.com; dmarc=fail header.from=x.example"), Some(true));
    assert_eq!(forged("MX.google.com 1; dkim=pass; spf=fail"), Some(false));
    assert_eq!(forged("mx.google.com; spf=fail smtp.mailfrom=a@x.example"), Some(true));
    assert_eq!(forged("mx.evil.example; dmarc=pass"), None);
    assert_eq!(forged("mx.google.com.evil.example; dmarc=pass"), None);
}

#[test]
fn nested_forwards_have_a_limit_and_the_innermost_speaks() {
    let wrapped = |inner: String, level: usize| {
        format!(
            "From: p{level}@x.example\r\nDate: Mon, 2 Mar 2026 10:{:02}:00 +0000\r\nContent-Type: message/rfc822\r\n\r\n{inner}",
            50 - level.min(50)
        )
    };
    let nested = |levels: usize| {
        (1..=levels)
            .rev()
            .fold("From: deep@x.example\r\nDate: Sun, 1 Mar 2026 10:00:00 +0000\r\n\r\nhere".to_owned(), wrapped)
    };
    let letter = read(nested(3));
    assert_eq!(letter.with[0].name, "deep@x.example");
    assert!(letter.text.ends_with("here"));
    let deep = read(nested(30));
    assert_eq!((deep.with[0].name.as_str(), deep.attachments.len()), ("p8@x.example", 1));
    let level = "From: p1@x.example\nContent-Type: message/rfc822\n\n";
    assert_eq!(read(level.repeat(200_000)).with[0].name, "p1@x.example");
}

#[test]
fn a_text_is_cut_where_it_must_and_names_are_no_paths() {
    let letter = read(format!("Subject: s\n\n{}", "ä".repeat(20)));
    assert_eq!(letter.words(10), (format!("s\n\n{}", "ä".repeat(7)), true));
    assert_eq!(letter.words(23), (format!("s\n\n{}", "ä".repeat(20)), false));
    assert_eq!(read("Subject:\n\n \n").words(10), ("(no text)".to_owned(), false));
    let named = |name: &str| {
        read(format!(
            "Subject: s\nContent-Type: application/pdf\nContent-Disposition: attachment; filename=\"{name}\"\n\nx"
        ))
        .attachments[0]
            .name
            .clone()
    };
    assert_eq!(named("../../etc/passwd"), "passwd");
    assert_eq!(named("C:\\\\a\\\\b.pdf"), "b.pdf");
    assert_eq!(named(".."), "attachment-1");
    assert_eq!(named(&"x".repeat(999)).len(), 200);
}

#[test]
fn what_is_no_mail_is_none() {
    for raw in ["", "\n", "hello", "hello: world\n\nx", "{\"id\": 1}", "\u{0}\u{1}"] {
        assert!(Letter::read(raw.as_bytes(), None).is_err(), "{raw:?}");
    }
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&str; 24] = [
        "From: a <a@x.example>\r\n",
        "To: b@x.example\n",
        "Date: Mon, 2 Mar 2026 10:00:00 +0100\n",
        "Subject: =?utf-8?B?44G+?=\n",
        "Subject: Fwd: x\n",
        "Content-Type: multipart/mixed; boundary=b\n\n",
        "Content-Type: multipart/alternative; boundary=\"--\"\n",
        "Content-Type: multipart/digest; boundary=c\n\n",
        "Content-Type: message/rfc822\n\n",
        "Content-Type: text/html; charset=iso-2022-jp\n\n",
        "Content-Type: text/plain; format=flowed; delsp=yes\n\n",
        "Content-Transfer-Encoding: base64\n",
        "Content-Transfer-Encoding: quoted-printable\n",
        "Content-Disposition: attachment; filename*0*=utf-8''%E3\n",
        "--b\n",
        "--b--\n",
        "--c\n",
        "\n",
        "\r\n",
        "<p>&#x1F600;<blockquote><pre>",
        "</script <!-- ",
        "---------- Forwarded message ---------\n",
        "> From: x <y@z>\n> Date: May 8, 2005 1:17 PM\n> Subject: a\n",
        "=\n=3D",
    ];
    prop_oneof![
        4 => proptest::sample::select(PIECES.as_slice()).prop_map(|text| text.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    /// Whatever comes in, what goes out is bounded and can be kept.
    #[test]
    fn any_bytes_are_a_letter_or_none(pieces in proptest::collection::vec(piece(), 0..40), chars in 1_usize..200) {
        let raw = pieces.concat();
        if let Ok(letter) = Letter::read(&raw, Some("x")) {
            let (text, _) = letter.words(chars);
            prop_assert!(!text.trim().is_empty() && text.chars().count() <= chars.max(NO_TEXT.len()));
            prop_assert!(text.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
            prop_assert!(letter.with.len() <= WITH_MAX && letter.held(NOW).at <= NOW + CLOCK_AHEAD_MAX);
            prop_assert!(letter.with.iter().all(|one| !one.name.is_empty() && one.name.chars().count() <= WORD_CHARS_MAX));
            let total: usize = letter.attachments.iter().map(|file| file.bytes.len()).sum();
            prop_assert!(total <= raw.len() * NESTED_MAX);
        }
    }
}
