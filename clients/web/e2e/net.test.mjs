// Bad networks: silent lines, lost answers, a server that goes while somebody types. Nothing is lost, nothing doubled, and each state is said in words.
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { House, PASSWORD } from "./house.mjs";

let alive, dead;
const house = House.forAll({
    ready: async (house) => {
        alive = house.page.target.port;
        // A port where nobody is.
        const server = createServer();
        await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
        dead = server.address().port;
        await new Promise((closed) => server.close(closed));
    },
});

async function begin(page) {
    await house.open(page, "messages", house.ward.staff);
    await page.locator(".compose .picker > button").click();
    await page.getByRole("combobox", { name: "Search the plan" }).fill("ride");
    await page.keyboard.press("Enter");
}

async function write(page, text) {
    await page.locator(".compose textarea").fill(text);
    await page.keyboard.press("Control+Enter");
    await page.waitForFunction(() => document.querySelector(".compose textarea")?.value === "");
}

const waiting = (page) => page.locator("article.pending");
const live = (page) => page.getByText("Live. Everything is up to date.", { exact: true }).first();

/** Sockets go, and new ones find nobody: but the page itself is still to be had. */
function leave() {
    house.page.target.port = dead;
    house.page.cut();
}

for (const [what, both] of [["answers are lost", false], ["nothing goes either way", true]]) {
    test(`a line goes silent for a minute while somebody writes, and ${what}`, { timeout: 120_000 }, async () => {
        const page = await house.signIn("maja");
        await page.getByRole("heading", { name: /Good/ }).waitFor();
        // The page's own clock, so that a minute is over when the test says so.
        await page.clock.install();
        await page.reload();
        await begin(page);
        await live(page).waitFor();
        const before = await house.texts();
        const said = [1, 2, 3].map((n) => `${what} ${n}`);
        house.page.target.port = dead;
        house.page.silence(both);
        for (const text of said) await write(page, text);
        await page.locator(".compose textarea").pressSequentially("Half a sen");
        // The first is on its way, the others wait for it: what is for one place goes in the order it was written.
        await page.locator('[data-write="sent"]').getByText("On its way…").waitFor();
        assert.deepEqual([await page.locator('[data-write="sent"]').count(), await page.locator('[data-write="waiting"]').count()], [1, 2]);
        // A line that says nothing is found out by the page, not by the browser.
        for (let quarter = 0; quarter < 8 && !(await page.getByText(/No connection. What you see is from/).first().isVisible()); quarter += 1) await page.clock.fastForward(15_000);
        await page.getByText(/No connection. What you see is from \d\d:\d\d/).first().waitFor();
        await page.getByText("3 messages are not sent yet.", { exact: false }).first().waitFor();
        await page.clock.fastForward(60_000);
        for (const text of said) await waiting(page).filter({ hasText: text }).getByText("Not sent yet. Kept here until it can be.").waitFor();
        house.page.target.port = alive;
        await page.getByRole("button", { name: "Try now" }).first().click();
        await live(page).waitFor();
        await page.locator("article.msg:not(.pending)", { hasText: said[2] }).waitFor();
        await waiting(page).first().waitFor({ state: "detached" });
        assert.deepEqual((await house.texts()).slice(before.length), said, "in order, each once");
        assert.equal(await page.locator(".compose textarea").inputValue(), "Half a sen");
        const last = page.locator("article.msg", { hasText: said[2] });
        await last.getByText("Stored. Nobody has read it yet.").waitFor();
        const { channels } = await house.run("tomasz", "channel.list", {});
        await house.run("tomasz", "read", { channel: house.ward.staff, seq: channels.find(({ id }) => id === house.ward.staff).last_seq });
        await page.clock.fastForward(21_000);
        await last.getByText(/Read by the other one|Read by/).waitFor();
        await page.locator(".compose textarea").fill("");
        await page.waitForTimeout(500);
        await page.context().close();
    });
}

