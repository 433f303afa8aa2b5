//! A plan is read again from its source, by file and from a FHIR server: what changed there is a new version here, what was changed on
//! both sides waits for the lead, what is gone is marked, and nothing that was written here is written over.

use serde_json::{Value, json};

use super::peers::FhirServer;
use super::server::{Person, ROOMY, Server, list, sample, text};

/// Somebody with a plan at another system, as it is there now.
struct Source {
    goal: Value,
    condition: Value,
    plan: Value,
}

impl Source {
    fn new() -> Self {
        let subject = json!({"reference": "Patient/p1"});
        let goal = json!({"resourceType": "Goal", "id": "g1", "lifecycleStatus": "active", "subject": subject,
            "description": {"text": "Walks to the garden"}, "extension": [{"url": "urn:theirs", "valueString": "kept"}],
            "identifier": [{"system": "urn:goal", "value": "1"}]});
        let condition = json!({"resourceType": "Condition", "id": "c1", "subject": subject,
            "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]},
            "code": {"text": "Heart failure"}});
        let plan = json!({"resourceType": "CarePlan", "id": "cp1", "status": "active", "intent": "plan", "subject": subject,
            "goal": [{"reference": "Goal/g1"}], "addresses": [{"reference": "Condition/c1"}],
            "activity": [{"detail": {"status": "in-progress", "description": "Daily weight"}},
                         {"detail": {"status": "in-progress", "description": "Salt diary"}}]});
        Self { goal, condition, plan }
    }

    fn resources(&self) -> Vec<Value> {
        let patient = json!({"resourceType": "Patient", "id": "p1", "name": [{"text": "Ruth Okafor"}],
            "birthDate": "1951-08-14", "identifier": [{"system": "urn:mrn", "value": "7"}]});
        vec![patient, self.goal.clone(), self.condition.clone(), self.plan.clone()]
    }
}

/// A server, the lead of the imported patient, and their nurse.
struct Scene {
    server: Server,
    lead: Person,
    nurse: Person,
    patient: String,
    source: Source,
}

impl Scene {
    async fn new(config: &str) -> Self {
        let server = Server::with(&format!("{ROOMY}{config}")).await;
        let (lead, nurse) = (server.person("lead").await, server.person("nurse").await);
        let mut scene = Self { server, lead, nurse, patient: String::new(), source: Source::new() };
        scene.patient = text(&scene.import().await["patients"][0], "id");
        for (who, lead) in [("lead", &["--lead"][..]), ("nurse", &[])] {
            let add = [&["team", "add", "--patient", &scene.patient, "--user", who, "--role", "Team"], lead].concat();
            scene.server.cli(&add).await;
        }
        scene
    }

    /// The source as a file.
    async fn import(&self) -> Value {
        let entries: Vec<Value> = self.source.resources().into_iter().map(|one| json!({"resource": one})).collect();
        let path = self.server.house.path("source.json");
        let bundle = json!({"resourceType": "Bundle", "type": "collection", "entry": entries});
        std::fs::write(&path, bundle.to_string()).unwrap();
        self.server.cli(&["patient", "import", path.to_str().unwrap()]).await
    }

    async fn plan(&self) -> Value {
        self.server.run(&self.lead, "plan.items", json!({"patient": self.patient, "closed": true})).await
    }

    /// The item whose title begins with these words.
    async fn item(&self, title: &str) -> Value {
        let plan = self.plan().await;
        let found = list(&plan, "items").iter().find(|item| text(item, "title").starts_with(title)).cloned();
        found.unwrap_or_else(|| panic!("no {title}: {plan}"))
    }

    async fn change(&self, item: &Value, title: &str) {
        let data = json!({"item": item["id"], "rev": item["rev"], "title": title});
        self.server.run(&self.lead, "plan_item.change", data).await;
    }

    async fn conflicts(&self) -> Vec<Value> {
        let answer = self.server.run(&self.lead, "plan.conflicts", json!({"patient": self.patient})).await;
        let listed = list(&answer, "conflicts").clone();
        assert_eq!(self.plan().await["conflicts"], listed.len(), "they are counted where the plan is looked at");
        listed
    }

