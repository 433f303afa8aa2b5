//! Messages forwarded within the text of another: the blocks that Outlook, Gmail, Apple Mail and Thunderbird write, in English, German
//! and French.
//! Does not know: MIME. A block is taken only where marker, sender and a second field are there; what merely quotes an answer is not one.

use jiff::tz::Offset;

use super::when::{self, When};
use super::{Correspondent, NESTED_MAX, Place, SUBJECT_CHARS_MAX, line};

/// Lines that are looked at: forwards stand near the beginning of what they are in, and each level has its own.
const LINES_MAX: usize = 20_000;
/// Lines between the marker and the first field, and lines of one block.
const GAP_MAX: usize = 3;
/// Bytes of a line that are looked at: more stands in lists of many people only.
const LINE_BYTES_MAX: usize = 2000;
const FIELDS_MAX: usize = 24;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    From,
    To,
    Cc,
    Date,
    Subject,
    Other,
}

const LABELS: [(Label, &[&str]); 6] = [
    (Label::From, &["from", "von", "de", "absender", "expéditeur"]),
    (Label::To, &["to", "an", "à", "a", "pour", "empfänger", "destinataire"]),
    (Label::Cc, &["cc", "kopie", "kopie (cc)", "copie à", "copie"]),
    (Label::Date, &["date", "sent", "datum", "gesendet", "envoyé", "envoyé le"]),
    (Label::Subject, &["subject", "betreff", "objet", "sujet"]),
    (
        Label::Other,
        &[
            "reply-to",
            "antwort an",
            "antwort-an",
            "répondre à",
            "importance",
            "wichtigkeit",
            "priority",
            "priorität",
            "attachments",
            "anlagen",
            "pièces jointes",
            "bcc",
            "message-id",
            "organization",
            "x-mailer",
        ],
    ),
];

/// Words of a marker line that say the message below is forwarded.
const FORWARDED: [&str; 8] = [
    "forwarded message",
    "begin forwarded message",
    "weitergeleitete nachricht",
    "anfang der weitergeleiteten nachricht",
    "message transféré",
    "début du message transféré",
    "message réexpédié",
    "début du message réexpédié",
];
/// Words of a marker line that stand before what is answered, too: they count where the subject says that it is forwarded.
const ORIGINAL: [&str; 6] = [
    "original message",
    "original-nachricht",
    "ursprüngliche nachricht",
    "originalnachricht",
    "message d'origine",
    "message original",
];
/// Beginnings of the subject of what is forwarded.
const PREFIXES: [&str; 7] = ["fw:", "fwd:", "wg:", "tr:", "tr :", "[fwd:", "wtr:"];

/// A message that is forwarded in a text.
pub(super) struct Forward {
    pub with: Vec<Correspondent>,
    /// None if it could not be read for certain.
    pub when: Option<When>,
    subject: String,
}

/// The forwarded messages of a text, the innermost last. `subject` is that of the message the text is of, `offset` its zone.
pub(super) fn forwards(subject: &str, text: &str, offset: Option<Offset>) -> Vec<Forward> {
    let lines: Vec<&str> = text.split('\n').take(LINES_MAX).map(unquoted).collect();
    let mut found: Vec<Forward> = Vec::new();
    let (mut at, mut subject) = (0, subject.to_owned());
    while at < lines.len() && found.len() < NESTED_MAX {
        let Some((begin, end)) = marked(&lines, at, &subject) else {
            at += 1;
            continue;
        };
        match read(&lines, begin, end, offset) {
            Some((forward, next)) => {
                subject.clone_from(&forward.subject);
                found.push(forward);
                at = next;
            }
            None => at += 1,
        }
    }
    found
}

/// Without the marks of quoting.
fn unquoted(line: &str) -> &str {
    let line = line.get(..line.floor_char_boundary(LINE_BYTES_MAX)).unwrap_or(line);
    line.trim_start_matches(['>', ' ', '\t']).trim_end()
}

/// Where the block behind a marker at this line may begin and must have begun.
fn marked(lines: &[&str], at: usize, subject: &str) -> Option<(usize, usize)> {
    let line = lines.get(at)?;
    let subject = subject.trim_start().to_lowercase();
    let says_so = PREFIXES.iter().any(|prefix| subject.starts_with(prefix));
    let words = line.trim_matches(|c: char| matches!(c, '-' | '_' | '*' | ':' | ' ' | '\u{a0}')).to_lowercase();
    let words = words.replace('\u{2019}', "'");
    let dashed = line.starts_with("--") || line.starts_with("__");
    let marker = FORWARDED.contains(&words.as_str()) && (dashed || line.ends_with(':'))
        || says_so && (ORIGINAL.contains(&words.as_str()) && dashed || words.is_empty() && line.starts_with("______"));
    if marker {
        return Some((at + 1, at + 1 + GAP_MAX));
    }
    // Outlook without a marker: the first line of the block itself.
    let begins = says_so && matches!(label(line), Some((Label::From, _)));
    begins.then_some((at, at + 1))
}

