//! Search over a whole engine, and held against the plainest way to do it: going over everything that stands.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::lanes;
use crate::features::channels::{self, Ward, with};
use crate::kernel::base::{ChannelId, Code, ItemId, Micros, ThingId};
use crate::kernel::engine::Progress;
use crate::kernel::policy::Subject;
use crate::testing::id_of;

async fn search(ward: &Ward, who: &Subject, more: Value) -> Value {
    ward.house.run(who, "search", more).await
}

fn ids(answer: &Value) -> Vec<ThingId> {
    answer["hits"].as_array().unwrap().iter().map(|hit| id_of(hit, "id")).collect()
}

async fn found(ward: &Ward, who: &Subject, text: &str) -> Vec<ThingId> {
    ids(&search(ward, who, json!({ "text": text })).await)
}

async fn amend(ward: &Ward, who: &Subject, message: ThingId, text: &str) -> Value {
    ward.house.run(who, "message.amend", json!({"message": message, "text": text})).await
}

#[tokio::test]
async fn a_hit_says_where_by_whom_and_around_what() {
    let ward = Ward::open().await;
    let data = json!({"channel": ward.care_team, "item": ward.wound, "text": "Glucose 9.1 after LUNCH"});
    let reply = ward.house.run(&ward.nurse, "message.post", data).await;
    let answer = search(&ward, &ward.lead, json!({"text": " lunch "})).await;
    let hit = json!({"channel": ward.care_team, "seq": reply["seq"], "event": "message.posted", "id": reply["id"], "item": ward.wound,
                     "at": reply["at"], "by": ward.nurse.user, "excerpt": "Glucose 9.1 after LUNCH"});
    assert_eq!(answer, json!({"hits": [hit], "more": false}));
    assert!(found(&ward, &ward.outsider, "lunch").await.is_empty());
    assert!(found(&ward, &ward.daughter, "lunch").await.is_empty());
}

#[tokio::test]
async fn what_is_superseded_or_taken_back_is_no_hit() {
    let ward = Ward::open().await;
    let message = ward.post(&ward.nurse, ward.care_team, "Dose five").await;
    let amended = amend(&ward, &ward.nurse, message, "Dose seven").await;
    assert!(found(&ward, &ward.lead, "five").await.is_empty());
    let hit = search(&ward, &ward.lead, json!({"text": "SEVEN"})).await["hits"][0].clone();
    assert_eq!((&hit["id"], &hit["event"], &hit["seq"]), (&json!(message), &json!("message.amended"), &amended["seq"]));
    ward.house.run(&ward.nurse, "message.relink", json!({"message": message, "item": ward.wound})).await;
    let about = |item: ItemId| json!({"text": "dose", "item": item});
    assert!(ids(&search(&ward, &ward.lead, about(ward.unsorted)).await).is_empty());
    let hit = search(&ward, &ward.lead, about(ward.wound)).await["hits"][0].clone();
    assert_eq!(hit["item"], json!(ward.wound));
    ward.house.run(&ward.lead, "message.retract", json!({"message": message, "reason": "seven is wrong"})).await;
    assert!(found(&ward, &ward.lead, "seven").await.is_empty());
}

#[tokio::test]
async fn an_amendment_while_one_was_away_hides_the_old_words_and_shows_no_new_ones() {
    let ward = Ward::open().await;
    let message = ward.post(&ward.lead, ward.care_team, "Dose five").await;
    let kept = ward.post(&ward.lead, ward.care_team, "Dose of vitamins").await;
    ward.leave(&ward.nurse).await;
    amend(&ward, &ward.lead, message, "Dose seven").await;
    let unseen = ward.post(&ward.lead, ward.care_team, "Dose nine").await;
    ward.join(&ward.nurse).await;
    assert_eq!(found(&ward, &ward.nurse, "dose").await, [kept]);
    assert_eq!(found(&ward, &ward.lead, "dose").await, [unseen, message, kept]);
}

#[tokio::test]
async fn what_is_withheld_is_found_where_it_was_moved_to_and_hides_nothing_else() {
    let ward = Ward::open().await;
    let other = ward.house.run(&ward.lead, "patient.register", json!({"name": "B"})).await;
    let before = ward.post(&ward.lead, ward.care_team, "Fever since noon").await;
    let wrong = ward.post(&ward.lead, ward.care_team, "Fever of another patient").await;
    amend(&ward, &ward.lead, wrong, "Fever, of another patient").await;
    let behind = ward.post(&ward.lead, ward.care_team, "No fever any more").await;
    let moved = json!({"message": wrong, "channel": other["care_team"], "item": other["items"]["unsorted"], "reason": "Wrong patient"});
    let moved: ThingId = id_of(&ward.house.run(&ward.lead, "message.move", moved).await, "id");
    assert_eq!(found(&ward, &ward.nurse, "fever").await, [behind, before]);
    assert_eq!(found(&ward, &ward.lead, "FEVER").await, [moved, behind, before]);
}

