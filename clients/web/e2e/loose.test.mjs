// What waits for a decision: made for an older version of its item, changed here and in the chart, come by mail.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { judge, sideways } from "./axe.mjs";
import { House, ROOMY } from "./house.mjs";

const HOSTILE = `<img src=x onerror="document.title='got'"> <b>bold</b>`;
const folder = mkdtempSync(join(tmpdir(), "carethread-loose-"));
const lmtp = join(folder, "lmtp");
const house = House.forAll({
    config: `${ROOMY}[mail]\ndomain = "mail.clinic.example"\nlmtp = "unix:${lmtp}"\n`,
    over: () => rmSync(folder, { recursive: true, force: true }),
});

async function board(who, more) {
    const page = await house.signIn(who, more);
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await house.open(page, "board");
    await page.getByRole("button", { name: "New task" }).waitFor();
    return page;
}
const look = (page, words) => page.locator(".loose .ghost", { hasText: words }).getByRole("link", { name: "Look at it" }).click();
const reason = async (page, words, action) => {
    await page.getByRole("dialog").getByRole("textbox").last().fill(words);
    await page.getByRole("dialog").getByRole("button", { name: action }).click();
};

/** Judged as it stands, in the dark as well, and narrow. */
async function fits(page, name) {
    for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme });
        await judge(page, `${name}, ${colorScheme}`);
    }
    for (const width of [320, 390, 720, 1024]) {
        await page.setViewportSize({ width, height: 780 });
        await sideways(page, `${name} at ${width}`);
        if (width === 390) await judge(page, `${name}, phone`);
    }
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.emulateMedia({ colorScheme: "light" });
}

test("what was made for an older version is kept, called off, or moved, each with a reason; nobody else is asked", async () => {
    const { patient, items, staff } = house.ward;
    const make = async (title) => (await house.run("tomasz", "task.create", { channel: staff, item: items.pills, title })).id;
    const tasks = [await make(`Weigh the pills ${HOSTILE}`), await make("Buy a box"), await make("Call a driver")];
    const message = (await house.run("tomasz", "message.post", { channel: staff, item: items.pills, text: "Half a tablet then", ask: "acknowledge" })).id;
    await house.run("tomasz", "plan_item.change", { item: items.pills, rev: 1, title: "Medicines in a box", detail: `For a week ${HOSTILE}` });
    const page = await board("maja", { bypassCSP: true });
    await look(page, "4 things were made for an older version");
    const row = (words) => page.locator("[data-drift]", { hasText: words });
    await row("Weigh the pills").getByText("Made for version 1; the item is at version 2").waitFor();
    await row("Weigh the pills").locator("[data-then]", { hasText: "Medicines at home" }).waitFor();
    await row("Weigh the pills").locator("[data-now]", { hasText: "Medicines in a box" }).getByText("For a week").waitFor();
    assert.equal(await row("Weigh the pills").locator("[data-then]").getByText("For a week").count(), 0, "what was added since is not in it");
    assert.equal(await page.locator("main img").count(), 0, "words are words");
    await row("Half a tablet").getByText("Message that waits for an answer").waitFor();
    await fits(page, "drift");

    await row("Weigh the pills").getByRole("button", { name: "It still holds" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Keep it" }).click();
    await page.getByRole("alert").getByText("Say it in a few words.").waitFor();
    await judge(page, "keeping");
    await reason(page, "Still so", "Keep it");
    await row("Weigh the pills").waitFor({ state: "detached" });
    await row("Buy a box").getByRole("button", { name: "Call it off" }).click();
    await reason(page, "They have one", "Call it off");
    await row("Buy a box").waitFor({ state: "detached" });

    // By keys alone.
    await row("Call a driver").getByRole("button", { name: "It serves another item" }).focus();
    await page.keyboard.press("Enter");
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: /^Move it there/ }).focus();
    await page.keyboard.press("Enter");
    await dialog.getByRole("alert").getByText("Choose the item").waitFor();
    await dialog.getByRole("button", { name: "Choose what it is about" }).focus();
    await page.keyboard.press("Enter");
    await page.keyboard.type("ride");
    await page.keyboard.press("Enter");
    await dialog.getByRole("textbox").focus();
    await page.keyboard.type("It is about the ride");
    await dialog.getByRole("button", { name: "Move it there: No ride to appointments" }).focus();
    await page.keyboard.press("Enter");
    await row("Call a driver").waitFor({ state: "detached" });
    await row("Half a tablet").getByRole("button", { name: "It still holds" }).click();
    await reason(page, "Still asked", "Keep it");
    await page.getByText("Nothing waits: everything fits the plan as it is now.").waitFor();

    const { columns } = await house.run("maja", "board.get", { patient });
    const now = tasks.map((id) => columns.flatMap(({ state, tasks }) => tasks.map((task) => ({ ...task, state }))).find((task) => task.id === id));
    assert.deepEqual(now.map(({ state, item }) => [state === "cancelled", item]), [[false, items.pills], [true, items.pills], [false, items.ride]]);
    assert.ok(message);
    await house.run("maja", "team.add", { patient, user: (await house.person("grace", "Grace Hopper")).id, role: "Social worker" });
    await house.run("tomasz", "plan_item.change", { item: items.pills, rev: 2, title: "Medicines in a blue box" });
    await house.open(page, "board");
    await page.getByText(/things? w(as|ere) made for an older version/).waitFor();
    const grace = await board("grace");
    await house.open(grace, "drift");
    await grace.getByText("Nothing waits: everything fits").waitFor();
    for (const one of [page, grace]) await one.context().close();
});