fn label(line: &str) -> Option<(Label, &str)> {
    let (name, value) = line.split_once(':')?;
    // Bold type becomes stars in plain text, and French stands a space before the colon.
    let name = name.trim_matches(|c: char| matches!(c, '*' | ' ' | '\u{a0}' | '\u{202f}'));
    if name.chars().count() > 24 {
        return None;
    }
    let name = name.to_lowercase();
    let value = value.trim_start_matches(['*', ' ', '\t', '\u{a0}']).trim();
    LABELS.iter().find(|(_, names)| names.contains(&name.as_str())).map(|(label, _)| (*label, value))
}

/// The block that begins between these lines, and the line behind it.
fn read(lines: &[&str], begin: usize, end: usize, offset: Option<Offset>) -> Option<(Forward, usize)> {
    let first = (begin..end.min(lines.len())).find(|at| lines.get(*at).is_some_and(|line| !line.is_empty()))?;
    let mut fields: Vec<(Label, String)> = Vec::new();
    let mut next = first;
    while let Some(line) = lines.get(next).filter(|line| !line.is_empty()).filter(|_| next < first + FIELDS_MAX) {
        match (label(line), fields.last_mut()) {
            (Some((label, value)), _) => fields.push((label, value.to_owned())),
            // A field that was broken over two lines.
            (None, Some((_, value))) => {
                value.push(' ');
                value.push_str(line);
            }
            (None, None) => return None,
        }
        next += 1;
    }
    let one = |wanted: Label| fields.iter().find(|(label, _)| *label == wanted).map(|(_, value)| value.as_str());
    let (from, subject) = (one(Label::From)?, one(Label::Subject));
    if one(Label::To).is_none() && subject.is_none() || one(Label::Date).is_none() && subject.is_none() {
        return None;
    }
    let mut with = people(from, Place::From);
    with.truncate(1);
    if with.is_empty() {
        return None;
    }
    for (label, place) in [(Label::To, Place::To), (Label::Cc, Place::Cc)] {
        with.extend(one(label).map(|list| people(list, place)).unwrap_or_default());
    }
    let when = one(Label::Date).and_then(|text| when::of_words(text, offset));
    Some((Forward { with, when, subject: line(subject.unwrap_or_default(), SUBJECT_CHARS_MAX) }, next))
}

/// `Name <address>, ..`, `Name [mailto:address]; ..`, `Surname, Name; ..`, `address`.
fn people(list: &str, place: Place) -> Vec<Correspondent> {
    let list = list.replace("[mailto:", "<").replace("<mailto:", "<").replace(']', ">");
    let bracketed = list.contains('<');
    let parts: Vec<&str> = if list.contains(';') {
        list.split(';').collect()
    } else if bracketed {
        behind_brackets(&list)
    } else if list.contains('@') {
        list.split(',').collect()
    } else {
        // A name alone, which may have a comma in it.
        vec![list.as_str()]
    };
    parts.into_iter().filter_map(|part| person(part, place)).collect()
}

/// Cut at commas that stand behind an address.
fn behind_brackets(list: &str) -> Vec<&str> {
    let (mut parts, mut from, mut closed) = (Vec::new(), 0, false);
    for (at, c) in list.char_indices() {
        match c {
            '>' => closed = true,
            ',' if closed => {
                parts.extend(list.get(from..at));
                (from, closed) = (at + 1, false);
            }
            _ => {}
        }
    }
    parts.extend(list.get(from..));
    parts
}

