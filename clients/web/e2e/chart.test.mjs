// The chart: what is in it, drafts as they will be filed, signatures, a receiver that says no, downloads, and a proof checked in the browser.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { judge, sideways } from "./axe.mjs";
import { House, PASSWORD, ROOMY } from "./house.mjs";

const HOSTILE = `<img src=x onerror="document.title='got'"> <b>bold</b>`;
const folder = mkdtempSync(join(tmpdir(), "carethread-chart-"));
const out = join(folder, "out");
let receiver;
/** What the receiver answers to what is written to it; nothing: it takes it. */
let refusal;

async function receivers() {
    receiver = createServer((asked, answer) => {
        asked.resume().on("end", () => {
            const say = (status, body) => answer.writeHead(status, { "Content-Type": "application/fhir+json" }).end(JSON.stringify(body));
            if (asked.method === "GET" && asked.url.startsWith("/Patient")) return say(200, { resourceType: "Bundle", type: "searchset", total: 0 });
            say(422, { resourceType: "OperationOutcome", issue: [{ severity: "error", code: "processing", diagnostics: refusal }] });
        });
    });
    await new Promise((listening) => receiver.listen(0, "127.0.0.1", listening));
    const target = `[targets.drop]\nkind = "folder"\npath = "${out}"\nformat = "html"\n[targets.ehr]\nkind = "fhir"\nurl = "http://127.0.0.1:${receiver.address().port}"\nprofile = "note-only"\ncreate_patient = true\n`;
    mkdirSync(out);
    return `${ROOMY}${target}`;
}

const house = House.forAll({
    config: receivers,
    ready: async (house, { staff, shared, items }) => {
        await house.run("tomasz", "message.post", { channel: staff, item: items.ride, text: "Nobody can drive her" });
        await house.run("tomasz", "message.post", { channel: staff, item: items.pills, sbar: { situation: "The list says 1000 mg", background: "Held", assessment: "Too much", recommendation: "500 mg" } });
        await house.run("maja", "message.post", { channel: staff, item: items.pills, text: HOSTILE });
        await house.run("ada", "message.post", { channel: shared, item: items.ride, text: "I can come on Friday" });
        await house.run("tomasz", "note.log", { channel: staff, item: items.ride, medium: "phone", held_at: new Date(Date.now() - 600_000).toISOString(), with: [{ name: "Ines Calder", role: "dispatcher" }], text: "They fetch her", decisions: ["Booked"] });
    },
    over: () => {
        receiver.close();
        rmSync(folder, { recursive: true, force: true });
    },
});

const row = (page, title) => page.locator("table.gaps tbody tr", { hasText: title });
const cell = (page, title, column) => row(page, title).locator(`[data-count="${column}"]`).innerText();
async function chart(who, more) {
    const page = await house.signIn(who, more);
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await house.open(page, "chart");
    await page.locator("table.gaps").waitFor();
    return page;
}

/** The words of a transcript: as it stands on a page, or in a file. Who signed, when it was made, what is not in it and the signed heads are those of the moment. */
async function told(of, file) {
    const words = (root) => {
        const main = root.querySelector?.("main") ?? root;
        const sections = [...main.querySelectorAll("section")].map((one) => [...one.querySelectorAll("h2, h3, h4, p, li, th, td, caption")].map((part) => part.textContent.trim()));
        return sections.filter(([title]) => !/^(About this|Attestation|Gaps|How to verify)/.test(title));
    };
    const all = file ? await of.evaluate(`(${words})(new DOMParser().parseFromString(${JSON.stringify(file)}, "text/html"))`) : await of.evaluate(words);
    assert.ok(all.length > 5 && JSON.stringify(all).includes("They fetch her"), JSON.stringify(all));
    return all;
}

async function sign(page, password = PASSWORD) {
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Your password, again").fill(password);
    await dialog.getByRole("button", { name: /^Sign/ }).click();
    return dialog;
}

