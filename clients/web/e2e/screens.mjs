// Pictures of every page, for docs/screens: looked at by people after each change of the page. Usage: CARETHREAD_BIN=... node e2e/screens.mjs [FOLDER]
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { House, ROOMY } from "./house.mjs";

const folder = process.argv[2] ?? new URL("../../../docs/screens/", import.meta.url).pathname;
mkdirSync(folder, { recursive: true });
const out = mkdtempSync(join(tmpdir(), "carethread-screens-"));
const house = await House.open(`${ROOMY}[targets.hospital]\nkind = "folder"\npath = "${out}"\nformat = "fhir-document"\n`);
const { staff, shared, items } = await house.ruth();
const hours = (n) => new Date(Date.now() + n * 3_600_000).toISOString();
await house.run("tomasz", "message.post", { channel: staff, item: items.ride, text: "Ada works until 18:00. Nobody can drive Ruth to physiotherapy or to the 1 December visit. The bus stop is 400 m away, too far with the frame." });
await house.run("tomasz", "message.post", { channel: staff, item: items.pills, priority: "urgent", ask: "check_back", sbar: { situation: "The discharge list still says metformin 1000 mg twice a day.", background: "Held since the operation on Monday. eGFR 38 on 18 November.", assessment: "The full dose is too much for her kidneys.", recommendation: "Restart at 500 mg twice a day, eGFR again in two weeks." } });
await house.run("tomasz", "note.log", { channel: staff, item: items.ride, medium: "phone", held_at: hours(-3), with: [{ name: "Ines Calder", role: "dispatcher at CityRide" }], text: "They can fetch Ruth at the door on 24 and 27 November. For 1 December she is on the waiting list.", decisions: ["Rides booked for 24 and 27 November, 13:15."] });
await house.run("maja", "note.open", { channel: staff, item: items.ride, medium: "phone", with: [{ name: "RightStep Medical" }] });
await house.run("tomasz", "task.create", { channel: staff, item: items.ride, title: "Give Ada the ride times in writing", owner: house.people.maja.id, due: hours(20) });
const overdue = await house.run("maja", "task.create", { channel: staff, item: items.pills, title: "Show Ada the insulin pen", due: hours(-1), checklist: ["Pen", { text: "Needles", done: true }] });
await house.run("maja", "task.start", { task: overdue.id, rev: 1 });
await house.run("maja", "message.post", { channel: shared, item: items.ride, text: "A driver fetches Ruth at the door on the 24th and the 27th. Please be there at one." });
await house.run("ada", "message.post", { channel: shared, item: items.ride, text: "I can be there on both days. Thank you." });

const draft = await house.run("tomasz", "export.draft", { patient: house.ward.patient, target: "hospital", purpose: "Going home on Friday", summaries: [{ item: items.ride, text: "Door-to-door rides booked for 24 and 27 November, 13:15. 1 December: waiting list, answer Monday noon." }] });
await house.run("tomasz", "plan_item.change", { item: items.pills, rev: 1, detail: "Metformin at half the dose until the eGFR on 3 December." });

/** Another patient, whose goals come from a chart; they are changed here, and there. */
async function conflicts() {
    const source = async (walk, sleep) => {
        const texts = { walk, sleep };
        const goals = Object.entries(texts).map(([id, text]) => ({ resourceType: "Goal", id, lifecycleStatus: "active", subject: { reference: "Patient/p1" }, description: { text } }));
        const plan = { resourceType: "CarePlan", id: "c1", status: "active", intent: "plan", subject: { reference: "Patient/p1" }, goal: goals.map(({ id }) => ({ reference: `Goal/${id}` })) };
        const patient = { resourceType: "Patient", id: "p1", name: [{ text: "Iris Bloom" }], birthDate: "1940-02-03", identifier: [{ system: "urn:mrn", value: "MRN-000815" }] };
        const file = join(out, "source.json");
        writeFileSync(file, JSON.stringify({ resourceType: "Bundle", type: "collection", entry: [patient, plan, ...goals].map((resource) => ({ resource })) }));
        return (await house.cli("patient", "import", file)).patients[0].id;
    };
    const patient = await source("Walks 50 m to the garden", "Sleeps through the night");
    await house.cli("team", "add", "--patient", patient, "--user", "maja", "--role", "Ward nurse", "--lead");
    const { items } = await house.run("maja", "plan.items", { patient });
    for (const [verb, title] of [["Walks", "Walks 50 m with a stick"], ["Sleeps", "Sleeps six hours"]]) {
        const { id, rev } = items.find((item) => item.title.startsWith(verb));
        await house.run("maja", "plan_item.change", { item: id, rev, title });
    }
    await source("Walks 100 m to the shop", "Sleeps without tablets");
    return `#/patient/${patient}/conflicts`;
}

await house.run("maja", "plan_item.add", { patient: house.ward.patient, kind: "activity", title: "Ruth comes home", detail: "Bring her own shoes.", shared: true, owner: house.people.tomasz.id, due: hours(44) });
await house.run("tomasz", "message.post", { channel: shared, item: items.ride, ask: "acknowledge", text: "A driver brings the raised toilet seat on Friday, 08:00 to 09:30. Can somebody be at home?" });

const pages = [
    ["start", "#/"],
    ["messages", house.patient("messages", staff)],
    ["shared", house.patient("messages", shared)],
    ["item", house.patient("plan", items.ride)],
    ["board", house.patient("board")],
    ["note", house.patient("note")],
    ["chart", house.patient("chart", draft.export)],
    ["drift", house.patient("drift")],
    ["conflicts", await conflicts()],
    ["mails", house.patient("mails")],
    ["team", house.patient("team")],
    ["settings", "#/settings"],
    ["downtime", "#/print"],
    ["verify", "#/verify"],
];
async function take(name, who, more, list) {
    const page = await house.signIn(who, more);
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    for (const [what, hash] of list) {
        await page.evaluate((to) => (location.hash = to), hash);
        await page.waitForTimeout(1_200);
        await page.screenshot({ path: `${folder}/${what}${name}.png` });
    }
    await page.context().close();
}
await take("", "maja", { width: 1280, height: 800 }, pages);
await take("-dark", "maja", { width: 1280, height: 800, colorScheme: "dark" }, pages.slice(1, 2));
await take("-phone", "maja", { width: 390, height: 780 }, [pages[0], pages[1], pages[4], ["chart", house.patient("chart")], ["filing", house.patient("chart", draft.export)], pages[7], pages[8], ["team", house.patient("team")], ["checkin", house.patient("checkin", staff)]]);
await take("-family", "ada", { width: 390, height: 780 }, [pages[2], ["plan", house.patient("plan")]]);
await take("-family-desk", "ada", { width: 1280, height: 800 }, [["plan", house.patient("plan")]]);
console.log(house.faults);
await house.close();
rmSync(out, { recursive: true, force: true });