    async fn settle(&self, conflict: &Value, keep: &str) -> Value {
        let data = json!({"conflict": conflict["id"], "keep": keep});
        self.server.run(&self.lead, "plan.conflict.settle", data).await
    }

    /// The events of the plan channel about an item, newest last.
    async fn events(&self, item: &Value) -> Vec<Value> {
        let channels = self.server.run(&self.lead, "channel.list", json!({})).await;
        let plan =
            list(&channels, "channels").iter().find(|one| one["patient"] == self.patient && one["purpose"] == "plan");
        let plan = plan.unwrap_or(&list(&channels, "channels")[0])["id"].clone();
        let page = self.server.run(&self.lead, "history", json!({"channel": plan, "limit": 200})).await;
        let events = list(&page, "events").iter();
        events.filter(|event| event["data"]["item"] == item["id"]).cloned().collect()
    }
}

both!(what_the_source_changed_is_a_new_version);
async fn what_the_source_changed_is_a_new_version() {
    let mut scene = Scene::new("").await;
    let goal = scene.item("Walks").await;
    assert_eq!(goal["rev"], 1);
    scene.import().await;
    assert_eq!(scene.item("Walks").await["rev"], 1, "nothing came of nothing");
    scene.source.goal["description"]["text"] = json!("Walks to the shop");
    scene.source.goal["target"] = json!([{"dueDate": "2027-01-31"}]);
    let report = scene.import().await;
    assert_eq!(report["patients"][0]["created"], false);
    let changed = scene.item("Walks").await;
    assert_eq!(
        (&changed["id"], &changed["rev"], &changed["title"]),
        (&goal["id"], &json!(2), &json!("Walks to the shop"))
    );
    assert!(text(&changed, "due").starts_with("2027-01-31"), "{changed}");
    let events = scene.events(&goal).await;
    assert_eq!(events.last().unwrap()["event"], "plan_item.changed");
    assert_eq!(events.last().unwrap()["data"]["reason"], "The source changed it.");
    // Over there it is reached; then it turns out that it is not.
    for (status, open) in [("completed", false), ("active", true)] {
        scene.source.goal["lifecycleStatus"] = json!(status);
        scene.import().await;
        let plan = scene.server.run(&scene.lead, "plan.items", json!({"patient": scene.patient})).await;
        let listed = list(&plan, "items").iter().any(|item| item["id"] == goal["id"]);
        assert_eq!((listed, &scene.item("Walks").await["status"]), (open, &json!(status)));
    }
    assert!(scene.conflicts().await.is_empty());
    // Another id over there, the same identifier: the same item.
    scene.source.goal["id"] = json!("g2");
    scene.source.goal["description"]["text"] = json!("Walks to the park");
    scene.source.plan["goal"][0]["reference"] = json!("Goal/g2");
    scene.import().await;
    assert_eq!(scene.item("Walks to the park").await["id"], goal["id"]);
}

