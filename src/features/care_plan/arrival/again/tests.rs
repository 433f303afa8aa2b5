//! Edits on both sides in any order, over a whole engine, beside a model of what must come of them: nothing that was written here is
//! written over without a person saying so, and nothing the source says is lost in silence.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{ImportFile, import_files};
use crate::kernel::base::PatientId;
use crate::kernel::policy::Subject;
use crate::testing::House;

const GOALS: usize = 2;
const WORDS: [&str; 4] = ["Walks", "Runs", "Climbs", "Swims"];

#[derive(Clone, Debug)]
enum Step {
    Here(usize, usize),
    There(usize, usize),
    Import,
    Settle(usize, bool),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..GOALS, 0..WORDS.len()).prop_map(|(goal, word)| Step::Here(goal, word)),
        3 => (0..GOALS, 0..WORDS.len()).prop_map(|(goal, word)| Step::There(goal, word)),
        4 => Just(Step::Import),
        2 => (0..GOALS, any::<bool>()).prop_map(|(goal, ours)| Step::Settle(goal, ours)),
    ]
}

/// One goal as it must be: words, and what both sides last agreed on.
#[derive(Clone, Copy)]
struct Expected {
    ours: usize,
    theirs: usize,
    imported: usize,
    base: usize,
    conflict: bool,
}

impl Expected {
    fn import(&mut self) {
        if self.theirs == self.imported {
            return;
        }
        self.imported = self.theirs;
        self.conflict = self.theirs != self.base && self.theirs != self.ours && self.ours != self.base;
        if !self.conflict {
            if self.ours == self.base {
                self.ours = self.theirs;
            }
            self.base = self.theirs;
        }
    }

    fn settle(&mut self, ours: bool) {
        if !ours {
            self.ours = self.imported;
        }
        self.base = self.imported;
        self.conflict = false;
    }
}

struct Both {
    house: House,
    operator: Subject,
    patient: PatientId,
    goals: [Expected; GOALS],
}

impl Both {
    async fn new() -> Self {
        let house = House::new().await;
        let operator = house.command_line().await;
        let start = Expected { ours: 0, theirs: 0, imported: 0, base: 0, conflict: false };
        let mut both = Self { house, operator, patient: PatientId::ZERO, goals: [start; GOALS] };
        both.patient = both.import().await;
        both
    }

    async fn import(&self) -> PatientId {
        let mut entries =
            vec![json!({"resource": {"resourceType": "Patient", "id": "p1", "name": [{"text": "Ruth"}]}})];
        for (n, goal) in self.goals.iter().enumerate() {
            entries.push(json!({"resource": {"resourceType": "Goal", "id": format!("g{n}"), "lifecycleStatus": "active",
                "subject": {"reference": "Patient/p1"}, "description": {"text": format!("{n} {}", WORDS[goal.theirs])}}}));
        }
        let bundle = json!({"resourceType": "Bundle", "type": "collection", "entry": entries});
        let file = ImportFile { name: "a.json".into(), bytes: bundle.to_string().into_bytes() };
        let report = import_files(&self.house.engine, &self.operator, vec![file]).await;
        report.unwrap_or_else(|refusal| panic!("refused: {refusal:?}")).patients[0].id
    }

    async fn ask(&self, op: &str) -> Value {
        self.house.run(&self.operator, op, json!({"patient": self.patient})).await
    }

    async fn item(&self, n: usize) -> Value {
        let plan = self.ask("plan.items").await;
        let items = plan["items"].as_array().unwrap().iter();
        let of = |item: &&Value| item["title"].as_str().unwrap().starts_with(&format!("{n} "));
        items.into_iter().find(of).unwrap().clone()
    }

    async fn conflict(&self, n: usize) -> Option<Value> {
        let item = self.item(n).await["id"].clone();
        let listed = self.ask("plan.conflicts").await;
        listed["conflicts"].as_array().unwrap().iter().find(|one| one["item"] == item).cloned()
    }

    async fn step(&mut self, step: &Step) {
        match *step {
            Step::Here(n, word) if self.goals[n].ours != word => {
                let item = self.item(n).await;
                let title = format!("{n} {}", WORDS[word]);
                let data = json!({"item": item["id"], "rev": item["rev"], "title": title});
                self.house.run(&self.operator, "plan_item.change", data).await;
                self.goals[n].ours = word;
            }
            Step::Here(..) => {}
            Step::There(n, word) => self.goals[n].theirs = word,
            Step::Import => {
                self.import().await;
                self.goals.iter_mut().for_each(Expected::import);
            }
            Step::Settle(n, ours) => {
                let Some(conflict) = self.conflict(n).await else { return };
                let data = json!({"conflict": conflict["id"], "keep": if ours { "ours" } else { "theirs" }});
                self.house.run(&self.operator, "plan.conflict.settle", data).await;
                self.goals[n].settle(ours);
            }
        }
    }

    async fn holds(&self, step: &Step) {
        for (n, goal) in self.goals.iter().enumerate() {
            let title = self.item(n).await["title"].clone();
            assert_eq!(title, format!("{n} {}", WORDS[goal.ours]), "after {step:?}");
            let conflict = self.conflict(n).await;
            assert_eq!(conflict.is_some(), goal.conflict, "after {step:?}");
            if let Some(conflict) = conflict {
                let sides = ["base", "theirs"].map(|side| conflict[side]["title"].clone());
                assert_eq!(sides, [goal.base, goal.imported].map(|word| json!(format!("{n} {}", WORDS[word]))));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn edits_on_both_sides_are_never_lost(steps in prop::collection::vec(any_step(), 1..30)) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let mut both = Both::new().await;
            for step in &steps {
                both.step(step).await;
                both.holds(step).await;
            }
        });
    }
}
