//! What has been said before the demo begins: two patients, their teams, and a conversation about the items of their plans.

use anyhow::{Context, anyhow};
use serde_json::{Value, json};

use super::super::commands::{Command, Order, TeamAdd, execute};
use super::super::paper::Nowhere;
use super::super::print::said;
use super::people::Person;
use super::samples;
use super::work;
use crate::kernel::base::world::{MINUTE, rfc3339};
use crate::server::Node;

/// What the lines to paste need.
pub struct Told {
    /// Ids and names.
    pub patients: Value,
    /// Where the team talks about the first patient.
    pub channel: String,
    /// An item of the plan to write about.
    pub item: String,
}

/// Imports the patients, puts the teams together and lets them talk.
pub async fn tell(node: &Node, people: &[Person]) -> anyhow::Result<Told> {
    let stage = Stage { node, people };
    let imported = stage.order(Command::PatientImport(samples::files())).await?;
    let patients = imported["patients"].clone();
    let named = |name: &str| -> anyhow::Result<String> {
        let all = patients.as_array().context("the import names its patients")?;
        let found = all.iter().find(|patient| patient["name"].as_str().is_some_and(|full| full.contains(name)));
        text(found.with_context(|| format!("{name} is among the samples"))?, "id")
    };
    let (betsy, milan) = (named("Johnson")?, named("Beatty")?);
    for person in people {
        stage.join(&betsy, person).await?;
        if ["maja", "ines", "tomas"].contains(&person.role.handle) {
            stage.join(&milan, person).await?;
        }
    }
    let betsy = stage.chart("tomas", &betsy).await?;
    about_betsy(&stage, &betsy).await?;
    with_her_family(&stage, &betsy).await?;
    work::for_betsy(&stage, &betsy).await?;
    about_milan(&stage, &stage.chart("tomas", &milan).await?).await?;
    Ok(Told { patients, channel: betsy.care_team.clone(), item: betsy.item(&["hypertension", "blood pressure"]) })
}

/// A patient's plan and first channel, as somebody sees them.
pub(super) struct Chart {
    pub(super) patient: String,
    pub(super) care_team: String,
    whole: String,
    unsorted: String,
    items: Vec<(String, String)>,
}

impl Chart {
    /// The open item whose title holds one of these words; the plan as a whole if there is none.
    pub(super) fn item(&self, words: &[&str]) -> String {
        let holds = |title: &str| words.iter().any(|word| title.contains(word));
        self.items.iter().find(|(title, _)| holds(title)).map_or_else(|| self.whole.clone(), |(_, id)| id.clone())
    }
}

pub(super) struct Stage<'a> {
    pub(super) node: &'a Node,
    people: &'a [Person],
}

impl Stage<'_> {
    async fn order(&self, command: Command) -> anyhow::Result<Value> {
        let done = execute(self.node, Order { by: None, command }, &mut Nowhere).await;
        Ok(done.map_err(|refusal| anyhow!(said(&refusal)))?.object)
    }

    async fn join(&self, patient: &str, person: &Person) -> anyhow::Result<()> {
        let role = person.role;
        let add = TeamAdd {
            patient: patient.to_owned(),
            user: role.handle.into(),
            role: role.on_team.into(),
            responsibilities: role.responsibilities.iter().map(|held| (*held).to_owned()).collect(),
            family: role.organization.is_none(),
        };
        self.order(Command::TeamAdd(add)).await.map(drop)
    }

    pub(super) fn person(&self, handle: &str) -> anyhow::Result<&Person> {
        self.people
            .iter()
            .find(|person| person.role.handle == handle)
            .with_context(|| format!("{handle} is in the cast"))
    }

    /// Runs an op as somebody.
    pub(super) async fn run(&self, handle: &str, op: &str, data: Value) -> anyhow::Result<Value> {
        let subject = self.node.engine.subject(self.person(handle)?.user).context("the account is active")?;
        let data = serde_json::from_value(data)?;
        self.node.engine.run(subject, op, data).await.map_err(|refusal| anyhow!("{op}: {}", said(&refusal)))
    }

    async fn chart(&self, handle: &str, patient: &str) -> anyhow::Result<Chart> {
        let channels = self.run(handle, "channel.list", json!({ "patient": patient })).await?;
        let care_team = find(&channels["channels"], |channel| channel["name"] == "Care team")?;
        let plan = self.run(handle, "plan.items", json!({ "patient": patient })).await?;
        let list = plan["items"].as_array().context("the plan has items")?;
        let open = list.iter().filter(|item| item["standing"].is_null());
        let items = open.map(|item| Ok((text(item, "title")?.to_lowercase(), text(item, "id")?)));
        Ok(Chart {
            patient: patient.to_owned(),
            care_team,
            whole: find(&plan["items"], |item| item["standing"] == "whole")?,
            unsorted: find(&plan["items"], |item| item["standing"] == "unsorted")?,
            items: items.collect::<anyhow::Result<_>>()?,
        })
    }

    pub(super) async fn post(&self, handle: &str, data: Value) -> anyhow::Result<String> {
        text(&self.run(handle, "message.post", data).await?, "id")
    }
}

