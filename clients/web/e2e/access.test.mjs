// Everybody can use it: judged by axe-core, by width, and by keys alone.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { House } from "./house.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"];
const house = House.forAll({
    ready: async (house, { staff, shared, items }) => {
        await house.run("tomasz", "message.post", { channel: staff, item: items.ride, text: "Nobody can drive her" });
        await house.run("tomasz", "message.post", { channel: staff, item: items.pills, sbar: { situation: "The list says 1000 mg", background: "Held", assessment: "Too much", recommendation: "500 mg" }, priority: "stat", ask: "check_back" });
        await house.run("tomasz", "message.post", { channel: shared, item: items.ride, text: "We look for a ride" });
        await house.run("tomasz", "note.log", { channel: staff, item: items.ride, medium: "phone", held_at: new Date(Date.now() - 7_200_000).toISOString(), with: [{ name: "Ines Calder", role: "dispatcher" }], text: "They fetch her", decisions: ["Booked"] });
        await house.run("maja", "note.open", { channel: staff, item: items.ride, medium: "phone", with: [{ name: "RightStep" }] });
        house.task = (await house.run("tomasz", "task.create", { channel: staff, item: items.ride, title: "Call CityRide about a day that has a rather long title", owner: house.people.maja.id, due: new Date(Date.now() - 3_600_000).toISOString(), priority: "urgent", checklist: ["One", { text: "Two", done: true }] })).id;
        const ipass = { illness_severity: "watcher", patient_summary: "Up", action_list: ["Frame"], situation_awareness: "Dizzy in the morning" };
        house.handoff = (await house.run("tomasz", "handoff.offer", { patient: house.ward.patient, to: house.people.maja.id, ipass })).id;
    },
});

/** Every page there is, and what has to be on it before it is judged. */
const pages = () => [
    ["start", "#/", "Waits for you"],
    ["my board", "#/mine", "Your tasks at all patients"],
    ["settings", "#/settings", "Where you are signed in"],
    ["search", "#/search", "Words that were said"],
    ["messages", house.patient("messages", house.ward.staff), "staff only."],
    ["shared", house.patient("messages", house.ward.shared), "We look for a ride"],
    ["plan", house.patient("plan"), "Always there"],
    ["item", house.patient("plan", house.ward.items.ride), "Everything said and done about it"],
    ["board", house.patient("board"), "Loose ends"],
    ["task", house.patient("board", house.task), "What was said about it"],
    ["note", house.patient("note"), "How it will look to others"],
    ["team", house.patient("team"), "Ward nurse"],
    ["handoff", house.patient("handoff"), "Nothing moves before"],
    ["handoff to read", house.patient("handoff", house.handoff), "Dizzy in the morning"],
    ["check-in", house.patient("checkin", house.ward.staff), "No check-in waits"],
];

async function judge(page, name) {
    // Where a space opens depends on what was read: rows are there, whichever they are.
    if (name.startsWith("messages")) await page.locator(".feed .run-row").first().waitFor();
    // Colours on their way from one to the other have no contrast of their own.
    await page.waitForTimeout(250);
    await page.evaluate(AXE);
    const { violations } = await page.evaluate((tags) => window.axe.run(document, { runOnly: tags }), TAGS);
    const said = violations.map(({ id, nodes }) => `${name}: ${id}: ${nodes.slice(0, 3).map(({ target, failureSummary }) => `${target} ${failureSummary}`).join(" | ")}`);
    assert.deepEqual(said, []);
}

async function visit(page, hash, words) {
    await page.evaluate((to) => (location.hash = to), hash);
    await page.getByText(words, { exact: false }).filter({ visible: true }).first().waitFor();
}

for (const colorScheme of ["light", "dark"]) {
    test(`axe-core finds nothing on any page, ${colorScheme}`, async () => {
        const page = await house.visit({ colorScheme, bypassCSP: true });
        await page.getByLabel("User name").waitFor();
        await judge(page, "sign-in");
        await house.enter(page, "maja");
        for (const [name, hash, words] of pages()) {
            await visit(page, hash, words);
            await judge(page, name);
        }
        await visit(page, house.patient("board"), "Loose ends");
        await page.getByRole("button", { name: "New task" }).click();
        await judge(page, "new task");
        await page.keyboard.press("Escape");
        await visit(page, house.patient("plan"), "Always there");
        await page.getByRole("button", { name: "Add to the plan" }).click();
        await judge(page, "new item");
        await page.keyboard.press("Escape");
        await page.getByRole("button", { name: "Step away" }).first().click();
        await judge(page, "leaving");
        await page.context().close();
    });
}

test("axe-core finds nothing on the pages of the family", async () => {
    const page = await house.visit({ width: 390, height: 780, bypassCSP: true });
    await house.enter(page, "ada");
    await page.getByText("Waits for you").first().waitFor();
    for (const [tab, words] of [["messages", "We look for a ride"], ["plan", "shared with you"]]) {
        await visit(page, house.patient(tab), words);
        await judge(page, `family ${tab}`);
    }
    await page.context().close();
});

test("nothing scrolls sideways at 320, 390, 720 and 1024 pixels, and axe-core finds nothing on a phone", async () => {
    const page = await house.visit({ width: 390, height: 780, bypassCSP: true });
    await house.enter(page, "maja");
    await page.getByText("Waits for you").first().waitFor();
    for (const [name, hash, words] of pages()) {
        await page.setViewportSize({ width: 390, height: 780 });
        await visit(page, hash, words);
        await judge(page, `${name}, phone`);
        for (const width of [320, 390, 720, 1024]) {
            await page.setViewportSize({ width, height: 780 });
            const [wide, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
            assert.ok(wide <= screen, `${name} at ${width}: ${wide} > ${screen}`);
        }
    }
    await page.context().close();
});

test("a message is written, and a task moved, by keys alone", async () => {
    const page = await house.signIn("maja");
    await page.getByText("Waits for you").first().waitFor();
    await page.keyboard.press("?");
    await page.getByRole("dialog").getByText("Next and previous message", { exact: false }).waitFor();
    await page.keyboard.press("Escape");
    await house.open(page, "messages", house.ward.staff);
    await page.locator(".compose").waitFor();
    await page.keyboard.press("i");
    await page.keyboard.type("ride");
    await page.keyboard.press("Enter");
    await page.keyboard.type("By keys alone");
    await page.keyboard.press("Control+Enter");
    await page.locator("article.msg", { hasText: "By keys alone" }).waitFor();
    await page.keyboard.press("g");
    await page.locator("body").press("g");
    await house.open(page, "board");
    const move = page.getByLabel(/Move to: Call CityRide/);
    await move.focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.locator('[data-lane="todo"]').locator("article.task", { hasText: "Call CityRide" }).waitFor();
    await page.context().close();
});