fn person(part: &str, place: Place) -> Option<Correspondent> {
    const AROUND: [char; 6] = [' ', '"', '\'', '*', ',', '\u{a0}'];
    let (name, address) = match part.split_once('<') {
        Some((name, rest)) => (name, rest.split('>').next()),
        None if part.contains('@') => ("", Some(part)),
        None => (part, None),
    };
    let name = Some(name.trim_matches(AROUND)).filter(|name| !name.is_empty());
    let address = address.map(|address| address.trim_matches(AROUND)).filter(|address| address.contains('@'));
    Correspondent::new(name, address, place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::base::world::rfc3339_millis;

    fn read_in(subject: &str, text: &str) -> Vec<(String, Option<String>, Vec<String>)> {
        let offset = Offset::from_seconds(3600).unwrap();
        let found = forwards(subject, text, Some(offset));
        let named = |with: &[Correspondent]| with.iter().map(|one| format!("{:?} {}", one.place, one.name)).collect();
        found
            .iter()
            .map(|one| (one.subject.clone(), one.when.map(|when| rfc3339_millis(when.at)), named(&one.with)))
            .collect()
    }

    #[test]
    fn programs_and_languages() {
        let texts = [
            "See below\n\n---------- Forwarded message ---------\nFrom: Dr. Osei <osei@x.example>\nDate: Tue, Mar 3, 2026 at 10:12 AM\nSubject: Dose\nTo: <mia@y.example>\nCc: Jo <jo@y.example>\n\n\nText",
            "Begin forwarded message:\n\n> From: Dr. Osei <osei@x.example>\n> Subject: Dose\n> Date: March 3, 2026 at 10:12:00 AM GMT+1\n> To: mia@y.example\n> Cc: Jo <jo@y.example>\n> \n> Text",
            "-------- Weitergeleitete Nachricht --------\nBetreff: \tDose\nDatum: \tTue, 3 Mar 2026 10:12:00 +0100\nVon: \tDr. Osei <osei@x.example>\nAn: \tmia@y.example\nKopie (CC): Jo <jo@y.example>\n\nText",
            "-------- Message transféré --------\nSujet : Dose\nDate : Tue, 3 Mar 2026 10:12:00 +0100\nDe : Dr. Osei <osei@x.example>\nPour : mia@y.example\nCopie à : Jo <jo@y.example>\n\nTexte",
        ];
        for text in texts {
            let found = read_in("anything", text);
            let [(subject, when, with)] = &found[..] else { panic!("{} in {text}", found.len()) };
            assert!(subject.starts_with("Dose"), "{text}");
            assert_eq!(when.as_deref(), Some("2026-03-03T09:12:00.000Z"), "{text}");
            assert_eq!(with.first().map(String::as_str), Some("From Dr. Osei"), "{text}");
            assert!(with.contains(&"To mia@y.example".to_owned()), "{with:?}");
            assert_eq!(with.last().map(String::as_str), Some("Cc Jo"), "{text}");
        }
    }

    #[test]
    fn outlook_counts_where_the_subject_says_that_it_is_forwarded() {
        let german = "Zur Info\n\n-----Ursprüngliche Nachricht-----\nVon: Osei, Kofi [mailto:osei@x.example]\nGesendet: Dienstag, 3. März 2026 10:12\nAn: Schmidt, Mia; Berg, Jo\nBetreff: Dosis\n\nText";
        let found = read_in("WG: Dosis", german);
        assert_eq!(found[0].2, ["From Osei, Kofi", "To Schmidt, Mia", "To Berg, Jo"]);
        assert_eq!(found[0].1.as_deref(), Some("2026-03-03T09:12:00.000Z"));
        assert!(read_in("AW: Dosis", german).is_empty());
        let bare = "FYI\n\nFrom: Kofi Osei <osei@x.example>\nSent: Tuesday, March 3, 2026 10:12 AM\nTo: Mia Schmidt <mia@y.example>\nSubject: Dose\n\nText";
        assert_eq!(read_in("FW: Dose", bare)[0].2, ["From Kofi Osei", "To Mia Schmidt"]);
        assert!(read_in("RE: Dose", bare).is_empty());
        let french = "________________________________\nDe : Kofi Osei <osei@x.example>\nEnvoyé : mardi 3 mars 2026 10:12\nÀ : Mia <mia@y.example>\nObjet : Dose\n\nTexte";
        assert_eq!(read_in("TR: Dose", french)[0].1.as_deref(), Some("2026-03-03T09:12:00.000Z"));
    }

    #[test]
    fn the_innermost_comes_last_and_talk_about_forwards_is_none() {
        let twice = "---------- Forwarded message ---------\nFrom: A <a@x.example>\nDate: Tue, Mar 3, 2026 at 10:12 AM\nSubject: Fwd: Dose\nTo: b@x.example\n\n---------- Forwarded message ---------\nFrom: C <c@x.example>\nDate: Mon, Mar 2, 2026 at 9:00 AM\nSubject: Dose\nTo: a@x.example\n\nText";
        let found = read_in("Fwd: Dose", twice);
        assert_eq!(found.iter().map(|one| one.2[0].as_str()).collect::<Vec<_>>(), ["From A", "From C"]);
        assert!(read_in("Hi", "I saw the forwarded message\nFrom: the lab\n\nand more").is_empty());
        assert!(
            read_in("Hi", "---------- Forwarded message ---------\n\n\n\n\n\nFrom: a@b.example\nSubject: x").is_empty()
        );
        assert!(read_in("Fwd: Hi", "---------- Forwarded message ---------\nno fields here").is_empty());
        let unread = "---------- Forwarded message ---------\nFrom: A <a@x.example>\nDate: 03/04/2026 10:12\nSubject: Dose\n\nText";
        assert_eq!(read_in("Fwd: Dose", unread)[0].1, None);
    }
}