#[tokio::test]
async fn notes_and_plan_items_are_found_by_all_they_say() {
    let ward = Ward::open().await;
    let with = json!([{"name": "Dr. Osei", "role": "nephrologist"}]);
    let note = json!({"channel": ward.care_team, "item": ward.wound, "medium": "phone", "held_at": "2026-01-02T03:04:05Z", "with": with,
                      "sbar": {"situation": "Fever", "recommendation": "Cultures"}, "decisions": ["Dose unchanged"]});
    let note: ThingId = id_of(&ward.house.run(&ward.nurse, "note.log", note).await, "id");
    for text in ["fever", "cultures", "dose unchanged", "osei", "NEPHRO"] {
        assert_eq!(found(&ward, &ward.lead, text).await, [note], "{text}");
    }
    assert!(found(&ward, &ward.lead, "recommendation").await.is_empty(), "a name of a part is nobody's word");
    let item = json!({"patient": ward.patient, "kind": "goal", "title": "Walk daily", "detail": "With the frame", "shared": true});
    let item: ItemId = id_of(&ward.house.run(&ward.lead, "plan_item.add", item).await, "id");
    let change = json!({"item": item, "rev": 1, "title": "Walk twice daily"});
    ward.house.run(&ward.lead, "plan_item.change", change).await;
    let hit = search(&ward, &ward.lead, json!({"text": "walk"})).await;
    assert_eq!(hit["hits"].as_array().unwrap().len(), 1, "{hit}");
    assert_eq!((&hit["hits"][0]["event"], &hit["hits"][0]["item"]), (&json!("plan_item.changed"), &json!(item)));
    assert_eq!(found(&ward, &ward.lead, "the frame").await, [ThingId(item.0)]);
    let change = json!({"item": item, "rev": 2, "detail": null});
    ward.house.run(&ward.lead, "plan_item.change", change).await;
    assert!(found(&ward, &ward.lead, "the frame").await.is_empty());
}

#[tokio::test]
async fn family_finds_what_is_shared_with_them_once_and_no_longer() {
    let ward = Ward::open().await;
    let (shared, other) = (ward.channel("shared", &[]).await, ward.channel("shared", &[]).await);
    let item = json!({"patient": ward.patient, "kind": "goal", "title": "Walk daily", "shared": true});
    let item: ItemId = id_of(&ward.house.run(&ward.lead, "plan_item.add", item).await, "id");
    let said = ward.post(&ward.daughter, other, "She walks").await;
    assert_eq!(found(&ward, &ward.daughter, "walk").await, [said, ThingId(item.0)]);
    let hits = search(&ward, &ward.lead, json!({"text": "walk"})).await;
    assert_eq!(hits["hits"].as_array().unwrap().len(), 2);
    assert_eq!(hits["hits"][1]["channel"], json!(ward.plan), "staff find it where it is planned");
    let hide = json!({"item": item, "rev": 1, "shared": false, "title": "Walk with two people"});
    ward.house.run(&ward.lead, "plan_item.change", hide).await;
    assert_eq!(found(&ward, &ward.daughter, "walk").await, [said]);
    let of_item = ward.house.code(&ward.daughter, "search", json!({"text": "walk", "item": item})).await;
    assert_eq!(of_item, Code::NotFound);
    assert_eq!(ids(&search(&ward, &ward.daughter, json!({"text": "walk", "channel": shared})).await), []);
}

#[tokio::test]
async fn a_filter_that_names_something_unreadable_is_not_found() {
    let (ward, foreign) = (Ward::open().await, ChannelId(uuid::Uuid::from_u128(9)));
    let named = ward.channel("named", &[&ward.lead]).await;
    for filter in [
        json!({"channel": named}),
        json!({"channel": foreign}),
        json!({"patient": foreign}),
        json!({"item": foreign}),
        json!({"patient": ward.patient, "channel": foreign}),
    ] {
        let code = ward.house.code(&ward.nurse, "search", with(json!({"text": "a"}), filter.clone())).await;
        assert_eq!(code, Code::NotFound, "{filter}");
    }
    let other = ward.house.run(&ward.lead, "patient.register", json!({"name": "B"})).await;
    let whole: ItemId = id_of(&other["items"], "whole");
    let mixed = json!({"text": "a", "patient": ward.patient, "item": whole});
    let refusal = ward.house.refused(&ward.lead, "search", mixed).await;
    assert_eq!((refusal.code, refusal.field), (Code::NotFound, Some("item")));
    let nobody = search(&ward, &ward.lead, json!({"text": "wound", "author": foreign})).await;
    assert_eq!(nobody, json!({"hits": [], "more": false}));
}