test("what is not in the chart is drafted, shown as it will be filed, signed for by password, filed, and counted; the other one sees it live", async () => {
    const [page, other] = [await chart("maja", { bypassCSP: true }), await chart("tomasz")];
    assert.equal(await cell(page, "No ride", "fresh"), "3");
    await page.getByText("0 changed since, 0 in a draft, 5 in no draft yet.").waitFor();
    await page.getByLabel("Receiver").selectOption("drop");
    await page.getByRole("link", { name: "Make a draft" }).click();
    await judge(page, "a draft");
    await page.getByRole("textbox", { name: "No ride to appointments" }).fill(`Ada drives on Friday ${HOSTILE}`);
    await page.getByLabel("Receiver").last().selectOption("drop");
    await page.getByLabel(/What is it for/).fill("Going home");
    await page.getByRole("button", { name: "Show it as it will be filed" }).click();
    const paper = page.locator(".paper");
    await paper.getByText("Ada drives on Friday").waitFor();
    await paper.getByText("OKAFOR, Ruth").waitFor();
    await paper.getByText("The list says 1000 mg").waitFor();
    await paper.getByText(HOSTILE.slice(0, 20)).first().waitFor();
    assert.equal(await paper.locator("img").count(), 0, "words are words");
    await paper.getByText("They fetch her").waitFor();
    await paper.getByText("Nobody has attested this.").waitFor();
    const promised = await told(paper.locator(".transcript"));
    assert.equal(await cell(page, "No ride", "draft"), "3", "what lies in a draft is counted as that");
    await page.getByText("0 changed since, 5 in a draft, 0 in no draft yet.").waitFor();
    await judge(page, "the paper");

    const bar = page.getByRole("form", { name: "Sign for it" });
    await bar.getByRole("button", { name: /Sign and file/ }).click();
    await bar.getByRole("alert").getByText("Read it first").waitFor();
    await bar.getByRole("checkbox").check();
    await bar.getByRole("button", { name: /Sign and file/ }).click();
    await judge(page, "signing");
    const dialog = await sign(page, "not the password");
    await dialog.getByRole("alert").getByText("Password or code is wrong").waitFor();
    await sign(page);
    await page.locator('[data-filing="filed"]').waitFor({ timeout: 60_000 });
    await page.getByText("0 changed since, 0 in a draft, 0 in no draft yet.").waitFor();
    assert.deepEqual(await cell(page, "No ride", "filed"), "3");
    await row(page, "No ride").getByText("signed for by Maja Lindqvist").waitFor();
    await page.getByText(/Maja Lindqvist|You/).filter({ hasText: "I have read these" }).first().waitFor();
    assert.equal(readdirSync(out).length, 1, "the receiver has it");
    assert.deepEqual(await told(page, readFileSync(join(out, readdirSync(out)[0]), "utf8")), promised, "word for word what was shown before");
    await page.getByText("Live. Everything is up to date.").first().waitFor();

    await other.getByLabel("Receiver").selectOption("drop");
    await other.locator('[data-filing="filed"]').waitFor();
    await house.run("tomasz", "message.post", { channel: house.ward.staff, item: house.ward.items.ride, text: "One more" });
    await page.getByText("0 changed since, 0 in a draft, 1 in no draft yet.").waitFor();
    await judge(page, "filed");
    await house.open(page, "plan", house.ward.items.ride);
    await page.locator('[data-mark="drop"]', { hasText: "In the chart: 3 of 4." }).waitFor();
    await judge(page, "an item with marks");
    // Each message says it of itself, and the tab counts what its receiver lacks: `ehr` has nothing yet.
    await house.open(page, "messages", house.ward.staff);
    await page.locator("article.msg", { hasText: "Nobody can drive her" }).locator('[data-charted="filed"]', { hasText: "In the chart (drop)" }).waitFor();
    await page.locator("article.slip", { hasText: "They fetch her" }).locator('[data-charted="filed"]').waitFor();
    await page.locator("article.msg", { hasText: "One more" }).locator('[data-charted="new"]', { hasText: "Not in the chart yet" }).waitFor();
    await page.getByRole("link", { name: /^Chart 6 not in the chart yet/ }).waitFor();
    const { events } = await house.run("tomasz", "history", { channel: house.ward.staff });
    await house.run("tomasz", "message.amend", { message: events.find(({ data }) => data.text === "Nobody can drive her").data.id, text: "Nobody can drive her yet" });
    // Whoever is at the end is kept there by what comes: up once more, should that have come between.
    const changed = page.locator("article.msg", { hasText: "Nobody can drive her yet" }).locator('[data-charted="changed"]', { hasText: "Changed since filed" });
    for (let tries = 0; tries < 20 && !(await changed.isVisible()); tries += 1) {
        await page.locator(".feed .rows").evaluate((rows) => (rows.scrollTop = 0));
        await changed.waitFor({ timeout: 1000 }).catch(() => undefined);
    }
    await changed.waitFor();
    await judge(page, "messages with marks");
    assert.deepEqual(await house.refused(other), []);
    for (const one of [page, other]) await one.context().close();
});

