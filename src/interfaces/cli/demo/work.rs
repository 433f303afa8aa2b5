//! What is to be done when the demo begins: tasks in their states, a handoff on offer, a call not yet written down, a question that waits
//! to be said back, a check-in each weekday, and who answers for which plan item.

use serde_json::{Value, json};

use super::story::{Chart, Stage, text};
use crate::kernel::base::config::Config;
use crate::kernel::base::config::site::Template;
use crate::kernel::base::config::targets::{FolderTarget, Target};
use crate::kernel::base::world::{MINUTE, rfc3339};

/// The name of the demo's receiver.
pub(super) const TARGET: &str = "chart";

/// A site's settings, where the file of whoever starts the demo says nothing else: a chart that takes PDF, templates, a number to call.
pub(super) fn furnish(config: &mut Config, chart: std::path::PathBuf) {
    if config.targets.is_empty() {
        let kind = crate::kernel::base::config::targets::FolderKind::Only;
        let folder = FolderTarget { kind, path: chart, format: "pdf".into() };
        config.targets.insert(TARGET.into(), Target::Folder(folder));
    }
    if config.site.templates.is_empty() {
        let ride = Template {
            name: "Ride to an appointment".into(),
            text: Some("Ride wanted\nWhen: \nFrom: \nTo: \nWheelchair or walker: ".into()),
            ..Template::default()
        };
        let call = Template {
            name: "To a physician".into(),
            situation: Some("I am calling about ".into()),
            background: Some("What led to it: ".into()),
            assessment: Some("I think ".into()),
            recommendation: Some("Please ".into()),
            ..Template::default()
        };
        config.site.templates = vec![ride, call];
    }
    config.site.emergency_number.get_or_insert_with(|| "112".into());
}

/// Who answers for what, at Betsy's.
const OWNERS: [(&str, &[&str]); 4] = [
    ("osei", &["kidney"]),
    ("maja", &["hypertension", "blood pressure"]),
    ("ines", &["drive"]),
    ("yuki", &["diabetes"]),
];

/// Leaves Betsy's team with a day's work.
pub(super) async fn for_betsy(stage: &Stage<'_>, chart: &Chart) -> anyhow::Result<()> {
    owners(stage, chart).await?;
    let (channel, kidney) = (&chart.care_team, chart.item(&["kidney"]));
    let (pressure, driving) = (chart.item(&["hypertension", "blood pressure"]), chart.item(&["drive"]));
    let now = stage.node.engine.world().now();
    let task = async |by: &str, owner: &str, item: &str, more: Value| {
        let mut data = json!({ "channel": channel, "item": item, "owner": stage.person(owner)?.user });
        if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
            data.extend(more);
        }
        let made = stage.run(by, "task.create", data).await?;
        anyhow::Ok((text(&made, "id")?, made["rev"].clone()))
    };
    let bloods = json!({
        "title": "Creatinine and potassium", "due": rfc3339(now + 2880 * MINUTE), "priority": "urgent",
        "checklist": [{ "text": "Order sent to the laboratory", "done": true }, "Blood drawn", "Result read to Dr. Osei"],
    });
    task("osei", "maja", &kidney, bloods).await?;
    let weigh = json!({ "title": "Call about her weight this morning", "due": rfc3339(now + 90 * MINUTE) });
    task("tomas", "maja", &kidney, weigh).await?;
    let van = json!({ "title": "Standing order with the county van, Tuesdays and Thursdays" });
    let (van, rev) = task("maja", "ines", &driving, van).await?;
    let rev = stage.run("ines", "task.accept", json!({ "task": van, "rev": rev })).await?["rev"].clone();
    stage.run("ines", "task.start", json!({ "task": van, "rev": rev })).await?;
    let cuff = json!({ "title": "Bring a cuff that fits", "description": "Upper arm 38 cm." });
    let (cuff, rev) = task("maja", "maja", &pressure, cuff).await?;
    let rev = stage.run("maja", "task.start", json!({ "task": cuff, "rev": rev })).await?["rev"].clone();
    let waits = json!({ "task": cuff, "rev": rev, "reason": "The large size is out of stock until Monday" });
    stage.run("maja", "task.hold", waits).await?;
    let list = json!({ "title": "List of her medicines, as she really takes them" });
    let (list, rev) = task("maja", "yuki", &kidney, list).await?;
    let rev = stage.run("yuki", "task.accept", json!({ "task": list, "rev": rev })).await?["rev"].clone();
    stage.run("yuki", "task.complete", json!({ "task": list, "rev": rev })).await?;

    stage
        .post(
            "osei",
            json!({
                "channel": channel, "item": kidney, "priority": "urgent", "ask": "check_back",
                "mentions": [stage.person("maja")?.user],
                "text": "Hold the water tablet tomorrow morning until I have seen the potassium. Please say it back.",
            }),
        )
        .await?;
    let call = json!({ "channel": channel, "item": driving, "medium": "phone", "with": [{ "name": "County van", "role": "dispatcher" }] });
    stage.run("maja", "note.open", call).await?;
    let ipass = json!({
        "illness_severity": "watcher",
        "patient_summary": "Kidney disease with heart failure, swollen ankles since the weekend, ibuprofen stopped today.",
        "action_list": ["Potassium on Thursday", "Weight every morning"],
        "situation_awareness": "Dr. Osei decides on the water tablet when the potassium is there.",
    });
    let offer = json!({ "patient": chart.patient, "to": stage.person("maja")?.user, "ipass": ipass });
    stage.run("tomas", "handoff.offer", offer).await?;
    let checkin = json!({
        "channel": channel, "rrule": "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=15;BYMINUTE=30", "zone": "Europe/Berlin",
        "questions": ["What has changed since yesterday?", "What worries you?"], "close_minutes": 120,
    });
    stage.run("tomas", "checkin.schedule", checkin).await.map(drop)
}

async fn owners(stage: &Stage<'_>, chart: &Chart) -> anyhow::Result<()> {
    let plan = stage.run("tomas", "plan.items", json!({ "patient": chart.patient })).await?;
    for (handle, words) in OWNERS {
        let item = chart.item(words);
        let found = plan["items"].as_array().into_iter().flatten().find(|one| one["id"] == item.as_str());
        // A standing item has no owner: the sample would lack what the words look for.
        let Some(found) = found.filter(|one| one["standing"].is_null()) else { continue };
        let change = json!({ "item": item, "rev": found["rev"], "owner": stage.person(handle)?.user });
        stage.run("tomas", "plan_item.change", change).await?;
    }
    Ok(())
}