test("the server is killed and comes back under somebody who types: no letter is lost, and the focus stays", async () => {
    const page = await house.signIn("maja");
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await begin(page);
    const area = page.locator(".compose textarea");
    await area.fill("");
    await area.pressSequentially("She walked ");
    await house.kill();
    house.page.cut();
    await area.pressSequentially("to the door ");
    await page.getByText(/No connection. What you see is from/).first().waitFor();
    await area.pressSequentially("and back");
    await house.start();
    await live(page).waitFor({ timeout: 60_000 });
    assert.equal(await area.inputValue(), "She walked to the door and back");
    await page.keyboard.type(", twice");
    await page.keyboard.press("Control+Enter");
    await page.locator("article.msg:not(.pending)", { hasText: "She walked to the door and back, twice" }).waitFor();
    assert.equal((await house.texts()).filter((text) => text.startsWith("She walked")).length, 1);
    await page.context().close();
});

test("whoever is at a message that waits is at the same one once it is stored", async () => {
    const page = await house.signIn("maja");
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await begin(page);
    await live(page).waitFor();
    leave();
    const text = "Written while nobody heard";
    await write(page, text);
    await waiting(page).filter({ hasText: text }).waitFor();
    // By keys: into the list of messages, and down to the last.
    await page.getByRole("region", { name: "Messages" }).locator("article").last().focus();
    await page.keyboard.press("k");
    for (let at = 0; at < 3; at += 1) await page.keyboard.press("j");
    assert.ok(await page.evaluate(() => document.activeElement.matches("article.pending")));
    house.page.target.port = alive;
    await live(page).waitFor({ timeout: 60_000 });
    await page.locator("article.msg:not(.pending)", { hasText: text }).waitFor();
    await page.waitForFunction((text) => document.activeElement.matches("[data-message]") && document.activeElement.textContent.includes(text), text);
    await page.keyboard.press("Enter");
    await page.locator("article.msg:not(.pending)", { hasText: text }).getByRole("group").waitFor();
    await page.context().close();
});

test("what others said while the line was gone is there when it is back", async () => {
    const page = await house.signIn("maja");
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    // Opened, and nothing has come in it since.
    await begin(page);
    await live(page).waitFor();
    await page.locator(".feed .run-row").first().waitFor();
    leave();
    await page.getByText(/No connection/).first().waitFor();
    await house.run("tomasz", "message.post", { channel: house.ward.staff, item: house.ward.items.ride, text: "Said meanwhile" });
    house.page.target.port = alive;
    // The page tries by itself too, and may be quicker.
    await page.getByRole("button", { name: "Try now" }).first().click({ timeout: 3_000 }).catch(() => undefined);
    await live(page).waitFor();
    await page.locator("article.msg", { hasText: "Said meanwhile" }).waitFor();
    await page.context().close();
});