test("a draft is changed, waits for two names, and is taken back; somebody else's change in between is not written over", async () => {
    const more = { channel: house.ward.staff, item: house.ward.items.pills };
    await house.run("maja", "message.post", { ...more, text: "She has half tablets" });
    const page = await chart("tomasz");
    await page.getByRole("link", { name: "Make a draft" }).click();
    await page.getByLabel("Receiver").last().selectOption("drop");
    await page.getByText("Some plan items").click();
    await page.getByRole("button", { name: "Show it as it will be filed" }).click();
    await page.getByRole("alert").getByText("Choose at least one plan item.").waitFor();
    await page.getByRole("checkbox", { name: "Medicines at home" }).check();
    await page.getByRole("checkbox", { name: /^You/ }).check();
    await page.getByRole("checkbox", { name: /Maja Lindqvist/ }).check();
    await page.getByRole("button", { name: "Show it as it will be filed" }).click();
    await page.locator(".paper td", { hasText: "Medicines at home" }).first().waitFor();
    assert.equal(await page.locator(".paper td", { hasText: "No ride" }).count(), 0);
    const id = (await page.evaluate(() => location.hash)).split("/").at(-1);
    await page.getByRole("button", { name: "Change the draft" }).click();
    const words = page.getByRole("textbox", { name: "Medicines at home" });
    await words.fill("Half the dose");
    const { rev } = await house.run("maja", "export.get", { export: id });
    await house.run("maja", "export.change", { export: id, rev, purpose: "Second thoughts" });
    await page.getByRole("button", { name: "Show it as it will be filed" }).click();
    await page.getByRole("alert").getByText("Somebody changed this draft meanwhile").waitFor();
    await page.getByRole("button", { name: "Show it as it will be filed" }).click();
    await page.locator(".paper").getByText("Half the dose").waitFor();
    await page.getByRole("checkbox", { name: /I have read/ }).check();
    await page.getByRole("button", { name: /Sign and file/ }).click();
    await sign(page);
    await page.getByText("Waits for Maja Lindqvist to sign.").waitFor();
    assert.equal((await house.run("maja", "export.get", { export: id })).state, "attested");

    const maja = await chart("maja");
    await maja.getByLabel("Receiver").selectOption("drop");
    await maja.locator('[data-filing="attested"]').getByText("Waits for your name").waitFor();
    await house.open(maja, "chart", id);
    await maja.getByRole("button", { name: "Take back" }).click();
    await maja.getByRole("dialog").getByRole("textbox").fill("Not yet");
    await maja.getByRole("button", { name: "Take the filing back" }).click();
    await maja.getByText("Taken back: Not yet").waitFor();
    await page.getByText("Taken back: Not yet").waitFor();
    for (const one of [page, maja]) await one.context().close();
});

