//! A task as the chart takes it (*Task*, FHIR R4): as it stands now, with what was said of its steps.
//! Does not know: Bundles, requests, who sends it. Nothing is invented: what the record does not say is left out.

use serde::Deserialize;
use serde_json::{Value, json};

use super::entries::{CHANGED, CREATED, Change, Changed, State, Tick};
use super::model::{Origin, Task};
use crate::features::channels::{Offered, chart_text, date_time, narrative, without_empty};
use crate::kernel::log::Fact;
use crate::kernel::policy::Holder;

/// What its changes say besides how it stands.
#[derive(Default)]
struct Course {
    /// When it was first begun.
    start: Option<Value>,
    /// When it was done, or could not be.
    end: Option<Value>,
    /// Why it stands as it does.
    reason: Option<String>,
    /// When it last changed.
    modified: Option<Value>,
    notes: Vec<Value>,
}

impl Course {
    fn follow(&mut self, one: &Value, changed: &Changed) {
        let recorded = &one["recorded"];
        self.modified = Some(recorded.clone());
        if changed.after.state.is_some() {
            self.reason.clone_from(&changed.reason);
            self.end = matches!(changed.state, State::Completed | State::Failed).then(|| recorded.clone());
        }
        if changed.state == State::InProgress && self.start.is_none() {
            self.start = Some(recorded.clone());
        }
        if let Some(reason) = &changed.reason {
            let text = chart_text(&format!("{}: {reason}", step(changed.change)));
            self.notes.push(json!({"authorReference": one["author"], "time": recorded, "text": text}));
        }
    }
}

/// What a change is called.
const fn step(change: Change) -> &'static str {
    match change {
        Change::Update => "Changed",
        Change::Assign => "Assigned",
        Change::Accept => "Accepted",
        Change::Decline => "Declined",
        Change::Start => "Started",
        Change::Hold => "Put on hold",
        Change::Complete => "Completed",
        Change::Fail => "Failed",
        Change::Cancel => "Cancelled",
        Change::Move => "Moved",
        Change::Return => "Returned",
        Change::Overdue => "Overdue",
        Change::Handoff => "Handed over",
        Change::Drift => "Held against the changed plan item",
    }
}

/// The resource of a `task.created`; none for any other entry: changes are told with the task.
pub(super) fn resources(fact: &Fact, context: &Value) -> Vec<Value> {
    if &*fact.event != CREATED {
        return Vec::new();
    }
    let Ok(created) = fact.read() else { return Vec::new() };
    let origin = Origin { patient: fact.patient, channel: fact.channel, seq: fact.seq, by: fact.by, at: fact.at };
    let (mut task, mut course) = (Task::created(created, &origin), Course::default());
    let offered = Offered(context);
    for one in offered.list("changes").iter().filter(|one| one["event"] == CHANGED) {
        let Ok(changed) = Changed::deserialize(&one["data"]) else { return Vec::new() };
        course.follow(one, &changed);
        task.apply(changed);
    }
    vec![resource(offered, &task, course)]
}

/// Who it rests with; the team, where it rests with whoever holds a responsibility.
fn owner<'a>(offered: Offered<'a>, task: &Task) -> &'a Value {
    match task.owner {
        Holder::User(user) => offered.known(&user.to_string()).unwrap_or_else(|| offered.get("team")),
        Holder::Responsibility { .. } => offered.get("team"),
    }
}

fn checklist(steps: &[Tick]) -> Option<Value> {
    if steps.is_empty() {
        return None;
    }
    let line = |tick: &Tick| format!("[{}] {}", if tick.done { "x" } else { " " }, tick.text);
    let lines: Vec<String> = steps.iter().map(line).collect();
    Some(json!({"text": chart_text(&format!("Checklist:\n{}", lines.join("\n")))}))
}

