//! What a mail becomes: a note of medium `email`, whatever its clock says and however long it is.

use serde_json::json;
use uuid::Uuid;

use crate::features::notes::{FromMail, Logged, Mail, Participant};
use crate::kernel::base::world::{MINUTE, parse_rfc3339};
use crate::kernel::base::{Code, ItemId, Micros, Refusal, ThingId, UserId};

const NOW: &str = "2026-11-28T10:00:00Z";
const CHARS_MAX: usize = 20;

fn now() -> Micros {
    parse_rfc3339(NOW).unwrap()
}

fn mail(held_at: Micros, text: &str) -> FromMail {
    let user = |n| Some(UserId(Uuid::from_u128(n)));
    let with = vec![
        Participant { user: user(5), ..Participant::named("Dr. Osei") },
        Participant { user: user(6), ..Participant::named("Somebody") },
    ];
    let mail = Mail { message_id: Some("a@b".into()), subject: Some("Dose".into()), authentication: None };
    FromMail { held_at, held_at_guessed: false, with, text: text.into(), files: Vec::new(), mail }
}

fn decide(mail: FromMail) -> Result<Logged, Refusal> {
    let (id, item) = (ThingId(Uuid::from_u128(9)), ItemId(Uuid::from_u128(2)));
    mail.decide(id, item, now(), 60, CHARS_MAX, |user| user == UserId(Uuid::from_u128(5)))
}

#[test]
fn a_mail_is_a_note_with_what_its_head_says() {
    let logged = decide(mail(now() - 90 * MINUTE, "Dose unchanged")).unwrap();
    let expected = json!({"id": Uuid::from_u128(9), "item": Uuid::from_u128(2), "medium": "email", "held_at": "2026-11-28T08:30:00.000000Z",
        "with": [{"name": "Dr. Osei", "user": Uuid::from_u128(5)}, {"name": "Somebody"}], "text": "Dose unchanged", "late": true, "late_minutes": 90,
        "mail": {"message_id": "a@b", "subject": "Dose"}});
    assert_eq!(serde_json::to_value(logged).unwrap(), expected);
}

#[test]
fn a_text_over_the_limit_is_cut_and_says_so() {
    let logged = decide(mail(now(), &"ä".repeat(CHARS_MAX + 1))).unwrap();
    assert_eq!((logged.words.plain(), logged.text_cut), ("ä".repeat(CHARS_MAX), Some(true)));
    let logged = decide(mail(now(), &"ä".repeat(CHARS_MAX))).unwrap();
    assert_eq!(logged.text_cut, None);
}

#[test]
fn a_clock_that_is_ahead_is_not_believed() {
    let logged = decide(mail(now() + 6 * MINUTE, "a")).unwrap();
    assert_eq!((logged.held_at.as_str(), logged.held_at_guessed), ("2026-11-28T10:00:00.000000Z", Some(true)));
    assert_eq!(decide(mail(now() + 5 * MINUTE, "a")).unwrap().held_at_guessed, None);
}

#[test]
fn a_mail_without_words_or_people_is_refused() {
    let refused = |mail| decide(mail).err().map(|refusal| (refusal.code, refusal.field));
    assert_eq!(refused(mail(now(), " \n")), Some((Code::Invalid, Some("text"))));
    assert_eq!(refused(FromMail { with: Vec::new(), ..mail(now(), "a") }), Some((Code::Invalid, Some("with"))));
}
