//! Law 4 while things happen: what a socket is sent ends with the standing of whoever holds it, and what others do beyond one's
//! sight changes nothing in sight.

use std::time::Duration;

use serde_json::{Value, json};

use super::chance::fresh_id;
use super::server::{Person, Server, list, text};
use super::ward::Ward;

/// Posts by the lead, one after the other.
async fn chatter(server: &Server, ward: &Ward, channel: &str, item: &str, count: usize) {
    for n in 0..count {
        let data = json!({"channel": ward.id(channel), "item": ward.id(item), "text": format!("word {n}")});
        server.run(&ward.lead, "message.post", data).await;
    }
}

async fn ward_with(server: &Server, handle: &str, more: Value) -> (Ward, Person) {
    let ward = Ward::open(server, server.person("lead").await).await;
    let person = server.person(handle).await;
    ward.add(server, &person, more).await;
    (ward, person)
}

/// The highest `seq` of a channel among events.
fn newest(events: &[Value], channel: &str) -> i64 {
    let seqs = events.iter().filter(|event| event["channel"] == channel).filter_map(|event| event["seq"].as_i64());
    seqs.max().unwrap_or(0)
}

/// The `seq` of the entry that says somebody left, in a channel, as the lead reads it.
async fn left_at(server: &Server, ward: &Ward, channel: &str, person: &Person) -> i64 {
    let page = server.run(&ward.lead, "history", json!({"channel": ward.id(channel), "limit": 200})).await;
    let leaving = list(&page, "events")
        .iter()
        .rev()
        .find(|event| event["event"] == "team.left" && event["data"]["user"] == person.id.as_str());
    leaving.unwrap_or_else(|| panic!("nobody left {channel}"))["seq"].as_i64().unwrap()
}

both!(after_the_entry_that_removes_somebody_they_are_sent_nothing);
async fn after_the_entry_that_removes_somebody_they_are_sent_nothing() {
    let server = Server::new().await;
    let (ward, nurse) = ward_with(&server, "nurse", json!({})).await;
    let mut socket = server.socket(&nurse).await;
    socket.run("resume", json!({})).await;
    let posting = async {
        chatter(&server, &ward, "staff", "goal", 60).await;
        chatter(&server, &ward, "shared", "shared_goal", 60).await;
    };
    let removing = async {
        tokio::time::sleep(Duration::from_millis(120)).await;
        ward.remove(&server, &nurse).await;
    };
    tokio::join!(posting, removing);
    chatter(&server, &ward, "staff", "goal", 5).await;
    let events = socket.events_so_far().await;
    let (staff, shared) = (ward.id("staff"), ward.id("shared"));
    assert!(newest(&events, staff) > 0, "the nurse was on the team for a while");
    for (name, channel) in [("staff", staff), ("shared", shared), ("plan", ward.id("plan"))] {
        let left = left_at(&server, &ward, name, &nurse).await;
        let seen = newest(&events, channel);
        assert!(seen <= left, "{name}: sent {seen} after the removal at {left}");
    }
    assert_eq!(socket.code("history", json!({"channel": staff})).await, "not_found");
    let data = json!({"channel": staff, "item": ward.id("goal"), "text": "still here?"});
    assert_eq!(socket.code("message.post", data).await, "not_found");
    let again = socket.run("resume", json!({"cursors": {staff: 0}})).await;
    assert_eq!(again["reset"], json!([staff]));
}

both!(a_removal_of_oneself_ends_what_is_sent_as_well);
async fn a_removal_of_oneself_ends_what_is_sent_as_well() {
    let server = Server::new().await;
    let (ward, nurse) = ward_with(&server, "nurse", json!({})).await;
    let mut socket = server.socket(&nurse).await;
    socket.run("resume", json!({})).await;
    socket.run("team.remove", json!({"patient": ward.id("patient"), "user": nurse.id})).await;
    chatter(&server, &ward, "staff", "goal", 3).await;
    let events = socket.events_so_far().await;
    assert!(events.iter().all(|event| event["event"] != "message.posted"), "{events:?}");
}