test("an item that was changed here and in the chart stands with both sides, and the one that is chosen holds", async () => {
    const source = (words, more = {}) => {
        const subject = { reference: "Patient/p1" };
        const goals = ["Walks", "Sleeps"].map((verb, at) => ({ resourceType: "Goal", id: `g${at}`, lifecycleStatus: "active", subject, description: { text: `${verb} ${words}` }, ...more }));
        const plan = { resourceType: "CarePlan", id: "cp1", status: "active", intent: "plan", subject, goal: goals.map(({ id }) => ({ reference: `Goal/${id}` })) };
        const patient = { resourceType: "Patient", id: "p1", name: [{ text: "Iris Bloom" }], birthDate: "1940-02-03", identifier: [{ system: "urn:mrn", value: "7" }] };
        const file = join(folder, "source.json");
        writeFileSync(file, JSON.stringify({ resourceType: "Bundle", type: "collection", entry: [patient, plan, ...goals].map((resource) => ({ resource })) }));
        return house.cli("patient", "import", file);
    };
    const patient = (await source("to the garden")).patients[0].id;
    await house.cli("team", "add", "--patient", patient, "--user", "maja", "--role", "Lead", "--lead");
    const { items } = await house.run("maja", "plan.items", { patient });
    for (const verb of ["Walks", "Sleeps"]) {
        const { id, rev } = items.find(({ title }) => title.startsWith(verb));
        await house.run("maja", "plan_item.change", { item: id, rev, title: `${verb} with a stick` });
    }
    await source(`to the shop ${HOSTILE}`);
    const page = await house.signIn("maja", { bypassCSP: true });
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await page.evaluate((hash) => (location.hash = hash), `#/patient/${patient}/board`);
    await look(page, "2 items were changed here and in the chart");
    const card = (words) => page.locator("[data-conflict]", { hasText: words });
    const cells = await card("Walks").locator("tr", { hasText: "Title" }).locator("td").allInnerTexts();
    assert.deepEqual(cells, ["Walks to the garden", "Walks with a stick", `Walks to the shop ${HOSTILE}`]);
    assert.equal(await page.locator("main img").count(), 0, "words are words");
    await fits(page, "conflicts");
    await card("Walks").getByRole("button", { name: "Keep what stands here" }).click();
    await card("Walks").waitFor({ state: "detached" });
    await card("Sleeps").getByRole("button", { name: "Take what the chart says" }).focus();
    await page.keyboard.press("Enter");
    await page.getByText("Nothing waits: the plan and its sources agree.").waitFor();
    const titles = (await house.run("maja", "plan.items", { patient })).items.map(({ title }) => title);
    assert.ok(titles.includes("Walks with a stick") && titles.includes(`Sleeps to the shop ${HOSTILE}`), titles.join());
    await page.context().close();
});