fn resource(offered: Offered<'_>, task: &Task, course: Course) -> Value {
    let description = match &task.description {
        Some(more) => chart_text(&format!("{}\n\n{more}", task.title)),
        None => chart_text(&task.title),
    };
    let who = offered.get("author")["display"].as_str().unwrap_or_default();
    let item = offered.get("item");
    let head = format!("{who}, {}: {}", offered.text("recorded"), task.state.text());
    let stopped = matches!(task.state, State::OnHold | State::Rejected | State::Cancelled | State::Failed);
    let plan = offered.get("plan")["reference"].as_str().and_then(|reference| reference.split_once('/'));
    let due = task.due.as_deref().and_then(date_time);
    let made_from = task.from_message.or(task.from_note).and_then(|id| offered.known(&id.to_string()));
    let mut notes: Vec<Value> = checklist(&task.checklist).into_iter().collect();
    notes.extend(course.notes);
    without_empty(json!({
        "resourceType": "Task",
        "meta": {"security": offered.security()},
        "text": narrative(&[&head, item["display"].as_str().unwrap_or_default(), &description]),
        "extension": offered.goals(),
        "identifier": [offered.identifier(&task.id.to_string())],
        "basedOn": [offered.get("plan")],
        "groupIdentifier": plan.map(|(_, id)| offered.identifier(id)),
        "status": task.state.text(),
        "statusReason": course.reason.filter(|_| stopped).map(|reason| json!({"text": chart_text(&reason)})),
        "businessStatus": {"text": task.state.text()},
        "intent": "plan",
        "priority": task.priority.map(crate::features::channels::Priority::text),
        "description": description,
        "focus": item,
        "for": offered.get("subject"),
        "executionPeriod": without_empty(json!({"start": course.start, "end": course.end})),
        "authoredOn": offered.get("recorded"),
        "lastModified": course.modified.as_ref().unwrap_or_else(|| offered.get("recorded")),
        "requester": offered.get("author"),
        "owner": owner(offered, task),
        "reasonReference": made_from,
        "note": notes,
        "restriction": due.map(|due| json!({"period": {"end": due}})),
    }))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::features::channels::{charted, with};

    fn created(more: Value) -> Value {
        let body = json!({"id": Uuid::from_u128(7), "item": Uuid::from_u128(2), "item_version": 1, "title": "Call <pharmacy>",
            "owner": Uuid::from_u128(4), "state": "requested", "due": "2026-03-03T17:00Z", "priority": "urgent"});
        with(body, more)
    }

    fn changed(change: &str, state: &str, reason: Option<&str>, recorded: &str) -> Value {
        let data = json!({"id": Uuid::from_u128(8), "task": Uuid::from_u128(7), "rev": 2, "change": change, "state": state,
            "before": {}, "after": {"state": state}, "reason": reason});
        json!({"event": "task.changed", "id": Uuid::from_u128(8), "recorded": recorded, "author": {"reference": "Practitioner/b"},
            "had": false, "data": data})
    }

    fn of(body: &Value, changes: &[Value]) -> Value {
        let (fact, context) = charted("task.created", body, json!({ "changes": changes }));
        let resources = resources(&fact, &context);
        let [task] = &resources[..] else { panic!("{resources:?}") };
        task.clone()
    }

    #[test]
    fn a_task_is_what_it_stands_as() {
        let task = of(&created(json!({"checklist": [{"text": "Ask", "done": true}]})), &[]);
        assert_eq!((&task["status"], &task["businessStatus"]["text"]), (&json!("requested"), &json!("requested")));
        assert_eq!(task["owner"], json!({"reference": "RelatedPerson/4"}));
        assert_eq!(task["restriction"]["period"]["end"], json!("2026-03-03T17:00:00.000Z"));
        assert_eq!(task["focus"], json!({"reference": "Goal/2", "display": "Pressure below 140"}));
        assert_eq!(task["groupIdentifier"], json!({"system": "urn:uuid:x", "value": "1"}));
        assert_eq!(task["note"][0]["text"], json!("Checklist:\n[x] Ask"));
        assert_eq!((&task["description"], &task["priority"]), (&json!("Call <pharmacy>"), &json!("urgent")));
        assert!(task.get("executionPeriod").is_none() && task.get("statusReason").is_none());
        assert_eq!(task["lastModified"], task["authoredOn"]);
    }

    #[test]
    fn its_course_gives_times_reason_and_notes() {
        let changes = [
            changed("start", "in-progress", None, "2026-03-02T17:00:00.000Z"),
            changed("hold", "on-hold", Some("No answer"), "2026-03-02T18:00:00.000Z"),
        ];
        let task = of(&created(json!({})), &changes);
        assert_eq!((&task["status"], &task["statusReason"]["text"]), (&json!("on-hold"), &json!("No answer")));
        assert_eq!(task["executionPeriod"], json!({"start": "2026-03-02T17:00:00.000Z"}));
        assert_eq!(task["note"][0]["text"], json!("Put on hold: No answer"));
        let done = changed("complete", "completed", None, "2026-03-02T19:00:00.000Z");
        let task = of(&created(json!({})), &[changes[0].clone(), changes[1].clone(), done]);
        assert_eq!(task["executionPeriod"]["end"], json!("2026-03-02T19:00:00.000Z"));
        assert!(task.get("statusReason").is_none(), "a reason of before");
        assert_eq!(task["lastModified"], json!("2026-03-02T19:00:00.000Z"));
    }

    #[test]
    fn a_responsibility_is_the_teams() {
        let body = created(json!({"owner": {"responsibility": "plan"}}));
        let (fact, context) = charted("task.created", &body, json!({"team": {"reference": "CareTeam/9"}}));
        assert_eq!(resources(&fact, &context)[0]["owner"], json!({"reference": "CareTeam/9"}));
    }
}