both!(who_comes_back_does_not_see_what_was_said_meanwhile);
async fn who_comes_back_does_not_see_what_was_said_meanwhile() {
    let server = Server::new().await;
    let (ward, nurse) = ward_with(&server, "nurse", json!({})).await;
    let staff = ward.id("staff");
    chatter(&server, &ward, "staff", "goal", 4).await;
    ward.remove(&server, &nurse).await;
    let left = left_at(&server, &ward, "staff", &nurse).await;
    chatter(&server, &ward, "staff", "goal", 7).await;
    ward.add(&server, &nurse, json!({})).await;
    chatter(&server, &ward, "staff", "goal", 2).await;
    let whole = server.run(&ward.lead, "history", json!({"channel": staff, "after": 0, "limit": 200})).await;
    let page = server.run(&nurse, "history", json!({"channel": staff, "after": 0, "limit": 200})).await;
    let gaps = list(&page, "gaps");
    assert_eq!(gaps.len(), 1, "{page}");
    let (from, to) = (gaps[0][0].as_i64().unwrap(), gaps[0][1].as_i64().unwrap());
    assert!(from == left + 1 && to >= left + 7, "gap {from}..{to}, left at {left}");
    let in_sight = |event: &&Value| !(from..=to).contains(&event["seq"].as_i64().unwrap());
    let expected: Vec<&Value> = list(&whole, "events").iter().filter(in_sight).collect();
    assert_eq!(list(&page, "events").iter().collect::<Vec<_>>(), expected);
    // By single steps, and by resuming, the same.
    let mut walked = Vec::new();
    loop {
        let after = walked.last().map_or(0, |event: &Value| event["seq"].as_i64().unwrap());
        let page = server.run(&nurse, "history", json!({"channel": staff, "after": after, "limit": 3})).await;
        walked.extend(list(&page, "events").clone());
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(walked.iter().collect::<Vec<_>>(), expected);
    let mut socket = server.socket(&nurse).await;
    let resumed = socket.run("resume", json!({"cursors": {staff: 0}})).await;
    assert_eq!(resumed["sent"][staff], expected.len());
    assert!(resumed["gaps"].to_string().contains(&format!("[{from},{to}]")), "{resumed}");
    let events = socket.events_so_far().await;
    let events: Vec<&Value> = events.iter().filter(|event| event["channel"] == staff).collect();
    assert_eq!(events, expected);
}

both!(a_membership_with_an_end_ends_by_the_clock);
async fn a_membership_with_an_end_ends_by_the_clock() {
    let server = Server::new().await;
    let (ward, _) = ward_with(&server, "nurse", json!({})).await;
    let locum = server.person("locum").await;
    let until = carethread::kernel::base::World::system().now() + 2_500_000;
    ward.add(&server, &locum, json!({"until": carethread::kernel::base::world::rfc3339(until)})).await;
    let mut socket = server.socket(&locum).await;
    socket.run("resume", json!({})).await;
    chatter(&server, &ward, "staff", "goal", 1).await;
    assert_eq!(socket.event().await["event"], "message.posted");
    tokio::time::sleep(Duration::from_millis(2600)).await;
    chatter(&server, &ward, "staff", "goal", 3).await;
    let events = socket.events_so_far().await;
    assert!(events.iter().all(|event| event["event"] != "message.posted"), "{events:?}");
    assert_eq!(socket.code("history", json!({"channel": ward.id("staff")})).await, "not_found");
}

/// All that somebody can read of a ward, as text.
async fn sight(server: &Server, ward: &Ward, person: &Person) -> Vec<String> {
    let questions = [
        ("channel.list", json!({})),
        ("patient.list", json!({})),
        ("patient.get", json!({"patient": ward.id("patient")})),
        ("team.list", json!({"patient": ward.id("patient")})),
        ("plan.items", json!({"patient": ward.id("patient"), "closed": true})),
        ("history", json!({"channel": ward.id("shared"), "limit": 200})),
        ("history", json!({"channel": ward.id("staff"), "limit": 200})),
    ];
    let mut answers = Vec::new();
    for (op, data) in questions {
        answers.push(server.ask(person, op, data).await.text);
    }
    answers
}

both!(what_staff_do_among_themselves_changes_nothing_in_the_sight_of_family_and_strangers);
async fn what_staff_do_among_themselves_changes_nothing_in_the_sight_of_family_and_strangers() {
    let server = Server::new().await;
    let (mut ward, _) = ward_with(&server, "nurse", json!({})).await;
    let relative = server.person_with("relative", &["--kind", "related-person"]).await;
    let friend = server.person("friend").await;
    let stranger = server.person("stranger").await;
    ward.add(&server, &relative, json!({})).await;
    ward.add(&server, &friend, json!({"family": true})).await;
    let watchers = [&relative, &friend, &stranger];
    let (mut before, mut sockets) = (Vec::new(), Vec::new());
    for person in watchers {
        before.push(sight(&server, &ward, person).await);
        let mut socket = server.socket(person).await;
        socket.run("resume", json!({})).await;
        sockets.push(socket);
    }
    // On items that family sees, in channels that family does not see, and the other way about.
    for item in ["whole", "unsorted", "goal", "shared_goal"] {
        chatter(&server, &ward, "staff", item, 2).await;
    }
    let patient = ward.id("patient").to_owned();
    ward.make(&server, "secret", "plan_item.add", json!({"patient": patient, "kind": "barrier", "title": "Debts"}))
        .await;
    let data = json!({"item": ward.id("secret"), "rev": 1, "addresses": [ward.id("shared_goal")]});
    server.run(&ward.lead, "plan_item.change", data).await;
    server.run(&ward.lead, "plan_item.close", json!({"item": ward.id("secret"), "rev": 2})).await;
    ward.make(&server, "aside", "channel.open", json!({"patient": patient, "name": "Aside", "audience": "named"}))
        .await;
    server.run(&ward.lead, "channel.change", json!({"channel": ward.id("aside"), "name": "Further aside"})).await;
    server.run(&ward.lead, "channel.archive", json!({"channel": ward.id("aside")})).await;
    let message = ward.id("message_staff").to_owned();
    server.run(&ward.lead, "message.amend", json!({"message": message, "text": "he said"})).await;
    server.run(&ward.lead, "message.relink", json!({"message": message, "item": ward.id("shared_goal")})).await;
    server.run(&ward.lead, "message.retract", json!({"message": message, "reason": "wrong patient"})).await;
    let mut lead = server.socket(&ward.lead).await;
    lead.run("typing", json!({"channel": ward.id("staff")})).await;
    for ((person, socket), before) in watchers.into_iter().zip(&mut sockets).zip(before) {
        let events = socket.events_so_far().await;
        assert!(events.is_empty(), "{}: {events:?}", person.handle);
        let after = sight(&server, &ward, person).await;
        assert_eq!(after, before, "{}", person.handle);
    }
    // And what is shared does arrive.
    chatter(&server, &ward, "shared", "shared_goal", 1).await;
    for socket in &mut sockets[..2] {
        assert_eq!(socket.event().await["data"]["text"], "word 0");
    }
    assert!(sockets[2].events_so_far().await.is_empty());
}

both!(a_change_of_a_shared_item_names_nothing_that_family_may_not_see);
async fn a_change_of_a_shared_item_names_nothing_that_family_may_not_see() {
    let server = Server::new().await;
    let (ward, _) = ward_with(&server, "nurse", json!({})).await;
    let relative = server.person_with("relative", &["--kind", "related-person"]).await;
    ward.add(&server, &relative, json!({})).await;
    let mut socket = server.socket(&relative).await;
    socket.run("resume", json!({})).await;
    let data = json!({"item": ward.id("shared_goal"), "rev": 1, "title": "Walk", "addresses": [ward.id("goal"), ward.id("whole")]});
    server.run(&ward.lead, "plan_item.change", data).await;
    let event = socket.event().await;
    assert_eq!((&event["event"], &event["channel"]), (&json!("plan_item.changed"), &json!(ward.id("shared"))));
    assert!(!event.to_string().contains(ward.id("goal")), "{event}");
    let items = server.run(&relative, "plan.items", json!({"patient": ward.id("patient")})).await.to_string();
    assert!(items.contains("Walk") && !items.contains(ward.id("goal")), "{items}");
}

both!(a_cursor_of_a_hidden_channel_is_answered_as_one_of_a_channel_that_never_was);
async fn a_cursor_of_a_hidden_channel_is_answered_as_one_of_a_channel_that_never_was() {
    let server = Server::new().await;
    let (ward, nurse) = ward_with(&server, "nurse", json!({})).await;
    let relative = server.person_with("relative", &["--kind", "related-person"]).await;
    ward.add(&server, &relative, json!({})).await;
    let former = server.person("former").await;
    ward.add(&server, &former, json!({})).await;
    ward.remove(&server, &former).await;
    let stranger = server.person("stranger").await;
    for (person, hidden) in [
        (&stranger, &["plan", "staff", "shared", "named", "archived"][..]),
        (&former, &["plan", "staff", "shared", "named", "archived"][..]),
        (&relative, &["plan", "staff", "named", "archived"][..]),
        (&nurse, &["named"][..]),
    ] {
        for name in hidden {
            for cursor in [0, 1, 99_999] {
                let mut socket = server.socket(person).await;
                let there = socket.run("resume", json!({"cursors": {ward.id(name): cursor}})).await;
                let mut socket = server.socket(person).await;
                let ghost = fresh_id();
                let never = socket.run("resume", json!({"cursors": {ghost.clone(): cursor}})).await;
                assert_eq!(there["reset"], json!([ward.id(name)]));
                let there = there.to_string().replace(ward.id(name), "?");
                assert_eq!(there, never.to_string().replace(&ghost, "?"), "{}: {name} at {cursor}", person.handle);
            }
        }
        let mut socket = server.socket(person).await;
        for name in hidden {
            let (there, never) = (
                socket.ask("typing", json!({"channel": ward.id(name)})).await,
                socket.ask("typing", json!({"channel": fresh_id()})).await,
            );
            assert_eq!((&there["type"], &there["error"]), (&json!("error"), &never["error"]));
        }
    }
}

both!(a_mention_does_not_tell_who_exists);
async fn a_mention_does_not_tell_who_exists() {
    let server = Server::new().await;
    let (ward, nurse) = ward_with(&server, "nurse", json!({})).await;
    let relative = server.person_with("relative", &["--kind", "related-person"]).await;
    ward.add(&server, &relative, json!({})).await;
    let stranger = server.person("stranger").await;
    let mention =
        |id: &str| json!({"channel": ward.id("staff"), "item": ward.id("goal"), "text": "look", "mentions": [id]});
    let never = server.ask(&nurse, "message.post", mention(&fresh_id())).await;
    assert_eq!(
        (&never.json()["error"]["code"], &never.json()["error"]["field"]),
        (&json!("invalid"), &json!("mentions"))
    );
    for person in [&relative, &stranger] {
        assert_eq!(server.ask(&nurse, "message.post", mention(&person.id)).await.text, never.text);
    }
}

both!(a_suspended_account_is_sent_nothing_two_seconds_later);
async fn a_suspended_account_is_sent_nothing_two_seconds_later() {
    let server = Server::new().await;
    let (ward, nurse) = ward_with(&server, "nurse", json!({})).await;
    let mut socket = server.socket(&nurse).await;
    socket.run("resume", json!({})).await;
    server.cli(&["user", "suspend", "--handle", "nurse"]).await;
    let closed = tokio::time::timeout(Duration::from_secs(2), socket.closed()).await;
    assert_eq!(closed.expect("closed within two seconds"), 4401);
    assert_eq!(server.code(&nurse, "channel.list", json!({})).await, "unauthenticated");
    chatter(&server, &ward, "staff", "goal", 1).await;
    server.cli(&["user", "restore", "--handle", "nurse"]).await;
}

both!(a_revoked_token_closes_its_sockets_and_no_other);
async fn a_revoked_token_closes_its_sockets_and_no_other() {
    let server = Server::new().await;
    let (ward, nurse) = ward_with(&server, "nurse", json!({})).await;
    let second = text(&server.cli(&["token", "issue", "--user", "nurse"]).await, "token");
    let other = Person { token: second, ..nurse.clone() };
    let (mut first, mut second) = (server.socket(&nurse).await, server.socket(&other).await);
    second.run("resume", json!({})).await;
    let tokens = server.cli(&["token", "list", "--user", "nurse"]).await;
    let oldest = list(&tokens, "tokens").iter().min_by_key(|token| text(token, "id")).unwrap();
    server.cli(&["token", "revoke", &text(oldest, "id")]).await;
    assert_eq!(first.closed().await, 4401);
    chatter(&server, &ward, "staff", "goal", 1).await;
    assert_eq!(second.event().await["event"], "message.posted");
}

both!(a_record_leaves_by_those_who_stepped_up_alone_and_not_unseen);
async fn a_record_leaves_by_those_who_stepped_up_alone_and_not_unseen() {
    let server = Server::new().await;
    let (ward, nurse) = ward_with(&server, "nurse", json!({})).await;
    let stranger = server.person("stranger").await;
    let officer = server.person_with("officer", &["--role", "record_officer"]).await;
    let body = br#"{"format":"ndjson"}"#;
    for person in [&ward.lead, &nurse, &stranger, &officer] {
        let headers = format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", person.token);
        let exports =
            async |patient: &str| server.request(&format!("POST /v1/patients/{patient}/exports"), &headers, body).await;
        let there = exports(ward.id("patient")).await;
        let never = exports(&fresh_id()).await;
        assert_eq!(never.status, 404, "{}", person.handle);
        if person.id == stranger.id {
            assert_eq!((there.status, &there.text), (404, &never.text), "{}", person.handle);
        } else {
            // A token that was not issued for exports never steps up.
            assert_eq!((there.status, there.json()["code"].clone()), (403, json!("forbidden")), "{}", person.handle);
        }
        for op in ["export.begin", "export.file", "export.read", "export"] {
            assert_eq!(server.code(person, op, json!({"patient": ward.id("patient")})).await, "unknown_op");
        }
    }
    let out = server.house.path("out").display().to_string();
    let export = ["export", "--format", "ndjson", "--out", &out, "--by", "nurse", "--patient"];
    let never = server.house.cli(&[&export[..], &[fresh_id().as_str()]].concat()).await;
    assert!(never.code == 1 && !server.house.path("out").exists(), "{}", never.stderr);
    server.cli(&[&export[..], &[ward.id("patient")]].concat()).await;
    // Whoever runs the host has its authority, whatever name is given; but the record says who took it out.
    let page = server.run(&ward.lead, "history", json!({"channel": ward.id("plan"), "limit": 1})).await;
    let filed = &list(&page, "events")[0];
    assert_eq!((&filed["event"], &filed["by"]), (&json!("export.filed"), &json!(nurse.id)), "{filed}");
}