test("who signs second sees what the first one said, and it is filed with both names", async () => {
    const { patient, staff, items } = house.ward;
    await house.run("maja", "message.post", { channel: staff, item: items.pills, text: "She knows when to take them" });
    const attesters = [house.people.maja.id, house.people.tomasz.id];
    const { export: id } = await house.run("tomasz", "export.draft", { patient, target: "drop", attesters, items: [house.ward.items.pills] });
    const pages = [];
    for (const who of ["tomasz", "maja"]) {
        const page = await chart(who);
        pages.push(page);
        await house.open(page, "chart", id);
        await page.locator(".paper td", { hasText: "Medicines at home" }).first().waitFor();
        if (who === "maja") await page.getByText(/Tomasz Nowak, .*tomasz has read it/).first().waitFor();
        await page.getByRole("checkbox", { name: /I have read/ }).check();
        await page.getByRole("form", { name: "Sign for it" }).getByRole("button", { name: /Sign/ }).click();
        await page.getByLabel("What you say with your name").fill(`${who} has read it ${HOSTILE}`);
        await sign(page);
        await page.getByText(new RegExp(`You, .*${who} has read it`)).waitFor();
    }
    for (const page of pages) {
        await page.locator('.steps[data-state="filed"]').waitFor({ timeout: 60_000 });
        for (const who of ["tomasz", "maja"]) await page.getByText(`${who} has read it <img`).waitFor();
        assert.equal(await page.locator("main img").count(), 0, "words are words");
    }
    const { attestations } = await house.run("maja", "export.get", { export: id });
    assert.deepEqual(attestations.map(({ by }) => by), [house.people.tomasz.id, house.people.maja.id]);
    for (const one of pages) await one.context().close();
});

test("what is filed takes the place of an earlier filing, whole, and the earlier one says so", async () => {
    const { exports } = await house.run("maja", "export.list", { patient: house.ward.patient });
    const former = exports.filter(({ state, target, selection }) => state === "filed" && target === "drop" && !selection.items).at(-1);
    const page = await chart("maja", { bypassCSP: true });
    await house.open(page, "chart", former.export);
    await page.getByRole("button", { name: "File again in its place" }).click();
    await page.getByText(/It takes the place of what was filed with drop/).waitFor();
    await judge(page, "a draft in the place of another");
    await page.getByRole("button", { name: "Show it as it will be filed" }).click();
    await page.getByText("It takes the place of an earlier filing.").waitFor();
    await page.locator(".paper").getByText("One more", { exact: true }).waitFor();
    await page.locator(".paper").getByText("They fetch her").waitFor();
    await page.getByRole("checkbox", { name: /I have read/ }).check();
    await page.getByRole("button", { name: /Sign and file/ }).click();
    await sign(page);
    await page.locator('.steps[data-state="filed"]').waitFor({ timeout: 60_000 });
    await house.open(page, "chart", former.export);
    await page.getByText("A later filing stands in its place.").waitFor();
    await page.context().close();
});