let sent = 0;
/** Hands a mail over as the site's mail server does (RFC 2033). */
async function mail(to, subject, text) {
    const socket = connect(lmtp);
    let heard = "";
    const said = (code) =>
        new Promise((done, failed) => {
            const look = () => {
                const last = heard.split("\r\n").filter(Boolean).find((line) => /^\d{3} /.test(line));
                if (!last) return;
                heard = "";
                socket.off("data", more);
                if (last.startsWith(code)) done();
                else failed(new Error(last));
            };
            const more = (part) => ((heard += part), look());
            socket.on("data", more).once("error", failed);
        });
    const tell = (line, code) => {
        const answer = said(code);
        socket.write(`${line}\r\n`);
        return answer;
    };
    await said("220");
    await tell("LHLO mx.clinic.example", "250");
    await tell("MAIL FROM:<ines@cityride.example>", "250");
    await tell(`RCPT TO:<${to}>`, "250");
    await tell("DATA", "354");
    await tell(`From: Ines Calder <ines@cityride.example>\r\nTo: ${to}\r\nSubject: ${subject}\r\nMessage-ID: <${(sent += 1)}@cityride.example>\r\nDate: ${new Date().toUTCString().replace("GMT", "+0000")}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n${text}\r\n.`, "250");
    await tell("QUIT", "221");
    socket.destroy();
}

test("a space shows its mail address; a mail from a stranger waits, is written down about an item, or discarded for a reason", async () => {
    const page = await board("maja", { bypassCSP: true });
    await house.open(page, "note");
    await page.getByRole("link", { name: "Mails and mail addresses" }).click();
    await page.getByText("No mail waits.").waitFor();
    const form = page.locator("section", { hasText: "Mail to a space" });
    await form.getByLabel("About which plan item?").selectOption({ label: "No ride to appointments" });
    await form.getByRole("button", { name: "Show the address" }).focus();
    await page.keyboard.press("Enter");
    const address = await page.locator("[data-address]").innerText();
    assert.match(address, /^p-[^@+]+\+[^@]+@mail\.clinic\.example$/);
    await mail(address, `Rides ${HOSTILE}`, `We fetch her at one ${HOSTILE}`);
    await mail(address, "Rides of others", "This is about somebody else");
    await house.open(page, "board");
    await look(page, "2 mails wait");
    const card = (words) => page.locator("[data-mail]", { hasText: words });
    await card("We fetch her at one <img").getByText("Nobody here is known by the address it came from.").waitFor();
    assert.equal(await page.locator("main img").count(), 0, "words are words");
    await fits(page, "mails");
    await card("We fetch her").getByRole("button", { name: /No ride to appointments/ }).waitFor();
    await card("We fetch her").getByRole("button", { name: "Write it down" }).click();
    await card("We fetch her").waitFor({ state: "detached" });
    await card("somebody else").getByRole("button", { name: "Discard" }).click();
    await reason(page, "Not about her", "Discard it for good");
    await page.getByText("No mail waits.").waitFor();
    await house.open(page, "messages", house.ward.staff);
    await page.locator("article.slip", { hasText: "We fetch her at one" }).waitFor();
    assert.equal(await page.locator("main img").count(), 0);
    await page.context().close();
});