both!(what_was_changed_on_both_sides_waits_for_the_lead);
async fn what_was_changed_on_both_sides_waits_for_the_lead() {
    let mut scene = Scene::new("").await;
    let goal = scene.item("Walks").await;
    scene.change(&goal, "Walks with a stick").await;
    scene.import().await;
    assert!(scene.conflicts().await.is_empty(), "the source said nothing new");
    for words in ["Walks to the shop", "Walks to the church"] {
        scene.source.goal["description"]["text"] = json!(words);
        scene.import().await;
        let conflicts = scene.conflicts().await;
        assert_eq!(conflicts.len(), 1, "one item, one conflict");
        let sides = ["ours", "theirs", "base"].map(|side| text(&conflicts[0][side], "title"));
        assert_eq!(sides, ["Walks with a stick", words, "Walks to the garden"]);
        assert_eq!(scene.item("Walks").await["title"], "Walks with a stick");
    }
    let conflict = scene.conflicts().await.remove(0);
    // A nurse sees that there is one and does not settle it; a stranger is told of none.
    let stranger = scene.server.person("stranger").await;
    let data = json!({"conflict": conflict["id"], "keep": "theirs"});
    for (who, code) in [(&scene.nurse, "forbidden"), (&stranger, "not_found")] {
        assert_eq!(scene.server.code(who, "plan.conflict.settle", data.clone()).await, code);
        assert_eq!(scene.server.code(who, "plan.conflicts", json!({"patient": scene.patient})).await, code);
    }
    scene.settle(&conflict, "ours").await;
    let kept = scene.item("Walks").await;
    assert_eq!((&kept["title"], &kept["rev"]), (&json!("Walks with a stick"), &json!(3)));
    assert_eq!(scene.server.code(&scene.lead, "plan.conflict.settle", data).await, "conflict", "it is settled");
    scene.import().await;
    assert!(scene.conflicts().await.is_empty(), "what was settled is not asked again");
    scene.source.goal["description"]["text"] = json!("Walks on two sticks");
    scene.import().await;
    let conflict = scene.conflicts().await.remove(0);
    scene.settle(&conflict, "theirs").await;
    assert_eq!(scene.item("Walks").await["title"], "Walks on two sticks");
    // Both came to say the same: there is nothing to settle.
    let item = scene.item("Walks").await;
    scene.change(&item, "Walks alone").await;
    scene.source.goal["description"]["text"] = json!("Walks far");
    scene.import().await;
    assert_eq!(scene.conflicts().await.len(), 1);
    scene.source.goal["description"]["text"] = json!("Walks alone");
    scene.import().await;
    assert!(scene.conflicts().await.is_empty());
}

both!(what_a_plan_names_no_more_is_marked_and_stays);
async fn what_a_plan_names_no_more_is_marked_and_stays() {
    let mut scene = Scene::new("").await;
    let diary = scene.item("Salt diary").await;
    let whole = scene.source.plan.clone();
    scene.source.plan["activity"].as_array_mut().unwrap().pop();
    scene.source.plan["goal"] = json!([]);
    scene.import().await;
    let gone = scene.item("Salt diary").await;
    assert_eq!(
        (&gone["id"], &gone["source"]["removed"], &gone["status"]),
        (&diary["id"], &json!(true), &diary["status"])
    );
    assert!(scene.item("Walks").await["source"]["removed"].is_null(), "in no plan any more, and still there");
    assert_eq!(scene.events(&diary).await.last().unwrap()["data"]["reason"], "The source has it no more.");
    scene.import().await;
    assert_eq!(scene.item("Salt diary").await["rev"], gone["rev"]);
    scene.source.plan = whole;
    scene.import().await;
    assert!(scene.item("Salt diary").await["source"]["removed"].is_null());
    assert_eq!(list(&scene.plan().await, "items").len(), 6);
}