test("a file is drafted, shown, signed for, and downloaded as often as it is wanted", async () => {
    const page = await chart("maja", { bypassCSP: true });
    await page.getByRole("link", { name: "Make a draft" }).click();
    await page.getByLabel("Receiver").last().selectOption({ label: "To read in a browser" });
    await page.getByRole("textbox", { name: "Medicines at home" }).fill("Half the dose for now");
    await page.getByRole("button", { name: "Show it as it will be filed" }).click();
    await page.getByRole("heading", { name: "A download (html)" }).waitFor();
    await page.locator(".paper").getByText("Half the dose for now").waitFor();
    await page.getByRole("checkbox", { name: /I have read/ }).check();
    await page.getByRole("button", { name: /Sign for \d+ entries/ }).click();
    await page.getByRole("dialog").getByText("It is sent to nobody").waitFor();
    await sign(page);
    await page.locator('.steps[data-state="attested"] [aria-current]', { hasText: "To be downloaded" }).waitFor();
    await judge(page, "a file that is signed for");
    for (let times = 0; times < 2; times += 1) {
        await page.locator(".right2").getByRole("button", { name: "Download" }).click();
        const dialog = page.getByRole("dialog");
        await dialog.getByLabel("Your password, again").fill(PASSWORD);
        const [file] = await Promise.all([page.waitForEvent("download"), dialog.getByRole("button", { name: "Download" }).click()]);
        const at = join(folder, file.suggestedFilename());
        await file.saveAs(at);
        const words = readFileSync(at, "utf8");
        assert.match(words, /Half the dose for now/);
        assert.match(words, /Attested by .*Maja Lindqvist/);
        await page.getByText(/^Downloaded: \d+ entries\.$/).waitFor();
    }
    await page.context().close();
});

