//! Identity over a whole engine on SQLite: sign-in, sessions, tokens, and what ends them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::model::DAY;
use super::{Door, SignedIn, keep, sql};
use crate::kernel::base::config::{Config, SecondFactor};
use crate::kernel::base::world::MINUTE;
use crate::kernel::base::{Code, Refusal, Secret, SessionId, UserId};
use crate::kernel::engine::{Data, News, Outlet};
use crate::kernel::policy::{PersonKind, Subject};
use crate::testing::{House, id_of};

const PASSWORD: &str = "kelp otter lantern";

/// A house with its door, where one second of the lockout is none.
struct Home {
    house: House,
    door: Door,
    operator: Subject,
}

/// Keeps what was told of sessions and people.
#[derive(Default)]
struct Heard(Mutex<(Vec<UserId>, Vec<SessionId>)>);

impl Outlet for Heard {
    fn publish(&self, news: News) {
        let mut heard = self.0.lock().unwrap();
        heard.0.extend(news.raised);
        heard.1.extend(news.ended);
    }
}

fn data(value: Value) -> Data {
    value.as_object().cloned().unwrap()
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

impl Home {
    async fn new() -> Self {
        Self::of(House::new().await).await
    }

    async fn of(house: House) -> Self {
        let door = Door::with_second(house.engine.clone(), Duration::ZERO).await.unwrap();
        let operator = house.command_line().await;
        Self { house, door, operator }
    }

    /// A nurse called Maja Lindqvist, with a password.
    async fn with_maja() -> (Self, UserId) {
        let home = Self::new().await;
        let maja = home.add_maja().await;
        (home, maja)
    }

    async fn add_maja(&self) -> UserId {
        let new = json!({"handle": "mlindqvist", "name": "Maja Lindqvist", "profession": "nurse"});
        let added = self.door.add_user(self.operator.clone(), data(new), Some(secret(PASSWORD))).await.unwrap();
        assert_eq!(added["handle"], "mlindqvist");
        id_of(&added, "id")
    }

    async fn try_password(&self, password: &str) -> Result<SignedIn, Refusal> {
        self.door.sign_in_password("mlindqvist", secret(password), None, address("10.1.2.3")).await
    }

    async fn signs_in(&self) -> SignedIn {
        self.try_password(PASSWORD).await.unwrap()
    }

    async fn token(&self, days: i64) -> (String, Value) {
        let new = json!({"handle": "mlindqvist", "label": "laptop", "days": days});
        let issued = self.door.issue_token(self.operator.clone(), data(new)).await.unwrap();
        (issued["token"].as_str().unwrap().to_owned(), issued)
    }

    async fn code_of(&self, token: &str) -> Option<Code> {
        self.door.bearer(token, None).await.err().map(|refusal| refusal.code)
    }

    async fn restarted(self) -> Self {
        drop(self.door);
        Self::of(self.house.restarted().await).await
    }
}

fn token_of(signed_in: &SignedIn) -> String {
    signed_in.token.as_ref().unwrap().expose().clone()
}

#[tokio::test]
async fn a_password_opens_a_session_and_its_token_opens_it_again() {
    let (home, maja) = Home::with_maja().await;
    let signed_in =
        home.door.sign_in_password("MLindqvist", secret(PASSWORD), None, address("10.1.2.3")).await.unwrap();
    assert_eq!((signed_in.subject.user, signed_in.subject.kind), (maja, PersonKind::Practitioner));
    assert_eq!(signed_in.subject.session, Some(signed_in.session));
    let now = home.door.now();
    assert!(signed_in.expires_at > now + 719 * MINUTE && signed_in.expires_at <= now + 720 * MINUTE);
    assert!(signed_in.subject.stepped_up_until > now);
    let token = token_of(&signed_in);
    assert!(token.starts_with("ct_ses_"));
    let again = home.door.sign_in_token(&token, address("10.1.2.3")).await.unwrap();
    assert_eq!((again.session, again.token.is_none()), (signed_in.session, true));
    assert!(Arc::ptr_eq(&again.state, &signed_in.state));
    // Another process finds it in the database.
    let home = home.restarted().await;
    assert_eq!(home.door.bearer(&token, None).await.unwrap().session, signed_in.session);
}

#[tokio::test]
async fn wrong_unknown_suspended_and_without_password_are_answered_alike() {
    let (home, _) = Home::with_maja().await;
    let wrong = home.try_password("kelp otter lanterm").await.err().unwrap();
    let unknown = home.door.sign_in_password("nobody", secret(PASSWORD), None, None).await.err().unwrap();
    let service = home.door.sign_in_password("operator", secret(PASSWORD), None, None).await.err().unwrap();
    home.house.run(&home.operator, "user.suspend", json!({"handle": "mlindqvist"})).await;
    let suspended = home.try_password(PASSWORD).await.err().unwrap();
    assert_eq!(wrong.code, Code::Unauthenticated);
    assert!([unknown, service, suspended].iter().all(|refusal| *refusal == wrong));
    for token in ["", "ct_ses_x", "ct_pat_AAAA", "Bearer"] {
        assert_eq!(home.door.sign_in_token(token, None).await.err().unwrap(), wrong);
    }
}

#[tokio::test]
async fn the_tenth_failure_locks_account_and_network_for_a_quarter_of_an_hour() {
    let (home, _) = Home::with_maja().await;
    for handle in ["mlindqvist", "nobody-at-all"] {
        let attempt =
            |password: &'static str| home.door.sign_in_password(handle, secret(password), None, address("10.1.2.3"));
        for _ in 0..9 {
            assert_eq!(attempt("wrong password").await.err().unwrap().code, Code::Unauthenticated);
        }
        let tenth = attempt("wrong password").await.err().unwrap();
        assert_eq!((tenth.code, tenth.retry_after_ms), (Code::RateLimited, Some(900_000)));
        home.house.advance(5 * MINUTE);
        let later = attempt(PASSWORD).await.err().unwrap();
        assert_eq!(later.code, Code::RateLimited);
        assert!(later.retry_after_ms.is_some_and(|ms| (590_000..=600_000).contains(&ms)));
    }
    let elsewhere = home.door.sign_in_password("mlindqvist", secret(PASSWORD), None, address("10.1.3.3")).await;
    assert!(elsewhere.is_ok(), "another network is not locked");
    home.house.advance(15 * MINUTE);
    assert!(home.try_password(PASSWORD).await.is_ok());
}

#[tokio::test]
async fn parallel_attempts_do_not_slip_past_the_count() {
    let (home, _) = Home::with_maja().await;
    let attempts = (0..14).map(|_| home.try_password("wrong password"));
    let codes: Vec<Code> =
        futures_util::future::join_all(attempts).await.into_iter().map(|done| done.err().unwrap().code).collect();
    assert_eq!(codes.iter().filter(|code| **code == Code::Unauthenticated).count(), 9);
}

#[tokio::test]
async fn a_session_ends_idle_or_at_its_absolute_end() {
    let (home, _) = Home::with_maja().await;
    let idle = home.signs_in().await;
    home.house.advance(14 * MINUTE);
    assert_eq!(home.code_of(&token_of(&idle)).await, None, "a request alone is no activity");
    home.house.advance(MINUTE);
    assert!(!idle.state.holds(home.door.now()));
    assert_eq!(home.code_of(&token_of(&idle)).await, Some(Code::Unauthenticated));
    let busy = home.signs_in().await;
    for _ in 0..72 {
        busy.state.touch(home.door.now());
        assert_eq!(home.code_of(&token_of(&busy)).await, None);
        home.house.advance(10 * MINUTE);
    }
    busy.state.touch(home.door.now());
    assert_eq!(home.code_of(&token_of(&busy)).await, Some(Code::Unauthenticated));
}

#[tokio::test]
async fn a_clock_turned_back_revives_nothing() {
    let (home, _) = Home::with_maja().await;
    let signed_in = home.signs_in().await;
    let token = token_of(&signed_in);
    home.house.advance(16 * MINUTE);
    assert_eq!(home.code_of(&token).await, Some(Code::Unauthenticated));
    home.house.advance(-16 * MINUTE);
    assert_eq!(home.code_of(&token).await, Some(Code::Unauthenticated));
    home.house.advance(20 * MINUTE);
    keep::round(&home.house.engine, 0).await.unwrap();
    let home = home.restarted().await;
    home.house.advance(-20 * MINUTE);
    assert_eq!(home.code_of(&token).await, Some(Code::Unauthenticated), "nor over a restart");
}

#[tokio::test]
async fn a_restart_knows_what_was_active() {
    let (home, _) = Home::with_maja().await;
    let signed_in = home.signs_in().await;
    let token = token_of(&signed_in);
    home.house.advance(10 * MINUTE);
    signed_in.state.touch(home.door.now());
    let since = keep::round(&home.house.engine, 0).await.unwrap();
    assert!(since >= signed_in.state.active_at.load(std::sync::atomic::Ordering::Relaxed));
    drop(signed_in);
    let home = home.restarted().await;
    home.house.advance(10 * MINUTE);
    assert_eq!(home.code_of(&token).await, None);
    home.house.advance(5 * MINUTE);
    assert_eq!(home.code_of(&token).await, Some(Code::Unauthenticated));
}

#[tokio::test]
async fn suspension_ends_everything_until_restored() {
    let heard = Arc::new(Heard::default());
    let home = Home::of(House::with(Config::default(), heard.clone()).await).await;
    let maja = home.add_maja().await;
    let signed_in = home.signs_in().await;
    let (personal, _) = home.token(30).await;
    let with_token = home.door.sign_in_token(&personal, None).await.unwrap();
    let epoch = home.house.engine.subject(maja).unwrap().epoch;
    heard.0.lock().unwrap().1.clear();
    home.house.run(&home.operator, "user.suspend", json!({"handle": "MLINDQVIST"})).await;
    {
        let heard = heard.0.lock().unwrap();
        assert!(heard.0.contains(&maja));
        assert!(heard.1.contains(&signed_in.session) && heard.1.contains(&with_token.session));
    }
    assert!(!signed_in.state.holds(home.door.now()) && !with_token.state.holds(home.door.now()));
    assert!(home.house.engine.subject(maja).is_none());
    for token in [&token_of(&signed_in), &personal] {
        assert_eq!(home.code_of(token).await, Some(Code::Unauthenticated));
    }
    home.house.run(&home.operator, "user.restore", json!({"handle": "mlindqvist"})).await;
    assert!(home.house.engine.subject(maja).unwrap().epoch > epoch);
    assert_eq!(home.code_of(&token_of(&signed_in)).await, Some(Code::Unauthenticated), "a session stays ended");
    assert_eq!(home.code_of(&personal).await, None);
    assert!(home.try_password(PASSWORD).await.is_ok());
    let kept = home.house.code(&home.operator, "user.suspend", json!({"handle": "operator"})).await;
    assert_eq!(kept, Code::Conflict);
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_their_person() {
    let (home, _) = Home::with_maja().await;
    let (one, two) = (home.signs_in().await, home.signs_in().await);
    let (personal, issued) = home.token(30).await;
    let listed = home.house.run(&one.subject, "session.list", json!({})).await;
    let sessions = listed["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 3);
    let current: Vec<&Value> = sessions.iter().filter(|session| session["current"] == true).collect();
    assert_eq!(
        (current.len(), &current[0]["id"], &current[0]["kind"]),
        (1, &json!(one.session.to_string()), &json!("password"))
    );
    assert!(sessions.iter().any(|session| session["kind"] == "token" && session["label"] == "laptop"));

    let stranger = home.house.person("per", PersonKind::Practitioner).await;
    let theirs = json!({"session": two.session.to_string()});
    assert_eq!(home.house.refused(&stranger, "session.end", theirs.clone()).await, Refusal::not_found());
    assert_eq!(home.house.code(&one.subject, "session.end", json!({})).await, Code::Invalid);
    assert_eq!(home.house.run(&one.subject, "session.end", theirs.clone()).await["ended"], 1);
    assert_eq!(home.code_of(&token_of(&two)).await, Some(Code::Unauthenticated));
    assert_eq!(home.house.refused(&one.subject, "session.end", theirs).await, Refusal::not_found());
    let laptop = json!({"session": issued["id"]});
    assert_eq!(home.house.run(&one.subject, "session.end", laptop).await["ended"], 1);
    assert_eq!(home.code_of(&personal).await, Some(Code::Unauthenticated), "a lost device is locked out for good");
    let three = home.signs_in().await;
    assert_eq!(home.house.run(&one.subject, "session.end", json!({"all": true})).await["ended"], 2);
    for session in [&one, &three] {
        assert_eq!(home.code_of(&token_of(session)).await, Some(Code::Unauthenticated));
    }
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let (home, maja) = Home::with_maja().await;
    let (here, there) = (home.signs_in().await, home.signs_in().await);
    let (personal, _) = home.token(30).await;
    let epoch = home.house.engine.subject(maja).unwrap().epoch;
    home.house.advance(6 * MINUTE);
    assert!(here.state.stepped_up_until() < home.door.now());
    let change = |old: &str, new: &str| {
        home.door.run(here.subject.clone(), "password.change", data(json!({"old": old, "new": new})))
    };
    let new = "seven slow harbour lights";
    for (old, new, code, field) in [
        ("not the old one", new, Code::Unauthenticated, "old"),
        (PASSWORD, "short", Code::Invalid, "new"),
        (PASSWORD, "the lindqvist house on the hill", Code::Invalid, "new"),
        (PASSWORD, "riverside lights at night", Code::Invalid, "new"),
        (PASSWORD, PASSWORD, Code::Invalid, "new"),
    ] {
        let refused = change(old, new).await.unwrap_err();
        assert_eq!((refused.code, refused.field), (code, Some(field)));
    }
    assert_eq!(change(PASSWORD, new).await.unwrap()["ended"], 2);
    assert!(home.house.engine.subject(maja).unwrap().epoch > epoch);
    assert_eq!(home.code_of(&token_of(&there)).await, Some(Code::Unauthenticated));
    assert_eq!(home.code_of(&token_of(&here)).await, None);
    assert!(here.state.stepped_up_until() > home.door.now());
    assert_eq!(home.code_of(&personal).await, None, "a token is another credential");
    assert_eq!(home.try_password(PASSWORD).await.err().unwrap().code, Code::Unauthenticated);
    assert!(home.try_password(new).await.is_ok());
    let bare = home.house.engine.run(here.subject.clone(), "password.change", Data::new()).await;
    assert_eq!(bare.unwrap_err().code, Code::UnknownOp, "never in the committer");
}

#[tokio::test]
async fn the_host_sets_passwords() {
    let (home, _) = Home::with_maja().await;
    let here = home.signs_in().await;
    let set =
        |handle: &'static str, password: &str| home.door.set_password(home.operator.clone(), handle, secret(password));
    assert_eq!(set("mlindqvist", "password1234").await.unwrap_err().field, Some("password"));
    assert_eq!(set("nobody", "seven slow harbour lights").await.unwrap_err().code, Code::NotFound);
    set("mlindqvist", "seven slow harbour lights").await.unwrap();
    assert_eq!(home.code_of(&token_of(&here)).await, Some(Code::Unauthenticated));
    assert!(home.try_password("seven slow harbour lights").await.is_ok());
}

#[tokio::test]
async fn a_personal_token_lasts_its_days_without_idle() {
    let (home, maja) = Home::with_maja().await;
    let (token, issued) = home.token(2).await;
    assert!(token.starts_with("ct_pat_"));
    let with_token = home.door.sign_in_token(&token, None).await.unwrap();
    assert_eq!((with_token.subject.user, with_token.subject.stepped_up_until), (maja, 0));
    assert_eq!(with_token.session.to_string(), issued["id"].as_str().unwrap());
    home.house.advance(2 * DAY - MINUTE);
    assert_eq!(home.code_of(&token).await, None);
    home.house.advance(MINUTE);
    assert_eq!(home.code_of(&token).await, Some(Code::Unauthenticated));

    let change = data(json!({"old": PASSWORD, "new": "seven slow harbour lights"}));
    let (token, issued) = home.token(30).await;
    let plain = home.door.bearer(&token, None).await.unwrap();
    home.door.run(plain.subject, "password.change", change).await.unwrap();
    assert_eq!(home.door.bearer(&token, None).await.unwrap().subject.stepped_up_until, 0, "a token never steps up");
    let new = data(json!({"handle": "mlindqvist", "allow": ["export"]}));
    let exporter = home.door.issue_token(home.operator.clone(), new).await.unwrap();
    let exporter = home.door.bearer(exporter["token"].as_str().unwrap(), None).await.unwrap();
    assert_eq!(exporter.subject.stepped_up_until, exporter.expires_at);
    home.house.run(&home.operator, "token.revoke", json!({"id": exporter.session.to_string()})).await;
    let listed = home.house.run(&home.operator, "token.list", json!({"handle": "mlindqvist"})).await;
    let tokens = listed["tokens"].as_array().unwrap();
    assert_eq!((tokens.len(), &tokens[0]["id"], &tokens[0]["handle"]), (1, &issued["id"], &json!("mlindqvist")));
    assert_eq!(tokens[0]["allow"], json!([]));
    home.house.run(&home.operator, "token.revoke", json!({"id": issued["id"]})).await;
    assert_eq!(home.code_of(&token).await, Some(Code::Unauthenticated));
    let again = home.house.code(&home.operator, "token.revoke", json!({"id": issued["id"]})).await;
    assert_eq!(again, Code::NotFound);
}

#[tokio::test]
async fn a_ticket_opens_one_socket() {
    let (home, _) = Home::with_maja().await;
    let signed_in = home.signs_in().await;
    let (ticket, lapses) = home.door.new_ticket(signed_in.session).unwrap();
    assert!(lapses <= home.door.now() + 30_000_000);
    let redeemed = home.door.redeem_ticket(ticket.expose(), None).await.unwrap();
    assert_eq!(redeemed.session, signed_in.session);
    assert_eq!(home.door.redeem_ticket(ticket.expose(), None).await.err().unwrap().code, Code::Unauthenticated);
    let (late, _) = home.door.new_ticket(signed_in.session).unwrap();
    home.house.run(&signed_in.subject, "session.end", json!({"session": "current"})).await;
    let ended = home.door.redeem_ticket(late.expose(), None).await.err().unwrap();
    assert_eq!(ended.code, Code::Unauthenticated, "the session ended meanwhile");
}

#[tokio::test]
async fn a_demanded_second_factor_shuts_out_who_has_none() {
    let mut config = Config::default();
    config.sign_in.second_factor = SecondFactor::Required;
    let home = Home::of(House::with(config, Arc::new(crate::kernel::engine::Silent)).await).await;
    home.add_maja().await;
    let refused = home.try_password(PASSWORD).await.err().unwrap();
    assert_eq!(refused.code, Code::Unauthenticated);
    assert!(refused.detail.unwrap().contains("second factor"));
}

#[tokio::test]
async fn accounts_are_added_changed_and_listed_by_the_host_alone() {
    let (home, maja) = Home::with_maja().await;
    let add =
        |new: Value, password: Option<&str>| home.door.add_user(home.operator.clone(), data(new), password.map(secret));
    let taken = add(json!({"handle": "MLindqvist", "name": "Other"}), None).await.unwrap_err();
    assert_eq!((taken.code, taken.field), (Code::Conflict, Some("handle")));
    let weak = add(json!({"handle": "per", "name": "Per Ek"}), Some("riverside rain")).await.unwrap_err();
    assert_eq!(weak.field, Some("password"), "the organization it would work for");
    let nurse = home.signs_in().await.subject;
    for op in ["user.add", "user.suspend", "token.list", "user.list", "session.touch", "organization.add"] {
        assert_eq!(home.house.code(&nurse, op, json!({"handle": "x", "name": "X"})).await, Code::Forbidden);
        let public = home.house.engine.run(nurse.clone(), op, Data::new()).await;
        assert_eq!(public.unwrap_err().code, Code::UnknownOp);
    }
    let change = json!({"handle": "mlindqvist", "name": "Maja Ek", "organization": "Hill Hospital", "roles": ["privacy_officer"]});
    home.house.run(&home.operator, "user.set", change).await;
    let listed = home.house.run(&home.operator, "user.list", json!({})).await;
    let row = listed["users"].as_array().unwrap().iter().find(|user| user["handle"] == "mlindqvist").unwrap().clone();
    assert_eq!(
        row,
        json!({"id": maja.to_string(), "handle": "mlindqvist", "name": "Maja Ek", "kind": "practitioner", "profession": "nurse",
               "organization": "Hill Hospital", "roles": ["privacy_officer"], "active": true})
    );
    let mut cx = home.house.engine.reader(home.operator.clone()).await.unwrap();
    let names = super::names(&mut cx, &[maja, UserId::ZERO]).await.unwrap();
    assert_eq!((names.len(), names[&maja].as_str()), (1, "Maja Ek"));
    let custodian = super::organizations(&mut cx).await.unwrap().into_iter().find(|row| row.custodian).unwrap();
    assert_eq!(custodian.name, "Riverside Clinic");
}

#[tokio::test]
async fn the_command_line_acts_as_whom_it_names() {
    let (home, maja) = Home::with_maja().await;
    let by = super::operator(&home.house.engine, Some("mlindqvist")).await.unwrap();
    assert!(by.command_line && by.user == maja && by.session.is_none());
    assert_eq!(super::operator(&home.house.engine, Some("nobody")).await.unwrap_err().field, Some("by"));
    assert_eq!(super::found(&home.house.engine, None).await.unwrap_err().code, Code::Conflict, "founded once");
}

#[tokio::test]
async fn no_credential_and_no_name_is_on_disk() {
    let (home, maja) = Home::with_maja().await;
    let signed_in = home.signs_in().await;
    let (personal, _) = home.token(30).await;
    let _ = home.try_password("a wrong password marker").await;
    let mut tx = home.house.engine.shared().db.read().await.unwrap();
    let stored = sql::account(&mut tx, maja).await.unwrap().unwrap().password_hash.unwrap();
    assert!(stored.starts_with("$argon2id$v=19$m=47104,t=1,p=1$"));
    drop(tx);
    let secrets =
        [token_of(&signed_in), personal, PASSWORD.to_owned(), "wrong password marker".into(), "Maja Lindqvist".into()];
    for entry in std::fs::read_dir(home.house.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for secret in &secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds a secret", path.display());
        }
    }
    let trail = std::fs::read(home.house.folder.path().join("record.db-wal")).unwrap();
    for word in ["session.open", "sign_in", "unauthenticated", "token.issue", "user.add"] {
        assert!(trail.windows(word.len()).any(|window| window == word.as_bytes()), "{word} is not audited");
    }
}
