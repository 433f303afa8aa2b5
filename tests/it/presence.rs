//! Who is there: told to those who share a channel with them, in that channel, and to nobody else.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::server::{Person, Server};
use super::socket::Socket;
use super::ward::Ward;

/// Longer than it takes until somebody who left counts as gone, and is told to be.
const GONE: Duration = Duration::from_secs(14);

async fn a_ward() -> (Server, Ward, Person) {
    let server = Server::new().await;
    let ward = Ward::open(&server, server.person("lead").await).await;
    let nurse = server.person("nurse").await;
    ward.add(&server, &nurse, json!({})).await;
    (server, ward, nurse)
}

/// Waits until somebody was told of `by` as `state` in `channel`.
async fn told(socket: &mut Socket, by: &Person, channel: &str, state: &str) -> Value {
    let patience = Instant::now() + GONE + Duration::from_secs(10);
    loop {
        socket.events_so_far().await;
        let found = socket.presences.iter().find(|event| {
            event["by"] == by.id.as_str() && event["channel"] == channel && event["data"]["state"] == state
        });
        if let Some(found) = found {
            return found.clone();
        }
        assert!(Instant::now() < patience, "not told that {} is {state}: {:?}", by.handle, socket.presences);
        sleep(Duration::from_millis(50)).await;
    }
}

async fn shown(server: &Server, asker: &Person, channel: &str, of: &Person) -> Value {
    let answer = server.run(asker, "presence", json!({ "channel": channel })).await;
    let found = answer["members"].as_array().unwrap().iter().find(|one| one["user"] == of.id.as_str());
    found.cloned().unwrap_or(Value::Null)
}

both!(who_comes_and_goes_is_told_where_they_may_read);
async fn who_comes_and_goes_is_told_where_they_may_read() {
    let (server, ward, nurse) = a_ward().await;
    let mut lead = server.socket(&ward.lead).await;
    lead.run("resume", json!({})).await;
    assert_eq!(shown(&server, &ward.lead, ward.id("staff"), &nurse).await["state"], "offline");
    let first = server.socket(&nurse).await;
    let event = told(&mut lead, &nurse, ward.id("staff"), "online").await;
    assert!(event.get("seq").is_none() && event["at"].is_string(), "{event}");
    assert_eq!(event["data"], json!({"state": "online", "do_not_disturb": false}));
    assert_eq!(shown(&server, &ward.lead, ward.id("staff"), &nurse).await["state"], "online");
    let channels: Vec<&Value> = lead.presences.iter().map(|event| &event["channel"]).collect();
    assert!(channels.iter().all(|channel| **channel != ward.id("named")), "a channel the nurse is not in");
    // A second device, one of two that goes, and a line that comes back: nothing is told.
    let before = lead.presences.len();
    let second = server.socket(&nurse).await;
    drop(first);
    drop(second);
    sleep(Duration::from_secs(2)).await;
    let again = server.socket(&nurse).await;
    sleep(GONE).await;
    lead.events_so_far().await;
    assert_eq!(lead.presences.len(), before, "{:?}", lead.presences);
    drop(again);
    let state = |answer: &Value| {
        let found = answer["members"].as_array().unwrap().iter().find(|one| one["user"] == nurse.id.as_str());
        found.unwrap()["state"].clone()
    };
    let asked = json!({"channel": ward.id("staff")});
    assert_eq!(state(&lead.run("presence", asked.clone()).await), "online", "a moment of grace");
    told(&mut lead, &nurse, ward.id("staff"), "offline").await;
    assert_eq!(state(&lead.run("presence", asked).await), "offline");
}

both!(nobody_learns_of_somebody_they_share_no_channel_with);
async fn nobody_learns_of_somebody_they_share_no_channel_with() {
    let (server, ward, nurse) = a_ward().await;
    let (daughter, stranger) =
        (server.person_with("daughter", &["--kind", "related-person"]).await, server.person("stranger").await);
    let removed = server.person("removed").await;
    ward.add(&server, &daughter, json!({"family": true})).await;
    ward.add(&server, &removed, json!({})).await;
    let mut sockets = Vec::new();
    for person in [&daughter, &stranger, &removed, &ward.lead] {
        let mut socket = server.socket(person).await;
        socket.run("resume", json!({})).await;
        sockets.push(socket);
    }
    ward.remove(&server, &removed).await;
    let [daughters, strangers, removeds, leads] = &mut sockets[..] else { panic!() };
    removeds.events_so_far().await;
    removeds.presences.clear();
    let mut nurses = server.socket(&nurse).await;
    nurses.run("resume", json!({})).await;
    told(leads, &nurse, ward.id("staff"), "online").await;
    told(leads, &nurse, ward.id("shared"), "online").await;
    told(daughters, &nurse, ward.id("shared"), "online").await;
    assert!(daughters.presences.iter().all(|event| event["channel"] == ward.id("shared")), "{:?}", daughters.presences);
    for socket in [strangers, removeds] {
        socket.events_so_far().await;
        assert!(socket.presences.is_empty(), "{:?}", socket.presences);
    }
    // Nor by asking, nor of those who are not there: the daughter does not read the staff's channel, so the staff does not see her there.
    for (person, channel) in [(&daughter, "staff"), (&nurse, "named"), (&stranger, "shared"), (&removed, "staff")] {
        assert_eq!(server.code(person, "presence", json!({"channel": ward.id(channel)})).await, "not_found");
    }
    assert_eq!(shown(&server, &ward.lead, ward.id("staff"), &daughter).await, Value::Null);
    assert_eq!(shown(&server, &ward.lead, ward.id("staff"), &removed).await, Value::Null);
    assert_eq!(shown(&server, &daughter, ward.id("shared"), &nurse).await["state"], "online");
    assert_eq!(shown(&server, &nurse, ward.id("shared"), &daughter).await["state"], "online");
    assert!(leads.presences.iter().all(|event| event["by"] != stranger.id.as_str()), "{:?}", leads.presences);
    assert!(leads.presences.iter().all(|event| event["by"] != ward.lead.id.as_str()), "not of oneself");
}