test("what is not sent survives a reload and an ended session, and opens for nobody else", async () => {
    const page = await house.signIn("maja");
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await begin(page);
    await live(page).waitFor();
    leave();
    await page.getByText(/No connection/).first().waitFor();
    for (const text of ["Unsent one", "Unsent two"]) await write(page, text);
    await waiting(page).filter({ hasText: "Unsent two" }).waitFor();
    await page.waitForTimeout(500);
    await page.reload();
    await page.getByText("2 messages are not sent yet.", { exact: false }).first().waitFor();
    // The session ends as an idle one does, while the line is down.
    await house.run("maja", "session.end", { all: true }).catch(() => undefined);
    house.people.maja.token = (await house.cli("token", "issue", "--user", "maja")).token;
    house.page.target.port = alive;
    await page.getByRole("button", { name: "Try now" }).or(page.getByRole("heading", { name: "Locked" })).first().waitFor();
    await page.getByRole("button", { name: "Try now" }).first().click().catch(() => undefined);
    await page.getByRole("heading", { name: "Locked" }).waitFor({ timeout: 40_000 });
    assert.ok(!(await house.texts()).some((text) => text.startsWith("Unsent")));
    await page.getByRole("button", { name: "I am somebody else" }).click();
    await house.enter(page, "tomasz");
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await house.open(page, "messages", house.ward.staff);
    await live(page).waitFor();
    assert.equal(await waiting(page).count(), 0);
    assert.ok(!(await page.locator("body").innerText()).includes("Unsent"));
    await page.getByRole("button", { name: "Step away" }).first().click();
    await page.getByRole("button", { name: "Sign out, keep nothing" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await page.getByLabel("User name").fill("maja");
    await page.locator("#password").fill(PASSWORD);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await house.open(page, "messages", house.ward.staff);
    await page.locator("article.msg:not(.pending)", { hasText: "Unsent two" }).waitFor();
    assert.deepEqual((await house.texts()).filter((text) => text.startsWith("Unsent")), ["Unsent one", "Unsent two"]);
    await page.context().close();
});

test("the outbox opens again after a change of the password", async () => {
    const page = await house.signIn("tomasz");
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await house.open(page, "messages", house.ward.staff);
    await page.locator(".compose textarea").fill("Begun under the old one");
    await page.waitForTimeout(600);
    const fresh = "broad valleys hold old snow";
    await page.getByRole("button", { name: "Step away" }).first().click();
    await page.getByRole("dialog").getByRole("button", { name: "Step away" }).click();
    await page.getByRole("heading", { name: "Locked" }).waitFor();
    await house.run("tomasz", "password.change", { old: PASSWORD, new: fresh });
    await page.locator("#password").fill(fresh);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await house.open(page, "messages", house.ward.staff);
    await page.waitForFunction(() => document.querySelector(".compose textarea")?.value === "Begun under the old one");
    await page.context().close();
});

test("without a server the page itself still opens, and says what is the matter; no answer of the server is kept", async () => {
    const page = await house.signIn("maja");
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await page.evaluate(async () => void (await navigator.serviceWorker.ready));
    await house.open(page, "team");
    await page.getByText("Ward nurse").first().waitFor();
    await page.reload();
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
    const kept = await page.evaluate(async () => (await Promise.all((await caches.keys()).map(async (name) => (await (await caches.open(name)).keys()).map(({ url }) => new URL(url).pathname)))).flat());
    assert.ok(kept.includes("/index.html") && kept.includes("/assets/index.js") && kept.includes("/assets/Team.js"), kept.join(" "));
    assert.ok(kept.every((path) => /^\/(assets\/[\w.-]+|index\.html|icon\.svg)$/.test(path)), kept.join(" "));
    house.page.down(true);
    leave();
    await page.reload();
    await page.getByText(/No connection/).first().waitFor({ timeout: 40_000 });
    await page.getByRole("link", { name: "Settings" }).first().click();
    await page.getByRole("heading", { name: "Settings" }).waitFor();
    house.page.down(false);
    house.page.target.port = alive;
    await page.getByRole("button", { name: "Try now" }).first().click();
    await live(page).waitFor({ timeout: 40_000 });
    await page.context().close();
});

test("a new build reaches the browser at the next opening, and the old one goes from its cache", async () => {
    const page = await house.signIn("maja");
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await page.evaluate(async () => void (await navigator.serviceWorker.ready));
    const [before] = await page.evaluate(() => caches.keys());
    // The same files but one, as another build has them.
    const icon = '<svg xmlns="http://www.w3.org/2000/svg"/>';
    house.page.replace("icon.svg", icon);
    await page.reload();
    await page.evaluate(async () => void (await (await navigator.serviceWorker.ready).update()));
    await page.waitForFunction(async (name) => {
        const names = await caches.keys();
        return names.length === 1 && names[0] !== name;
    }, before);
    assert.equal(await page.evaluate(async () => (await fetch("./icon.svg")).text()), icon);
    house.page.replace();
    await page.context().close();
});