#[tokio::test]
async fn times_and_authors_narrow_it() {
    let ward = Ward::open().await;
    let mut times = Vec::new();
    let mut messages = Vec::new();
    for n in 0..4 {
        let who = if n % 2 == 0 { &ward.nurse } else { &ward.lead };
        let data = json!({"channel": ward.care_team, "item": ward.wound, "text": format!("word {n}")});
        let reply = ward.house.run(who, "message.post", data).await;
        times.push(reply["at"].clone());
        messages.push(id_of::<ThingId>(&reply, "id"));
        ward.house.advance(1_000_000);
    }
    let within = search(&ward, &ward.lead, json!({"text": "word", "from": times[1], "to": times[3]})).await;
    assert_eq!(ids(&within), [messages[2], messages[1]]);
    let by = search(&ward, &ward.lead, json!({"text": "word", "author": ward.nurse.user})).await;
    assert_eq!(ids(&by), [messages[2], messages[0]]);
    // What corrects a message counts whenever it was written.
    amend(&ward, &ward.nurse, messages[0], "sentence").await;
    let early = search(&ward, &ward.lead, json!({"text": "word", "to": times[1]})).await;
    assert!(ids(&early).is_empty());
}

#[tokio::test]
async fn pages_follow_each_other_without_a_hit_lost_or_doubled() {
    let ward = Ward::open().await;
    let named = ward.channel("named", &[&ward.lead]).await;
    let mut expected = Vec::new();
    for n in 0..60 {
        let channel = if n % 3 == 0 { named } else { ward.care_team };
        expected.push(ward.post(&ward.lead, channel, "needle").await);
    }
    expected.reverse();
    let first = search(&ward, &ward.lead, json!({"text": "needle"})).await;
    assert_eq!((ids(&first).len(), &first["more"]), (50, &json!(true)));
    for limit in [1, 7, 50] {
        assert_eq!(paged(&ward, &ward.lead, json!({"text": "needle", "limit": limit})).await, expected);
    }
}

/// Every hit, page by page.
async fn paged(ward: &Ward, who: &Subject, data: Value) -> Vec<ThingId> {
    let mut all = Vec::new();
    let mut page = search(ward, who, data.clone()).await;
    loop {
        all.extend(ids(&page));
        if page["more"] == false {
            assert!(page.get("next").is_none());
            return all;
        }
        page = search(ward, who, with(data.clone(), json!({"before": page["next"]}))).await;
    }
}

#[tokio::test]
async fn a_search_that_is_cancelled_answers_with_what_it_has() {
    let ward = Ward::open().await;
    ward.post(&ward.lead, ward.care_team, "needle").await;
    let progress = std::sync::Arc::new(Progress::default());
    progress.cancel();
    let data = json!({"text": "needle"}).as_object().unwrap().clone();
    let answer = ward.house.engine.run_watched(ward.lead.clone(), "search", data, progress.clone()).await.unwrap();
    assert_eq!((&answer["hits"], &answer["more"], &answer["cancelled"]), (&json!([]), &json!(true), &json!(true)));
    let rest = search(&ward, &ward.lead, json!({"text": "needle", "before": answer["next"]})).await;
    assert_eq!(ids(&rest).len(), 1);
    assert_eq!(progress.told().map(|(scanned, _)| scanned), Some(0));
}

#[tokio::test]
async fn a_third_search_of_one_person_waits() {
    let ward = Ward::open().await;
    let held = (lanes::enter(ward.nurse.user).ok(), lanes::enter(ward.nurse.user).ok());
    assert_eq!(ward.house.code(&ward.nurse, "search", json!({"text": "a"})).await, Code::RateLimited);
    drop(held);
    assert!(found(&ward, &ward.nurse, "needle").await.is_empty());
}

