//! Boards over a whole engine: what stands on them, for whom, and that the events of the channels are their updates.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use crate::features::channels::{Ward, with};
use crate::features::tasks::State;
use crate::kernel::base::world::MINUTE;
use crate::kernel::base::{ChannelId, Code, ItemId, ThingId};
use crate::kernel::policy::Subject;
use crate::testing::id_of;

const DAY: i64 = 24 * 60 * MINUTE;

async fn make(ward: &Ward, who: &Subject, channel: ChannelId, item: ItemId, more: Value) -> ThingId {
    let data = with(json!({"channel": channel, "item": item, "title": "Change the dressing"}), more);
    id_of(&ward.house.run(who, "task.create", data).await, "id")
}

async fn board(ward: &Ward, who: &Subject, more: Value) -> Value {
    ward.house.run(who, "board.get", with(json!({ "patient": ward.patient }), more)).await
}

/// The tasks of a board by column, those of empty columns left out.
fn standing(board: &Value) -> BTreeMap<String, Vec<String>> {
    let columns = board["columns"].as_array().unwrap();
    let names: Vec<&str> = columns.iter().map(|column| column["state"].as_str().unwrap()).collect();
    assert_eq!(names, State::ALL.iter().map(|state| state.text()).collect::<Vec<_>>());
    let tasks = |column: &Value| {
        let tasks = column["tasks"].as_array().unwrap().iter();
        tasks.map(|task| task["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let columns = columns.iter().map(|column| (column["state"].as_str().unwrap().to_owned(), tasks(column)));
    columns.filter(|(_, tasks)| !tasks.is_empty()).collect()
}

fn ids(board: &Value) -> Vec<String> {
    let mut ids: Vec<String> = standing(board).into_values().flatten().collect();
    ids.sort();
    ids
}

fn said(tasks: &[ThingId]) -> Vec<String> {
    let mut ids: Vec<String> = tasks.iter().map(ToString::to_string).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn a_board_shows_what_the_filters_ask_for() {
    let ward = Ward::open().await;
    let (lead, nurse, staff) = (&ward.lead, &ward.nurse, ward.care_team);
    let soon = make(&ward, lead, staff, ward.wound, json!({"owner": nurse.user, "due": "2027-01-01"})).await;
    let later = make(&ward, nurse, staff, ward.unsorted, json!({"due": "2028-01-01T10:00:00Z"})).await;
    let held = make(&ward, nurse, staff, ward.wound, json!({"owner": {"responsibility": "plan"}})).await;
    let all = board(&ward, lead, json!({})).await;
    let expected = [("ready", vec![later]), ("requested", vec![soon, held])];
    assert_eq!(standing(&all), expected.map(|(state, tasks)| (state.to_owned(), said(&tasks))).into());
    let single = ward.house.run(lead, "task.get", json!({ "task": soon })).await["task"].clone();
    assert_eq!(all["columns"][0]["tasks"][0], single, "a task is shown alike everywhere");
    assert_eq!(all["unsorted"], json!({"count": 0, "overdue": 0}));
    ward.post(nurse, staff, "words").await;
    let shown = async |more: Value| ids(&board(&ward, lead, more).await);
    assert_eq!(shown(json!({"item": ward.wound})).await, said(&[soon, held]));
    assert_eq!(shown(json!({"owner": nurse.user})).await, said(&[soon, later]));
    assert_eq!(shown(json!({"owner": {"responsibility": "plan"}})).await, said(&[held]));
    assert_eq!(shown(json!({"due_before": "2027-06-01T00:00:00Z"})).await, said(&[soon]));
    assert_eq!(shown(json!({"state": "ready"})).await, said(&[later]));
    assert_eq!(shown(json!({"state": "ready", "item": ward.wound})).await, said(&[]));
    assert_eq!(board(&ward, lead, json!({})).await["unsorted"], json!({"count": 1, "overdue": 0}));
}

#[tokio::test]
async fn what_a_filter_cannot_see_gives_an_empty_board() {
    let ward = Ward::open().await;
    let shared = ward.channel("shared", &[]).await;
    let seen = make(&ward, &ward.lead, shared, ward.unsorted, json!({})).await;
    make(&ward, &ward.lead, ward.care_team, ward.wound, json!({})).await;
    ward.post(&ward.lead, shared, "words").await;
    let (of_family, of_staff) =
        (board(&ward, &ward.daughter, json!({})).await, board(&ward, &ward.lead, json!({})).await);
    assert_eq!((ids(&of_family), ids(&of_staff).len()), (said(&[seen]), 2));
    let nobody = ward.house.world.id();
    let empty = board(&ward, &ward.daughter, json!({ "item": nobody })).await;
    assert!(ids(&empty).is_empty() && empty["unsorted"]["count"] == 0 && empty["notes"] == json!([]));
    for filter in [json!({"item": ward.wound}), json!({"owner": ward.outsider.user}), json!({ "owner": nobody })] {
        assert_eq!(board(&ward, &ward.daughter, filter).await, empty);
    }
    let of = |patient: uuid::Uuid| json!({ "patient": patient });
    ward.same_as_missing(&ward.outsider, "board.get", of(ward.patient.0), of(nobody)).await;
    assert_eq!(ids(&ward.house.run(&ward.outsider, "board.get", json!({"mine": true})).await), said(&[]));
    let both = json!({"patient": ward.patient, "mine": true});
    assert_eq!(ward.house.code(&ward.lead, "board.get", both).await, Code::Invalid);
}

#[tokio::test]
async fn mine_goes_over_all_patients_and_each_has_its_audit_row() {
    let ward = Ward::open().await;
    let other = ward.house.run(&ward.nurse, "patient.register", json!({"name": "Other"})).await;
    let (channel, item) = (id_of(&other, "care_team"), id_of(&other["items"], "unsorted"));
    let here = make(&ward, &ward.lead, ward.care_team, ward.wound, json!({"owner": ward.nurse.user})).await;
    make(&ward, &ward.lead, ward.care_team, ward.wound, json!({})).await;
    let there = make(&ward, &ward.nurse, channel, item, json!({"owner": {"responsibility": "lead"}})).await;
    let mine = ward.house.run(&ward.nurse, "board.get", json!({"mine": true})).await;
    assert_eq!(ids(&mine), said(&[here, there]));
    let only = ward.house.run(&ward.nurse, "board.get", json!({"mine": true, "item": item})).await;
    assert_eq!(ids(&only), said(&[there]));
    let mut reader = ward.house.engine.reader(ward.nurse.clone()).await.unwrap();
    let lines = crate::kernel::log::sql::audit_page(reader.tx(), 1, 0, 1000).await.unwrap();
    let rows = lines.iter().map(|row| serde_json::from_str::<Value>(&row.line).unwrap());
    let patients: Vec<Value> =
        rows.filter(|row| row["action"] == "board.get").map(|row| row["patient"].clone()).collect();
    let (one, two) = (json!(ward.patient), other["id"].clone());
    assert_eq!(patients, [one.clone(), two.clone(), one, two]);
}

#[tokio::test]
async fn what_is_over_leaves_the_board_after_a_while() {
    let ward = Ward::open().await;
    let mut tasks = Vec::new();
    for _ in 0..52 {
        let task = make(&ward, &ward.nurse, ward.care_team, ward.wound, json!({})).await;
        ward.house.run(&ward.nurse, "task.complete", json!({"task": task, "rev": 1})).await;
        tasks.push(task);
        ward.house.advance(MINUTE);
    }
    let column = |board: &Value| {
        board["columns"].as_array().unwrap().iter().find(|one| one["state"] == "completed").unwrap().clone()
    };
    let shown = column(&board(&ward, &ward.lead, json!({})).await);
    assert_eq!((shown["tasks"].as_array().unwrap().len(), &shown["more"]), (50, &json!(2)));
    assert_eq!(shown["tasks"][0]["id"], json!(tasks[2]), "the newest stay, in the order of the column");
    ward.house.advance(14 * DAY - 30 * MINUTE - MINUTE / 2);
    let shown = column(&board(&ward, &ward.lead, json!({})).await);
    assert_eq!((shown["tasks"].as_array().unwrap().len(), &shown["more"]), (30, &Value::Null));
}

/// A board as a client keeps it: tasks by id, laid over with the events of the channels it reads.
#[derive(Clone, Default)]
struct Kept {
    tasks: BTreeMap<String, Map<String, Value>>,
    read: BTreeMap<ChannelId, i64>,
}

impl Kept {
    async fn from(ward: &Ward, who: &Subject, channels: &[ChannelId]) -> Self {
        let mut kept = Self::default();
        let board = board(ward, who, json!({})).await;
        for task in board["columns"].as_array().unwrap().iter().flat_map(|column| column["tasks"].as_array().unwrap()) {
            kept.tasks.insert(task["id"].as_str().unwrap().to_owned(), task.as_object().unwrap().clone());
        }
        for channel in channels {
            kept.read.insert(*channel, ward.listed(who, *channel).await["last_seq"].as_i64().unwrap());
        }
        kept
    }

    async fn follow(&mut self, ward: &Ward, who: &Subject) {
        for (channel, after) in self.read.clone() {
            let page = ward.history(who, channel, json!({"after": after, "limit": 200})).await;
            for event in page["events"].as_array().unwrap() {
                self.apply(ward, event);
            }
        }
    }

    fn apply(&mut self, ward: &Ward, event: &Value) {
        let data = event["data"].as_object().unwrap().clone();
        match event["event"].as_str().unwrap() {
            "task.created" => {
                let id = data["id"].as_str().unwrap().to_owned();
                // A new task stands at the place of its id.
                let fresh = json!({"channel": event["channel"], "patient": ward.patient, "description": null, "due": null,
                                   "priority": "routine", "checklist": [], "rev": 1, "messages": 0, "by": event["by"],
                                   "at": event["at"], "overdue": false, "place": id.replace('-', "")});
                let mut task = fresh.as_object().unwrap().clone();
                task.extend(data);
                self.tasks.insert(id, task);
            }
            "task.changed" => {
                let task = self.tasks.get_mut(data["task"].as_str().unwrap()).expect("a task that was made before");
                task.insert("rev".into(), data["rev"].clone());
                for (name, value) in data["after"].as_object().unwrap().clone() {
                    let optional = ["due_zone", "remind_minutes", "repeat", "returned_from"].contains(&name.as_str());
                    match value {
                        Value::Null if optional => drop(task.remove(&name)),
                        Value::Null if name == "priority" => drop(task.insert(name, json!("routine"))),
                        value => drop(task.insert(name, value)),
                    }
                }
            }
            _ => {}
        }
    }

    fn columns(&self) -> Value {
        let column = |state: &State| {
            let mut tasks: Vec<&Map<String, Value>> =
                self.tasks.values().filter(|task| task["state"] == state.text()).collect();
            tasks.sort_by_key(|task| {
                (task["place"].as_str().unwrap().to_owned(), task["id"].as_str().unwrap().to_owned())
            });
            json!({"state": state, "tasks": tasks})
        };
        Value::Array(State::ALL.iter().map(column).collect())
    }
}

/// Op, task, whether the lead does it, a column.
type Step = (&'static str, usize, bool, State);

async fn holds(steps: Vec<Step>, split: usize) {
    let ward = Ward::open().await;
    let channels = [ward.care_team, ward.channel("shared", &[]).await];
    let mut tasks: Vec<ThingId> = Vec::new();
    for channel in channels {
        tasks.push(make(&ward, &ward.nurse, channel, ward.unsorted, json!({})).await);
    }
    let mut kept = Vec::new();
    for (n, (op, task, lead, column)) in steps.into_iter().enumerate() {
        if n == split {
            kept.push((&ward.lead, Kept::from(&ward, &ward.lead, &channels).await));
            kept.push((&ward.daughter, Kept::from(&ward, &ward.daughter, &channels[1..]).await));
        }
        ward.house.advance(MINUTE);
        ward.house.ring().await;
        let who = if lead { &ward.lead } else { &ward.nurse };
        if op == "task.create" {
            let more =
                json!({"owner": ward.nurse.user, "checklist": ["One"], "due": "2020-01-01", "priority": "urgent"});
            tasks.push(make(&ward, who, channels[task % 2], ward.unsorted, more).await);
            continue;
        }
        let task = tasks[task % tasks.len()];
        let now = ward.house.run(&ward.lead, "task.get", json!({ "task": task })).await["task"].clone();
        let mut data = json!({"task": task, "rev": now["rev"], "reason": "a"});
        match op {
            "task.assign" => data["owner"] = json!(if n % 2 == 0 { ward.nurse.user } else { ward.lead.user }),
            "task.update" if n % 2 == 0 => {
                data = with(data, json!({"title": format!("Dressing {n}"), "description": "b"}))
            }
            "task.update" => data = with(data, json!({"description": null, "due": null, "priority": null})),
            "task.move" => data = with(data, json!({"column": column, "after": null})),
            _ => (),
        }
        drop(ward.house.try_run(who, op, data).await);
    }
    for (who, mut kept) in kept {
        kept.follow(&ward, who).await;
        assert_eq!(kept.columns(), board(&ward, who, json!({})).await["columns"]);
    }
}

#[test]
fn a_board_with_later_events_is_a_later_board() {
    const OPS: &[&str] = &[
        "task.create",
        "task.create",
        "task.accept",
        "task.decline",
        "task.start",
        "task.hold",
        "task.complete",
        "task.fail",
        "task.cancel",
        "task.assign",
        "task.update",
        "task.move",
        "task.move",
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut runner = TestRunner::new(Config { cases: 8, failure_persistence: None, ..Config::default() });
    let state = prop::sample::select(State::ALL.to_vec());
    let step = (prop::sample::select(OPS), 0..12_usize, any::<bool>(), state);
    let steps = prop::collection::vec(step, 12..40);
    let held = runner.run(&(steps, 0..12_usize), |(steps, split)| {
        runtime.block_on(holds(steps, split));
        Ok(())
    });
    if let Err(error) = held {
        panic!("{error}");
    }
}

#[tokio::test]
async fn open_talks_and_offers_stand_beside_the_tasks() {
    let ward = Ward::open().await;
    let open = json!({"channel": ward.care_team, "item": ward.wound});
    let note: ThingId = id_of(&ward.house.run(&ward.nurse, "note.open", open).await, "id");
    let ipass =
        json!({"illness_severity": "stable", "patient_summary": "a", "action_list": "b", "situation_awareness": "c"});
    let offer = json!({"patient": ward.patient, "to": ward.nurse.user, "ipass": ipass});
    let offer: ThingId = id_of(&ward.house.run(&ward.lead, "handoff.offer", offer).await, "id");
    let shown = |board: Value| {
        let ids = |name: &str| board[name].as_array().unwrap().iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
        (ids("notes"), ids("handoffs"))
    };
    let (talk, offered) = (vec![json!(note)], vec![json!(offer)]);
    assert_eq!(shown(board(&ward, &ward.lead, json!({})).await), (talk.clone(), offered.clone()));
    assert_eq!(shown(board(&ward, &ward.daughter, json!({})).await), (vec![], vec![]));
    assert_eq!(shown(board(&ward, &ward.lead, json!({"item": ward.wound})).await), (talk.clone(), vec![]));
    assert_eq!(shown(board(&ward, &ward.lead, json!({"owner": ward.lead.user})).await), (vec![], vec![]));
    let mine = async |who: &Subject| shown(ward.house.run(who, "board.get", json!({"mine": true})).await);
    assert_eq!(mine(&ward.nurse).await, (talk.clone(), offered.clone()));
    assert_eq!(mine(&ward.lead).await, (vec![], vec![]));
    let decline = json!({"handoff": offer, "reason": "Not on duty"});
    ward.house.run(&ward.nurse, "handoff.decline", decline).await;
    assert_eq!(mine(&ward.nurse).await, (talk, vec![]));
    assert_eq!(mine(&ward.lead).await, (vec![], offered), "a declined offer rests with whoever made it");
    let reason = json!({"note": note, "reason": "Nobody answered"});
    ward.house.run(&ward.nurse, "note.dismiss", reason).await;
    assert_eq!(shown(board(&ward, &ward.nurse, json!({})).await).0, Vec::<Value>::new());
}