both!(what_people_say_of_themselves_is_told);
async fn what_people_say_of_themselves_is_told() {
    let (server, ward, nurse) = a_ward().await;
    let mut lead = server.socket(&ward.lead).await;
    lead.run("resume", json!({})).await;
    let mut socket = server.socket(&nurse).await;
    told(&mut lead, &nurse, ward.id("staff"), "online").await;
    socket.run("presence.set", json!({"state": "away"})).await;
    told(&mut lead, &nurse, ward.id("staff"), "away").await;
    lead.presences.clear();
    socket.run("presence.set", json!({"state": "do_not_disturb", "until": "2999-01-01T00:00:00Z"})).await;
    let event = told(&mut lead, &nurse, ward.id("staff"), "online").await;
    let expected = json!({"state": "online", "do_not_disturb": true, "until": "2999-01-01T00:00:00.000000Z"});
    assert_eq!(event["data"], expected);
    // As often as they like; it is told seldom, and in the end as it is.
    lead.presences.clear();
    for turn in 0..40 {
        let state = if turn % 2 == 0 { "away" } else { "available" };
        socket.run("presence.set", json!({ "state": state })).await;
        sleep(Duration::from_millis(50)).await;
    }
    sleep(Duration::from_secs(5)).await;
    lead.events_so_far().await;
    let of_staff: Vec<&Value> = lead.presences.iter().filter(|event| event["channel"] == ward.id("staff")).collect();
    assert!((1..=4).contains(&of_staff.len()), "{of_staff:?}");
    assert_eq!(of_staff.last().unwrap()["data"], json!({"state": "online", "do_not_disturb": false}));
}

both!(a_muted_channel_is_one_persons_own_and_ends_when_said);
async fn a_muted_channel_is_one_persons_own_and_ends_when_said() {
    let (server, ward, nurse) = a_ward().await;
    let (staff, plan) = (ward.id("staff"), ward.id("plan"));
    let muted = async |person: &Person, channel: &str| -> (Value, Value) {
        let list = server.run(person, "channel.list", json!({})).await;
        let found = list["channels"].as_array().unwrap().iter().find(|one| one["id"] == channel).unwrap().clone();
        (found["muted"].clone(), found["muted_until"].clone())
    };
    let until = "2999-01-01T00:00:00.000000Z";
    let data = json!({"channel": staff, "muted": true, "until": until});
    assert_eq!(server.run(&nurse, "channel.mute", data.clone()).await, data);
    assert_eq!(muted(&nurse, staff).await, (json!(true), json!(until)));
    assert_eq!(muted(&nurse, plan).await, (json!(false), Value::Null));
    assert_eq!(muted(&ward.lead, staff).await, (json!(false), Value::Null));
    // In the list that a sign-in is answered with, too.
    let mut socket = Socket::open(&server, "").await;
    let signed_in = socket.run("login", json!({"token": nurse.token})).await;
    let listed = signed_in["channels"].as_array().unwrap().iter().find(|one| one["id"] == staff).unwrap();
    assert_eq!(listed["muted"], true);
    // Whoever writes there is told, and by when it ends.
    let seen = shown(&server, &ward.lead, staff, &nurse).await;
    assert_eq!((&seen["muted"], &seen["muted_until"]), (&json!(true), &json!(until)));
    server.run(&nurse, "channel.mute", json!({"channel": staff, "muted": false})).await;
    assert_eq!(muted(&nurse, staff).await, (json!(false), Value::Null));
    for data in [
        json!({"channel": staff}),
        json!({"channel": staff, "muted": "yes"}),
        json!({"channel": staff, "muted": true, "until": "2000-01-01T00:00:00Z"}),
        json!({"channel": staff, "muted": false, "until": until}),
    ] {
        assert_eq!(server.code(&nurse, "channel.mute", data).await, "invalid");
    }
}

sqlite_only!(asking_who_is_there_keeps_nobody_signed_in, "The clock of a session is in memory on both databases.");
async fn asking_who_is_there_keeps_nobody_signed_in() {
    let (server, ward, nurse) = a_ward().await;
    let sessions = async || {
        let list = server.run(&nurse, "session.list", json!({})).await;
        list["sessions"].as_array().unwrap().iter().find(|one| one["kind"] == "password").unwrap().clone()
    };
    let set = server
        .house
        .cli_with(&["--json", "user", "password", "--handle", "nurse", "--password-stdin"], "quiet harbor 91 willows");
    set.await.json();
    let opened = server
        .request("POST /v1/sessions", "", br#"{"handle":"nurse","password":"quiet harbor 91 willows"}"#)
        .await
        .json();
    let mut socket =
        Socket::open(&server, &format!("Authorization: Bearer {}\r\n", opened["token"].as_str().unwrap())).await;
    let before = sessions().await["active_at"].clone();
    sleep(Duration::from_millis(20)).await;
    socket.run("presence", json!({"channel": ward.id("staff")})).await;
    socket.run("receipts", json!({"message": ward.id("message_staff")})).await;
    assert_eq!(sessions().await["active_at"], before);
    socket.run("history", json!({"channel": ward.id("staff")})).await;
    assert_ne!(sessions().await["active_at"], before);
}