test("who has to enter the password before they read is asked for it, and reads", async () => {
    const { export: id } = await house.run("maja", "export.draft", { patient: house.ward.patient, target: "drop" });
    const page = await chart("maja");
    // As for a record officer who signed in a while ago.
    const path = `**/v1/patients/${house.ward.patient}/exports`;
    let asked = 0;
    await page.route(path, (route) => ((asked += 1) > 1 ? route.continue() : route.fulfill({ status: 403, contentType: "application/problem+json", body: JSON.stringify({ code: "forbidden", title: "No" }) })));
    await house.open(page, "chart", id);
    await page.getByText("It is for you only after your password, entered again.").waitFor();
    assert.equal(await page.getByText("Nobody has attested this.").count(), 0);
    await page.getByRole("button", { name: "Show it" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Your password, again").fill(PASSWORD);
    await dialog.getByRole("button", { name: "Show it" }).click();
    await page.getByText("Nobody has attested this.").waitFor();
    await house.run("maja", "export.withdraw", { export: id, reason: "Only looked at" });
    await page.context().close();
});

test("a receiver's no is shown in its own words, as text, and what failed is tried again", async () => {
    refusal = `No such ward ${HOSTILE}`;
    const page = await chart("maja", { bypassCSP: true });
    await page.getByRole("link", { name: "Make a draft" }).click();
    await page.getByLabel("Receiver").last().selectOption("ehr");
    await page.getByRole("button", { name: "Show it as it will be filed" }).click();
    await page.locator(".paper").getByText("The list says 1000 mg").waitFor();
    await page.getByRole("checkbox", { name: /I have read/ }).check();
    await page.getByRole("button", { name: /Sign and file/ }).click();
    await sign(page);
    await page.locator("[data-outcome]", { hasText: "No such ward <img" }).waitFor({ timeout: 60_000 });
    assert.equal(await page.locator("[data-outcome] img").count(), 0);
    await judge(page, "not taken");
    refusal = "Still no such ward";
    await page.getByRole("button", { name: "Try again" }).click();
    await page.locator("[data-outcome]", { hasText: "Still no such ward" }).waitFor({ timeout: 60_000 });
    await page.context().close();
});

test("a record is downloaded for a password; its proof holds in the browser, and one changed byte is named", async () => {
    const page = await chart("maja", { bypassCSP: true });
    const take = async (form) => {
        await page.getByRole("button", { name: "Download…" }).click();
        const dialog = page.getByRole("dialog");
        await dialog.getByLabel(form).check();
        await dialog.getByRole("button", { name: "Download" }).click();
        await dialog.getByRole("alert").getByText("Enter your password.").waitFor();
        await dialog.getByLabel("Your password, again").fill(PASSWORD);
        const [file] = await Promise.all([page.waitForEvent("download"), dialog.getByRole("button", { name: "Download" }).click()]);
        const at = join(folder, file.suggestedFilename());
        await file.saveAs(at);
        await page.getByText(/^Downloaded: \d+ entries\.$/).waitFor();
        return at;
    };
    await page.getByRole("button", { name: "Download…" }).click();
    await judge(page, "downloading");
    await page.keyboard.press("Escape");
    assert.match(readFileSync(await take("To read in a browser"), "utf8"), /The list says 1000 mg/);
    assert.equal(readFileSync(await take("To print or send (PDF)")).subarray(0, 5).toString(), "%PDF-");
    const proof = await take("Proof that nothing was changed");
    assert.ok(!/Okafor|Ruth/i.test(proof), "no name in a folder of downloads");

    await page.getByRole("link", { name: "Check a proof" }).click();
    await page.getByLabel("An archive (.tar)").setInputFiles(proof);
    await page.getByRole("button", { name: "Check it" }).click();
    await page.getByText("Complete and unaltered up to").waitFor();
    await page.getByText("The key came with the proof").waitFor();
    await judge(page, "a proof that holds");
    const bytes = readFileSync(proof);
    const at = bytes.indexOf('"body":"') + 20;
    bytes[at] = bytes[at] === 65 ? 66 : 65;
    const changed = join(folder, "changed.tar");
    writeFileSync(changed, bytes);
    await page.getByLabel("An archive (.tar)").setInputFiles(changed);
    await page.getByRole("button", { name: "Check it" }).click();
    await page.getByText(/It does not hold: \d+ faults?\./).waitFor();
    await page.getByText(/channel [0-9a-f-]+ seq \d+: the content is not what was committed to/).waitFor();
    writeFileSync(changed, bytes.subarray(0, 5_000));
    await page.getByLabel("An archive (.tar)").setInputFiles(changed);
    await page.getByRole("button", { name: "Check it" }).click();
    await page.getByText("This is no proof that can be read").waitFor();
    // Whoever took it out is still signed in as before.
    await page.getByText("Live. Everything is up to date.").first().waitFor();
    await page.context().close();
});

test("axe-core finds nothing in the dark and on a phone, nothing scrolls sideways, and keys alone sign", async () => {
    const { exports } = await house.run("maja", "export.list", { patient: house.ward.patient });
    for (const more of [{ colorScheme: "dark" }, { width: 390, height: 780 }]) {
        const page = await chart("maja", { ...more, bypassCSP: true });
        for (const id of ["", "new", ...exports.slice(0, 3).map((one) => one.export)]) {
            await house.open(page, "chart", id);
            await page.locator(id === "" ? "table.gaps" : id === "new" ? "form.draft-form" : ".paper").waitFor();
            await judge(page, `chart ${id}, ${JSON.stringify(more)}`);
            for (const width of more.width ? [320, 390, 720, 1024] : []) {
                await page.setViewportSize({ width, height: 780 });
                await sideways(page, `chart ${id} at ${width}`);
            }
            if (more.width) await page.setViewportSize({ width: 390, height: 780 });
        }
        await page.evaluate(() => (location.hash = "#/verify"));
        await page.getByText("nothing leaves this computer").waitFor();
        await judge(page, "verify");
        if (more.width) await sideways(page, "verify");
        await page.context().close();
    }
    const page = await chart("tomasz");
    await page.getByRole("link", { name: "Make a draft" }).focus();
    await page.keyboard.press("Enter");
    await page.getByLabel("Receiver").last().selectOption("drop");
    await page.getByRole("button", { name: "Show it as it will be filed" }).focus();
    await page.keyboard.press("Enter");
    await page.locator(".paper .transcript h3").first().waitFor();
    await page.getByRole("checkbox", { name: /I have read/ }).focus();
    await page.keyboard.press("Space");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.getByLabel("Your password, again").focus();
    await page.keyboard.type(PASSWORD);
    await page.keyboard.press("Enter");
    await page.locator('.steps[data-state="filed"]').waitFor({ timeout: 60_000 });
    await page.context().close();
});
