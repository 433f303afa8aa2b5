// On paper: no frame of the page, the band on every sheet, every row; and the sheets for a downtime. PDFTOTEXT names the program that reads them.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { judge } from "./axe.mjs";
import { House } from "./house.mjs";

const PDFTOTEXT = process.env.PDFTOTEXT ?? "pdftotext";
const LINES = 60;
let other;
const house = House.forAll({
    ready: async (house, { staff, items }) => {
        other = (await house.run("maja", "patient.register", { name: "Rutendo Okafor", birth_date: "1951-04-14" })).patient;
        for (let at = 0; at < LINES; at += 1) await house.run("tomasz", "message.post", { channel: staff, item: items.ride, text: `Line number ${at}.` });
        for (let at = 0; at < 40; at += 1) await house.run("tomasz", "task.create", { channel: staff, item: items.ride, title: `Task number ${at}.`, owner: house.people.maja.id, checklist: ["Ring", { text: "Write", done: true }] });
        await house.run("maja", "note.open", { channel: staff, item: items.ride, medium: "phone", with: [{ name: "RightStep" }] });
    },
});

/** The words of each sheet. */
async function sheets(page, name) {
    const path = join(house.folder, `${name}.pdf`);
    await page.pdf({ path, format: "A4" });
    const read = spawnSync(PDFTOTEXT, ["-layout", path, "-"], { encoding: "utf8" });
    assert.equal(read.status, 0, `${PDFTOTEXT}: ${read.error ?? read.stderr}`);
    return read.stdout.split("\f").filter((sheet) => sheet.trim() !== "");
}

async function signedIn() {
    const page = await house.signIn("maja", { bypassCSP: true });
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    return page;
}

test("a conversation is printed whole, with the band on every sheet and nothing of the frame", async () => {
    const page = await signedIn();
    await house.open(page, "messages", house.ward.staff);
    await page.locator(".feed .run-row").first().waitFor();
    const all = await sheets(page, "messages");
    assert.ok(all.length > 1);
    for (const [at, sheet] of all.entries()) assert.match(sheet, /OKAFOR, Ruth[\s\S]*14-Aug-1951/, `sheet ${at + 1} says whose it is`);
    const text = all.join("");
    for (let at = 0; at < LINES; at += 1) assert.ok(text.includes(`Line number ${at}.`), `line ${at} is on paper`);
    for (const word of ["Step away", "Send to staff", "My board", "Mute"]) assert.ok(!text.includes(word), word);
    // Back on the screen only what is looked at is drawn.
    await page.waitForFunction((lines) => document.querySelectorAll("article.msg").length < lines, LINES);
    await page.context().close();
});

test("every page prints without its frame, and fits the sheet", async () => {
    const page = await signedIn();
    const pages = [
        ["#/", "My patients"], ["#/mine", "Your tasks at all patients"], ["#/search", "Words that were said"], ["#/settings", "Where you are signed in"],
        [house.patient("messages", house.ward.shared), "Today"], [house.patient("plan"), "Always there"], [house.patient("plan", house.ward.items.ride), "Everything said and done about it"],
        [house.patient("board"), "Loose ends"], [house.patient("team"), "Who answers for what now"], [house.patient("note"), "How it will look to others"],
        [house.patient("handoff"), "Nothing moves before"], [house.patient("checkin", house.ward.staff), "No check-in waits"],
    ];
    // A4 without its margins.
    await page.setViewportSize({ width: 718, height: 1_000 });
    for (const [hash, words] of pages) {
        await page.emulateMedia({ media: "screen" });
        await page.evaluate((to) => (location.hash = to), hash);
        await page.getByText(words).filter({ visible: true }).first().waitFor();
        await page.emulateMedia({ media: "print" });
        const seen = await page.evaluate(() => ({
            frame: [...document.querySelectorAll(".bar, .dock, .tabs, .compose, .skip, main button")].filter((one) => one.checkVisibility()).map((one) => one.className || one.textContent),
            wide: document.documentElement.scrollWidth,
            main: document.querySelector("main")?.getBoundingClientRect().height ?? 0,
            band: location.hash.includes("/patient/") ? getComputedStyle(document.querySelector(".zone")).display : "",
        }));
        assert.deepEqual(seen.frame, [], `${hash} prints its frame`);
        assert.ok(seen.wide <= 718, `${hash} is ${seen.wide} wide`);
        assert.ok(seen.main > 50, `${hash} prints nothing`);
        if (seen.band) assert.equal(seen.band, "table-header-group", hash);
    }
    await page.context().close();
});

test("the sheets for a downtime have tasks, plan and team of each patient, each with its own band", async () => {
    const page = await signedIn();
    await page.getByRole("link", { name: "Print for a downtime" }).click();
    await page.getByRole("heading", { name: "Print for a downtime" }).waitFor();
    await page.getByRole("button", { name: "Make the sheets" }).click();
    await page.getByText("2 patients are ready to print.").waitFor();
    await judge(page, "sheets for a downtime");
    const all = await sheets(page, "downtime");
    const ruths = all.filter((sheet) => sheet.includes("OKAFOR, Ruth\n") || /OKAFOR, Ruth\s/.test(sheet));
    const rutendos = all.filter((sheet) => sheet.includes("OKAFOR, Rutendo"));
    assert.ok(ruths.length > 1 && rutendos.length === 1, `${ruths.length} and ${rutendos.length}`);
    assert.equal(ruths.length + rutendos.length, all.length, "no sheet is without a band, and none has two");
    const text = ruths.join("");
    for (let at = 0; at < 40; at += 1) assert.ok(text.includes(`Task number ${at}.`));
    for (const word of ["14-Aug-1951", "MRN-004711", "No ride to appointments", "Maja Lindqvist, Lead, team lead", "Ada Okafor, Daughter (Family)", "RightStep", "Printed by Maja Lindqvist", "Similar name on the list"])
        assert.ok(text.includes(word), word);
    for (const word of ["Make the sheets", "Step away", "My board"]) assert.ok(!all.join("").includes(word), word);
    // Only those that were chosen.
    await page.getByLabel(/OKAFOR, Rutendo/).uncheck();
    await page.getByRole("button", { name: "Make the sheets" }).click();
    await page.getByText("1 patient is ready to print.").waitFor();
    assert.equal(await page.locator(`[data-sheet="${other}"]`).count(), 0);
    await page.context().close();
});