both!(a_plan_is_pulled_from_a_server);
async fn a_plan_is_pulled_from_a_server() {
    let fhir = FhirServer::start().await;
    let config = format!("[targets.ehr]\nkind = \"fhir\"\nurl = \"{}\"\n", fhir.base);
    let mut scene = Scene::new(&config).await;
    fhir.set(json!({"validate": false})).await;
    fhir.seed(Value::from(scene.source.resources())).await;
    let patient = scene.patient.clone();
    let pull = ["patient", "pull", "--target", "ehr", "--patient", &patient];
    let report = scene.server.cli(&pull).await;
    assert_eq!((&report["patients"][0]["id"], &report["resources"]), (&json!(patient), &json!(4)), "{report}");
    let before = scene.plan().await;
    assert_eq!(list(&before, "items").len(), 6, "the same items as by file");
    scene.source.goal["description"]["text"] = json!("Walks to the shop");
    // One of ours, as it was filed there, is not another item.
    let deployment = scene.server.cli(&["patient", "list"]).await;
    assert_eq!(list(&deployment, "patients").len(), 1);
    fhir.seed(json!([scene.source.goal])).await;
    scene.server.cli(&pull).await;
    assert_eq!(scene.item("Walks").await["title"], "Walks to the shop");
    let rev = scene.item("Walks").await["rev"].clone();
    scene.server.cli(&pull).await;
    assert_eq!(scene.item("Walks").await["rev"], rev);
    // Gone there: the whole of it is read, so what is not in it is marked. A search that fails marks nothing.
    let rest: Vec<Value> = scene.source.resources().into_iter().filter(|one| one["id"] != "c1").collect();
    fhir.reset().await;
    fhir.set(json!({"validate": false})).await;
    fhir.seed(Value::from(rest)).await;
    fhir.faults(json!([{"kind": "status", "status": 404, "path": "/fhir/ServiceRequest"}])).await;
    let report = scene.server.cli(&pull).await;
    assert_eq!(report["unread"], json!(["ServiceRequest"]));
    assert!(scene.item("Heart failure").await["source"]["removed"].is_null());
    scene.server.cli(&pull).await;
    assert_eq!(scene.item("Heart failure").await["source"]["removed"], true);
    // Nobody, several, no such server, no answer.
    let again = [&["--json"], &pull[..]].concat();
    fhir.faults(json!([{"kind": "status", "status": 503}])).await;
    let done = scene.server.house.cli_with(&again, "").await;
    assert!(done.code == 1 && done.stderr.contains("does not answer now"), "{}", done.stderr);
    fhir.reset().await;
    let done = scene.server.house.cli_with(&again, "").await;
    assert!(done.code == 1 && done.stderr.contains("knows nobody"), "{}", done.stderr);
    let unknown = ["--json", "patient", "pull", "--target", "other", "--patient", &patient];
    let done = scene.server.house.cli_with(&unknown, "").await;
    assert!(done.code == 1 && done.stderr.contains("No FHIR server"), "{}", done.stderr);
    assert_eq!(list(&scene.server.cli(&["patient", "list"]).await, "patients").len(), 1, "nobody was made");
}

both!(samples_of_others_change_where_they_changed_and_nowhere_else);
async fn samples_of_others_change_where_they_changed_and_nowhere_else() {
    let server = Server::new().await;
    let path = sample("synthea-2019-milan.json");
    let mut bundle: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let file = server.house.path("again.json");
    let file = file.to_str().unwrap();
    std::fs::write(file, bundle.to_string()).unwrap();
    let first = server.cli(&["patient", "import", file]).await;
    let patient = text(&first["patients"][0], "id");
    let lead = server.person("lead").await;
    server.cli(&["team", "add", "--patient", &patient, "--user", "lead", "--role", "Lead", "--lead"]).await;
    let before = server.run(&lead, "plan.items", json!({"patient": patient, "closed": true})).await;
    let goals = bundle["entry"].as_array_mut().unwrap().iter_mut().map(|entry| &mut entry["resource"]);
    let mut changed = 0;
    for goal in goals.filter(|resource| resource["resourceType"] == "Goal") {
        goal["description"]["text"] = json!(format!("{} (again)", goal["description"]["text"].as_str().unwrap()));
        goal["theirs"] = json!({"unknown": "element"});
        changed += 1;
    }
    std::fs::write(file, bundle.to_string()).unwrap();
    let second = server.cli(&["patient", "import", file]).await;
    assert_eq!(second["patients"][0]["created"], false);
    let after = server.run(&lead, "plan.items", json!({"patient": patient, "closed": true})).await;
    let (before, after) = (list(&before, "items"), list(&after, "items"));
    assert_eq!(before.len(), after.len());
    let other: Vec<(&Value, &Value)> = before.iter().zip(after).filter(|(before, after)| before != after).collect();
    assert_eq!((other.len(), changed > 0), (changed, true));
    for (before, after) in other {
        assert_eq!((before["id"].clone(), after["rev"].clone()), (after["id"].clone(), json!(2)));
        assert_eq!(text(after, "title"), format!("{} (again)", text(before, "title")));
    }
}