#[tokio::test]
async fn what_was_looked_for_stands_in_no_audit_row_and_what_was_found_does() {
    let ward = Ward::open().await;
    let message = ward.post(&ward.nurse, ward.care_team, "an unmistakable phrase").await;
    assert_eq!(found(&ward, &ward.lead, "unmistakable").await, [message]);
    let mut reader = ward.house.engine.reader(ward.lead.clone()).await.unwrap();
    let lines = crate::kernel::log::sql::audit_page(reader.tx(), 1, 0, 1000).await.unwrap();
    let row = lines.iter().map(|line| &line.line).find(|line| line.contains("\"search\"")).expect("a row");
    let row: Value = serde_json::from_str(row).unwrap();
    assert_eq!((&row["patient"], &row["outcome"]), (&json!(ward.patient), &json!("done")));
    assert_eq!(row["ranges"][0][0], json!(ward.care_team));
    assert!(lines.iter().all(|line| !line.line.contains("unmistakable")));
}

const WORDS: [&str; 5] = ["alpha", "Bravo", "charlie ALPHA", "ﬁne Straße", "bravo\u{301} fine"];
const QUERIES: [&str; 6] = ["ALPHA", "bravo", "FINE", "strasse", "a", "charlie"];

#[derive(Clone, Debug)]
enum Step {
    Post { who: bool, channel: usize, item: usize, text: usize },
    Amend(usize, usize),
    Retract(usize),
    Relink(usize, usize),
    Title(usize, usize),
    Detail(usize, Option<usize>),
    Away,
    Wait,
}

fn steps() -> impl Strategy<Value = Step> {
    let (one, text) = (0_usize..12, 0..WORDS.len());
    prop_oneof![
        6 => (any::<bool>(), 0_usize..3, 0_usize..3, text.clone()).prop_map(|(who, channel, item, text)| Step::Post { who, channel, item, text }),
        3 => (one.clone(), text.clone()).prop_map(|(at, text)| Step::Amend(at, text)),
        1 => one.clone().prop_map(Step::Retract),
        2 => (one, 0_usize..3).prop_map(|(at, item)| Step::Relink(at, item)),
        1 => (1_usize..3, text.clone()).prop_map(|(item, text)| Step::Title(item, text)),
        1 => (1_usize..3, prop::option::of(text)).prop_map(|(item, text)| Step::Detail(item, text)),
        1 => Just(Step::Away),
        2 => Just(Step::Wait),
    ]
}

/// A message, or one part of an item, as it stands.
struct Stands {
    id: ThingId,
    channel: ChannelId,
    item: ItemId,
    text: Option<&'static str>,
    seq: i64,
    at: String,
    staff: bool,
    retracted: bool,
    author: bool,
}

/// The plainest search there is, kept beside the engine.
struct Model {
    ward: Ward,
    channels: [ChannelId; 3],
    items: [ItemId; 3],
    revs: [i64; 3],
    stands: Vec<Stands>,
    messages: usize,
    away: bool,
}

impl Model {
    async fn open() -> Self {
        let ward = Ward::open().await;
        let shared = ward.channel("shared", &[]).await;
        let named = ward.channel("named", &[&ward.lead]).await;
        let items = [ward.unsorted, ward.item(true).await, ward.item(true).await];
        let channels = [ward.care_team, shared, named];
        Self { ward, channels, items, revs: [0, 1, 1], stands: Vec::new(), messages: 0, away: false }
    }

    fn message(&self, at: usize) -> Option<usize> {
        let messages: Vec<usize> = (0..self.stands.len()).filter(|one| self.stands[*one].staff).collect();
        messages.get(at % messages.len().max(1)).copied().filter(|one| !self.stands[*one].retracted)
    }

    /// A new text of one part of an item: told in the plan channel, where the entry of it stands.
    async fn item(&mut self, at: usize, part: &str, text: Option<usize>) {
        let text = text.map(|text| WORDS[text]);
        let data = json!({"item": self.items[at], "rev": self.revs[at], part: text});
        let reply = self.ward.house.run(&self.ward.lead, "plan_item.change", data).await;
        self.revs[at] += 1;
        let id = ThingId(self.items[at].0);
        let mark = usize::from(part == "title");
        self.stands.retain(|one| one.id != id || one.author != (mark == 1));
        let (seq, when) = (reply["seq"].as_i64().unwrap(), reply["at"].as_str().unwrap().to_owned());
        let (channel, item) = (self.ward.plan, self.items[at]);
        let stands =
            Stands { id, channel, item, text, seq, at: when, staff: false, retracted: false, author: mark == 1 };
        self.stands.push(stands);
    }