pub(super) fn text(object: &Value, name: &str) -> anyhow::Result<String> {
    Ok(object[name].as_str().with_context(|| format!("the answer has `{name}`"))?.to_owned())
}

fn find(list: &Value, fits: impl Fn(&Value) -> bool) -> anyhow::Result<String> {
    text(
        list.as_array()
            .and_then(|list| list.iter().find(|one| fits(one)))
            .context("what every patient has is listed")?,
        "id",
    )
}

async fn about_betsy(stage: &Stage<'_>, chart: &Chart) -> anyhow::Result<()> {
    let channel = &chart.care_team;
    let kidney = chart.item(&["kidney"]);
    let pressure = chart.item(&["hypertension", "blood pressure"]);
    let driving = chart.item(&["drive"]);
    let osei = stage.person("osei")?.user;
    let readings = stage
        .post(
            "maja",
            json!({
                "channel": channel, "item": pressure, "mentions": [osei],
                "text": "Her home readings this week, before the morning pills: 152/88, 149/90, 156/91. No dizziness.",
            }),
        )
        .await?;
    let answer = stage
        .post(
            "osei",
            json!({
                "channel": channel, "reply_to": readings,
                "text": "Thank you. Seated, after five minutes? If it stays above 140, I raise the evening dose.",
            }),
        )
        .await?;
    let amended =
        "Thank you. Seated, after five minutes? If it stays above 140, I raise the evening dose, but potassium first.";
    stage.run("osei", "message.amend", json!({ "message": answer, "text": amended })).await?;
    stage
        .post("maja", json!({
            "channel": channel, "item": kidney, "priority": "urgent", "mentions": [osei],
            "sbar": {
                "situation": "eGFR 26, it was 31 three months ago.",
                "background": "CKD with diabetes and heart failure. Ibuprofen twice a day for her knee since last week, bought without a prescription.",
                "assessment": "Likely the ibuprofen, on top of the usual decline. Weight is stable, some ankle swelling.",
                "recommendation": "Stop it today, repeat creatinine and potassium on Thursday. Do you want to see her before?",
            },
        }))
        .await?;
    stage
        .post("yuki", json!({
            "channel": channel, "item": kidney,
            "text": "Paracetamol up to 3 g a day instead. I marked ibuprofen and naproxen as not to be sold to her at both pharmacies.",
        }))
        .await?;
    let now = stage.node.engine.world().now();
    stage
        .run("tomas", "note.log", json!({
            "channel": channel, "item": kidney, "medium": "phone",
            "held_at": rfc3339(now - 290 * MINUTE), "ended_at": rfc3339(now - 275 * MINUTE),
            "with": [
                { "name": "Kwame Osei", "role": "nephrologist", "user": osei },
                { "name": "Dr. Lena Novak", "role": "family physician" },
            ],
            "text": "Dr. Novak had not known about the ibuprofen. She agrees with the plan and sees her on Friday for the knee.",
            "decisions": ["Ibuprofen stopped today", "Creatinine and potassium on Thursday", "Knee: Dr. Novak, Friday 09:30"],
        }))
        .await?;
    stage
        .post("ines", json!({
            "channel": channel, "item": driving,
            "text": "The county van takes her on Thursday: pick-up 08:40, back by noon. She has the number if it is late.",
        }))
        .await?;
    let question =
        json!({ "channel": channel, "item": chart.unsorted, "text": "She asked whom to call at night. Who knows?" });
    stage.post("tomas", question).await?;
    Ok(())
}

async fn with_her_family(stage: &Stage<'_>, chart: &Chart) -> anyhow::Result<()> {
    let open = json!({
        "patient": chart.patient, "name": "Family", "audience": "shared",
        "purpose": "For Betsy, her family and the team. Not for emergencies.",
    });
    let channel = text(&stage.run("tomas", "channel.open", open).await?, "id")?;
    let question = stage
        .post(
            "debra",
            json!({
                "channel": channel, "item": chart.whole,
                "text": "Her ankles were swollen again this morning. Is that the new pill?",
            }),
        )
        .await?;
    let answer = "Thank you for telling us. Please weigh her before breakfast tomorrow and write the number here; I call you at ten.";
    stage.post("maja", json!({ "channel": channel, "reply_to": question, "text": answer })).await?;
    Ok(())
}

async fn about_milan(stage: &Stage<'_>, chart: &Chart) -> anyhow::Result<()> {
    let (diet, mood) = (chart.item(&["diet", "diabetes", "a1c"]), chart.item(&["depress"]));
    let fasting =
        "Fasting glucose 101 to 112 this week. He walks to work now and would like to see the dietitian once more.";
    stage.post("maja", json!({ "channel": chart.care_team, "item": diet, "text": fasting })).await?;
    let kept =
        "He kept both appointments this month and sleeps better. Next one on Monday; no thoughts of harming himself.";
    stage.post("ines", json!({ "channel": chart.care_team, "item": mood, "text": kept })).await?;
    Ok(())
}
