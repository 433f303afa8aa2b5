//! Tasks, handoffs and check-ins as a person reads them.

use serde_json::Value;

use super::block::{Line, Sort};
use super::body::{Body, list, told_time};
use super::details::{self, details};
use super::gather::Task;
use super::tell::{Telling, Told};
use crate::kernel::base::{ItemId, ThingId, UserId};
use crate::kernel::log::Fact;

impl Telling<'_> {
    /// One of their entries.
    pub fn work(&self, fact: &Fact, body: &Body) -> Told {
        let names = |name: &str| self.gathered.people.names(&body.ids(name));
        let about = |heading: &str, name: &str, sort: Sort| Told {
            heading: Line::ours(heading).and(": ").with(self.place(fact.channel, body.id(name))),
            ..Told::new(sort, heading)
        };
        match &*fact.event {
            "handoff.offered" => self.offered(fact, body),
            "handoff.accepted" => about("Handoff accepted", "handoff", Sort::Handoff)
                .says(Some("Synthesis by the receiver"), body.text("synthesis"))
                .lists("Tasks taken over", self.tasks(body, "tasks"))
                .lists("Tasks left", self.tasks(body, "left"))
                .lists("Responsibilities taken over", details::responsibilities(body)),
            "handoff.declined" => {
                about("Handoff declined", "handoff", Sort::Handoff).says(Some("Reason"), body.text("reason"))
            }
            "handoff.withdrawn" => {
                about("Handoff withdrawn", "handoff", Sort::Handoff).says(Some("Reason"), body.text("reason"))
            }
            "handoff.escalated" => about("Handoff escalated", "handoff", Sort::Handoff)
                .mark(Line::ours(format!("Cause: {}. To: ", body.text("cause"))).with(names("to"))),
            "task.created" => self.created(fact, body),
            "task.changed" => self.changed(body),
            "checkin.opened" => Told::new(Sort::CheckIn, "Check-in")
                .mark(Line::ours(format!(
                    "Due {}, open until {}",
                    told_time(body.text("due")),
                    told_time(body.text("closes_at"))
                )))
                .mark(Line::ours("Asked: ").with(names("expected")))
                .lists("Questions", body.texts("questions").map(Line::theirs).collect()),
            "checkin.answered" => {
                let told = about("Answer to the check-in", "checkin", Sort::CheckIn);
                let told = body.texts("answers").fold(told, |told, answer| told.says(None, answer));
                let parts = [
                    ("Situation", "situation"),
                    ("Background", "background"),
                    ("Assessment", "assessment"),
                    ("Recommendation", "recommendation"),
                ];
                parts.iter().fold(told, |told, (words, name)| {
                    told.says(Some(words), body.get("sbar")[name].as_str().unwrap_or_default())
                })
            }
            "checkin.closed" => {
                let told = about("Check-in closed", "checkin", Sort::CheckIn);
                let told = if body.list("answered").is_empty() {
                    told
                } else {
                    told.mark(Line::ours("Answered: ").with(names("answered")))
                };
                if body.list("silent").is_empty() {
                    told.mark(Line::ours("Everyone answered"))
                } else {
                    told.mark(Line::ours("Did not answer: ").with(names("silent")))
                }
            }
            _ => details(self, fact, body),
        }
    }

    /// Titles of the tasks a member names.
    fn tasks(&self, body: &Body, name: &str) -> Vec<Line> {
        let title = |id: &ThingId| {
            let task = self.gathered.task_of(*id);
            let title = task.and_then(|task| task.members["title"].as_str());
            title.map_or_else(|| Line::ours("a task that is not in this transcript"), Line::theirs)
        };
        body.ids::<ThingId>(name).iter().map(title).collect()
    }

    /// I-PASS: illness severity, patient summary, action list, situation awareness; the synthesis is the receiver's.
    fn offered(&self, fact: &Fact, body: &Body) -> Told {
        let ipass = body.get("ipass");
        let text = |name: &str| ipass[name].as_str().unwrap_or_default();
        let to = body.id::<UserId>("to").map(|to| Line::ours("To: ").with(self.author(to)));
        let mut told = Told::new(Sort::Handoff, "Handoff offered");
        told.marks.extend(to);
        told.marks.push(Line::ours(format!("Illness severity: {}", text("illness_severity"))));
        let fate = self.gathered.handoff_of(ThingId(fact.id.0));
        told = told.later(Line::ours(fate.map_or_else(|| "Not answered".into(), |fate| format!("State: {fate}"))));
        let actions: Vec<Line> =
            list(&ipass["action_list"]).iter().filter_map(Value::as_str).map(Line::theirs).collect();
        told.says(Some("Patient summary"), text("patient_summary"))
            .says(Some("Action list"), text("action_list"))
            .lists("Action list", actions)
            .says(Some("Situation awareness and contingency plans"), text("situation_awareness"))
            .lists("Tasks", self.tasks(body, "tasks"))
            .lists("Tasks left", self.tasks(body, "left"))
            .lists("Responsibilities", details::responsibilities(body))
    }

    fn created(&self, fact: &Fact, body: &Body) -> Told {
        let heading = Line::ours("Task: ").told(body.text("title"));
        let mut told = Told { heading, ..Told::new(Sort::Task, "") };
        let state = self.gathered.task_of(ThingId(fact.id.0)).and_then(|task| task.members["state"].as_str());
        if let Some(state) = state {
            told = told.later(Line::ours(format!("State at the time of this transcript: {state}")));
        }
        told.says(None, body.text("description")).lists(
            "As it was made",
            details::members(self, body, &["id", "title", "description", "item", "item_version", "files"]),
        )
    }

    fn changed(&self, body: &Body) -> Told {
        let title = body.id::<ThingId>("task").and_then(|id| self.gathered.task_of(id));
        let title = title.and_then(|task| task.members["title"].as_str()).unwrap_or_default();
        let heading = Line::ours(format!("Task {}: ", details::change(body.text("change")))).told(title);
        let told = Told { heading, ..Told::new(Sort::Task, "") };
        let told = told.says(Some("Reason"), body.text("reason"));
        told.lists("Changes", details::before_and_after(self, body))
    }

    /// A task as a row: title, plan item, state, owner, due, made, changed.
    pub fn task_row(&self, task: &Task) -> Vec<Line> {
        let text = |name: &str| task.members[name].as_str().unwrap_or_default();
        let item = text("item").parse::<ItemId>().ok().map(|item| self.item(item)).unwrap_or_default();
        vec![
            Line::theirs(text("title")),
            item,
            Line::ours(text("state")),
            details::value(self, &task.members["owner"]),
            Line::ours(told_time(text("due"))),
            self.gathered.people.name(task.made.0).and(format!(", {}", super::body::time(task.made.1))),
            Line::ours(super::body::time(task.changed_at)),
        ]
    }
}