    async fn step(&mut self, step: &Step) {
        let house = &self.ward.house;
        match *step {
            Step::Post { who, channel, item, text } => {
                let who = if who && channel < 2 && !self.away { &self.ward.nurse } else { &self.ward.lead };
                let data = json!({"channel": self.channels[channel], "item": self.items[item], "text": WORDS[text]});
                let reply = house.run(who, "message.post", data).await;
                self.stands.push(Stands {
                    id: id_of(&reply, "id"),
                    channel: self.channels[channel],
                    item: self.items[item],
                    text: Some(WORDS[text]),
                    seq: reply["seq"].as_i64().unwrap(),
                    at: reply["at"].as_str().unwrap().to_owned(),
                    staff: true,
                    retracted: false,
                    author: who.user == self.ward.nurse.user,
                });
                self.messages += 1;
            }
            Step::Amend(at, text) => {
                let Some(at) = self.message(at).filter(|at| !(self.away && self.stands[*at].author)) else { return };
                let who = if self.stands[at].author { &self.ward.nurse } else { &self.ward.lead };
                let data = json!({"message": self.stands[at].id, "text": WORDS[text]});
                // The nurse cannot amend what lies before a time away.
                let Ok(reply) = house.try_run(who, "message.amend", data).await else { return };
                let stands = &mut self.stands[at];
                stands.text = Some(WORDS[text]);
                stands.seq = reply["seq"].as_i64().unwrap();
                reply["at"].as_str().unwrap().clone_into(&mut stands.at);
            }
            Step::Retract(at) => {
                let Some(at) = self.message(at) else { return };
                let data = json!({"message": self.stands[at].id, "reason": "alpha bravo"});
                house.run(&self.ward.lead, "message.retract", data).await;
                self.stands[at].retracted = true;
            }
            Step::Relink(at, item) => {
                let Some(at) = self.message(at) else { return };
                let data = json!({"message": self.stands[at].id, "item": self.items[item]});
                if house.try_run(&self.ward.lead, "message.relink", data).await.is_ok() {
                    self.stands[at].item = self.items[item];
                }
            }
            Step::Title(at, text) => self.item(at, "title", Some(text)).await,
            Step::Detail(at, text) => self.item(at, "detail", text).await,
            Step::Away if self.away => {
                self.ward.join(&self.ward.nurse).await;
                self.away = false;
            }
            Step::Away => {
                self.ward.leave(&self.ward.nurse).await;
                self.away = true;
            }
            Step::Wait => house.advance(1_000_000),
        }
    }

    /// Who stands behind a hit, newest first, as the rules say it.
    async fn expected(&self, who: &Subject, query: &str, item: Option<ItemId>) -> BTreeSet<ThingId> {
        let mut reader = self.ward.house.engine.reader(who.clone()).await.unwrap();
        let access = reader.access(self.ward.patient).await.unwrap().unwrap();
        let now: Micros = reader.now();
        let family = who.user == self.ward.daughter.user;
        let folded = |text: &str| super::fold::folded(text).into_owned();
        let hits = self.stands.iter().filter(|one| {
            // Family is told of items in the shared channel; every item here is shared from its beginning.
            let seen = (family && !one.staff) || channels::in_view(&access, who, one.channel, one.seq, now);
            seen && !one.retracted && item.is_none_or(|item| item == one.item)
        });
        hits.filter(|one| one.text.is_some_and(|text| folded(text).contains(&folded(query))))
            .map(|one| one.id)
            .collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// Whatever was written, corrected and taken back, and whoever was away meanwhile: a search finds what the plainest one finds.
    #[test]
    fn a_search_finds_what_going_over_everything_finds(steps in prop::collection::vec(steps(), 1..40), limit in 1..9) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut model = Model::open().await;
            for step in &steps {
                model.step(step).await;
            }
            if model.away {
                model.step(&Step::Away).await;
            }
            for query in QUERIES {
                for who in [&model.ward.lead, &model.ward.nurse, &model.ward.daughter] {
                    for item in [None, Some(model.items[1])] {
                        let data = json!({"text": query, "patient": model.ward.patient, "limit": limit, "item": item});
                        let found = paged(&model.ward, who, data).await;
                        let expected = model.expected(who, query, item).await;
                        let distinct: BTreeSet<ThingId> = found.iter().copied().collect();
                        assert_eq!(distinct.len(), found.len(), "{query}: a thing is told twice");
                        let ours = |id: &&ThingId| model.stands.iter().any(|one| one.id == **id);
                        let distinct: BTreeSet<ThingId> = distinct.iter().filter(ours).copied().collect();
                        assert_eq!(distinct, expected, "{query} by {:?} about {item:?}", who.kind);
                    }
                }
            }
        });
    }
}
