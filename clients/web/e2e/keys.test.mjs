// The rest of the house: notices, what a browser keeps, zoom, and every flow by keys alone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { judge, sideways } from "./axe.mjs";
import { House, PASSWORD } from "./house.mjs";

const house = House.forAll({
    ready: async (house, { staff, shared, items }) => {
        await house.run("tomasz", "message.post", { channel: staff, item: items.ride, text: "Nobody can drive her" });
        await house.run("tomasz", "message.post", { channel: shared, item: items.ride, text: "We look for a ride" });
        await house.run("maja", "note.open", { channel: staff, item: items.ride, medium: "phone", with: [{ name: "RightStep" }] });
        house.task = (await house.run("tomasz", "task.create", { channel: staff, item: items.ride, title: "Call CityRide", owner: house.people.maja.id })).id;
    },
});

/** A page whose notices of the system and tones are counted instead of shown. */
async function counted(handle) {
    const page = await house.visit({ bypassCSP: true });
    await page.addInitScript(() => {
        window.__asked = 0;
        window.__notices = [];
        window.__tones = 0;
        let permission = localStorage.getItem("test.permission") ?? "default";
        window.Notification = class {
            static get permission() {
                return permission;
            }
            static async requestPermission() {
                window.__asked += 1;
                localStorage.setItem("test.permission", (permission = "granted"));
                return permission;
            }
            constructor(title, options) {
                window.__notices.push([title, options]);
            }
            close() {}
        };
        const start = OscillatorNode.prototype.start;
        OscillatorNode.prototype.start = function (...given) {
            window.__tones += 1;
            return start.apply(this, given);
        };
        // Somebody looks elsewhere.
        document.hasFocus = () => false;
    });
    await page.reload();
    await house.enter(page, handle);
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await page.getByText("Live. Everything is up to date.", { exact: true }).first().waitFor();
    return page;
}

test("notices are offered after the first thing that asks for one, never before, and say nothing of anybody", async () => {
    const page = await counted("maja");
    const { staff, items } = house.ward;
    const say = (more) => house.run("tomasz", "message.post", { channel: staff, item: items.ride, text: "Glucose 2.1, she is cold", ...more });
    await say({});
    await page.waitForFunction(() => document.title.startsWith("("));
    assert.equal(await page.getByText("Shall this computer tell you").count(), 0, "an ordinary message asks for nothing");
    await say({ mentions: [house.people.maja.id] });
    await page.getByText("Shall this computer tell you").waitFor();
    assert.deepEqual(await page.evaluate(() => [window.__asked, window.__notices]), [0, []]);
    await judge(page, "notices offered");
    await page.getByRole("button", { name: "Yes, tell me" }).click();
    await page.getByText("Shall this computer tell you").waitFor({ state: "detached" });
    assert.equal(await page.evaluate(() => window.__asked), 1);
    await say({ priority: "urgent" });
    await page.waitForFunction(() => window.__notices.length === 1);
    await say({ mentions: [house.people.maja.id] });
    await page.waitForFunction(() => window.__notices.length === 2);
    const notices = await page.evaluate(() => window.__notices);
    assert.deepEqual(notices.map(([title]) => title), ["Something urgent waits in Carethread", "Something waits for you in Carethread"]);
    assert.ok(!/Ruth|Okafor|Glucose|Tomasz|ride/i.test(JSON.stringify(notices)));

    // The tone is off until it is turned on, and for stat alone.
    assert.equal(await page.evaluate(() => window.__tones), 0);
    await page.getByRole("link", { name: "Settings" }).first().click();
    await page.getByLabel("One soft tone for stat messages").check();
    await page.waitForFunction(() => window.__tones === 1);
    await say({ priority: "urgent" });
    await page.waitForFunction(() => window.__notices.length === 3);
    await say({ priority: "stat" });
    await page.waitForFunction(() => window.__notices.length === 4 && window.__tones === 2);
    await judge(page, "settings with notices");
    await page.getByLabel("Tell me when something waits").uncheck();
    await page.getByLabel("One soft tone for stat messages").uncheck();
    await say({ priority: "stat" });
    await house.open(page, "messages", staff);
    await page.locator("article.msg", { hasText: "Glucose" }).last().waitFor();
    assert.deepEqual(await page.evaluate(() => [window.__notices.length, window.__tones]), [4, 2]);
    await page.context().close();
});

test("a notice that is pressed brings the page to the front, or opens one without anything of a record in its address", async () => {
    const page = await house.signIn("maja");
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await page.context().grantPermissions(["notifications"]);
    const worker = page.context().serviceWorkers()[0] ?? (await page.context().waitForEvent("serviceworker"));
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
    await house.open(page, "messages", house.ward.staff);
    const press = (left) =>
        worker.evaluate(async (left) => {
            const done = [];
            WindowClient.prototype.focus = async () => done.push("focus");
            Clients.prototype.openWindow = async (address) => done.push(address);
            if (left) Clients.prototype.matchAll = async () => [];
            await self.registration.showNotification("Something waits", { tag: "carethread" });
            const [notification] = await self.registration.getNotifications();
            const event = new NotificationEvent("notificationclick", { notification });
            const waited = [];
            event.waitUntil = (what) => waited.push(what);
            self.dispatchEvent(event);
            await Promise.all(waited);
            return [done, (await self.registration.getNotifications()).length];
        }, left);
    assert.deepEqual(await press(false), [["focus"], 0]);
    assert.deepEqual(await press(true), [[`https://localhost:${house.page.port}/`], 0]);
    await page.context().close();
});

test("a muted space calls for nothing but what is urgent", async () => {
    const page = await counted("maja");
    await page.evaluate(() => {
        localStorage.setItem("test.permission", "granted");
        localStorage.setItem("carethread.settings", JSON.stringify({ notices: "on" }));
    });
    await page.reload();
    await page.getByText("Live. Everything is up to date.", { exact: true }).first().waitFor();
    const { staff, items } = house.ward;
    await house.run("maja", "channel.mute", { channel: staff, muted: true });
    await house.run("tomasz", "message.post", { channel: staff, item: items.ride, text: "Quiet", mentions: [house.people.maja.id] });
    await house.run("tomasz", "message.post", { channel: staff, item: items.ride, text: "Loud", priority: "urgent" });
    await page.waitForFunction(() => window.__notices.length > 0);
    assert.deepEqual(await page.evaluate(() => window.__notices.map(([title]) => title)), ["Something urgent waits in Carethread"]);
    await house.run("maja", "channel.mute", { channel: staff, muted: false });
    await page.context().close();
});

test("after signing out nothing of anybody is left in the browser: no database, no cache, no storage, no screen", async () => {
    const page = await house.signIn("maja");
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await page.evaluate(async () => void (await navigator.serviceWorker.ready));
    for (const [tab, words] of [["messages", "staff only."], ["plan", "Always there"], ["board", "Loose ends"], ["team", "Who answers for what now"]]) {
        await house.open(page, tab, tab === "messages" ? house.ward.staff : undefined);
        await page.locator("main").getByText(words).first().waitFor();
    }
    await page.evaluate(() => (location.hash = "#/print"));
    await page.getByRole("button", { name: "Make the sheets" }).click();
    await page.getByText("ready to print").waitFor();
    await page.evaluate(() => (location.hash = "#/search"));
    await page.getByLabel("Words that were said").fill("drive");
    await page.keyboard.press("Enter");
    await page.getByText("found").first().waitFor();
    await house.open(page, "messages", house.ward.staff);
    await page.locator(".compose textarea").fill("Half a sentence about potass");
    await page.waitForTimeout(600);
    await page.evaluate(async () => void (await (await caches.open("another")).put("/x", new Response("Ruth Okafor"))));
    await page.getByRole("button", { name: "Step away" }).first().click();
    await page.getByRole("button", { name: "Sign out, keep nothing" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await page.waitForTimeout(500);
    const left = await page.evaluate(async () => {
        const text = (value) => JSON.stringify(value, (_, one) => (one instanceof Uint8Array ? new TextDecoder().decode(one) : one instanceof CryptoKey ? "a key" : one));
        const stores = [];
        for (const { name } of await indexedDB.databases()) {
            const base = await new Promise((done) => (indexedDB.open(name).onsuccess = ({ target }) => done(target.result)));
            for (const store of base.objectStoreNames) stores.push(...(await new Promise((done) => (base.transaction(store).objectStore(store).getAll().onsuccess = ({ target }) => done(target.result)))));
            base.close();
        }
        const kept = [];
        for (const name of await caches.keys()) for (const one of await (await caches.open(name)).keys()) kept.push(await (await (await caches.open(name)).match(one)).text());
        return { stores: text(stores), kept: kept.join("\n"), names: await caches.keys(), local: text({ ...localStorage }), tab: text({ ...sessionStorage }), screen: document.documentElement.outerHTML, address: location.href, cookies: document.cookie };
    });
    assert.deepEqual([left.stores, left.tab, left.cookies], ["[]", "{}", ""]);
    assert.ok(left.names.every((name) => name.startsWith("carethread-shell-")), left.names.join(" "));
    for (const [where, text] of Object.entries(left)) assert.ok(!/Okafor|potass|MRN-004711|Lindqvist|Nobody can drive/i.test(String(text)), `${where} has something of somebody`);
    for (const id of [house.ward.patient, house.ward.staff, house.people.maja.id]) assert.ok(!JSON.stringify(left).includes(id), "no id is left");
    await page.context().close();
});

const PAGES = () => [
    ["#/", "Waits for you"], ["#/mine", "Your tasks at all patients"], ["#/settings", "Where you are signed in"], ["#/search", "Words that were said"], ["#/print", "Make the sheets"],
    [house.patient("messages", house.ward.staff), "staff only."], [house.patient("messages", house.ward.shared), "family reads this."], [house.patient("plan"), "Always there"],
    [house.patient("plan", house.ward.items.ride), "Everything said and done about it"], [house.patient("board"), "Loose ends"], [house.patient("board", house.task), "What was said about it"],
    [house.patient("note"), "How it will look to others"], [house.patient("team"), "Who answers for what now"], [house.patient("handoff"), "Nothing moves before"],
    [house.patient("checkin", house.ward.staff), "No check-in waits"],
];

/** Whether something can be brought onto the screen with nothing in front of it. */
async function uncovered(page, locator, name) {
    const free = await locator.evaluate((one) => {
        one.scrollIntoView({ block: "center" });
        const { left, top, width, height } = one.getBoundingClientRect();
        const at = document.elementFromPoint(left + width / 2, top + height / 2);
        return at !== null && (one.contains(at) || at.contains(one));
    });
    assert.ok(free, `${name}: it lies under something`);
}

for (const [what, size] of [["200 % zoom", { width: 640, height: 400, deviceScaleFactor: 2 }], ["320 pixels", { width: 320, height: 520 }]]) {
    test(`at ${what} nothing scrolls sideways, nothing is covered, and one can write`, { timeout: 120_000 }, async () => {
        const page = await house.signIn("maja", { ...size, bypassCSP: true });
        await page.getByRole("heading", { name: /Good/ }).waitFor();
        for (const [hash, words] of PAGES()) {
            await page.evaluate((to) => (location.hash = to), hash);
            await page.getByText(words).filter({ visible: true }).first().waitFor();
            await sideways(page, `${hash} at ${what}`);
            const buttons = page.locator("main button:visible, main a.btn:visible");
            if ((await buttons.count()) > 0) await uncovered(page, buttons.last(), `${hash} at ${what}, its last button`);
        }
        await house.open(page, "messages", house.ward.staff);
        await page.locator(".compose .picker > button").click();
        await page.getByRole("combobox", { name: "Search the plan" }).fill("ride");
        await page.keyboard.press("Enter");
        await uncovered(page, page.locator(".compose textarea"), "where one writes");
        await page.locator(".compose textarea").fill(`Written at ${what}`);
        await uncovered(page, page.locator(".compose .send button"), "the button that sends");
        await page.locator(".compose .send button").click();
        await page.locator("article.msg", { hasText: `Written at ${what}` }).waitFor();
        await judge(page, `messages at ${what}`);
        await page.context().close();
    });
}

for (const colorScheme of ["light", "dark"]) {
    test(`axe-core finds nothing on the new pages, ${colorScheme}`, async () => {
        const page = await house.signIn("maja", { colorScheme, bypassCSP: true });
        await page.getByRole("heading", { name: /Good/ }).waitFor();
        for (const [hash, words] of [["#/settings", "Where you are signed in"], ["#/print", "Make the sheets"], [house.patient("team"), "Who answers for what now"], [house.patient("checkin", house.ward.staff), "This space has no check-ins."], ["#/misplaced", "Messages that went to the wrong patient"]]) {
            await page.evaluate((to) => (location.hash = to), hash);
            await page.getByText(words).filter({ visible: true }).first().waitFor();
            await judge(page, `${hash}, ${colorScheme}`);
        }
        await house.open(page, "team");
        for (const [button, words] of [["Add somebody", "Two letters or more."], [/^Change/, "Answers for"], [/Somebody stands in/, "It ends by itself."], [/Take off the team/, "They will not read this record any more"]]) {
            await page.getByRole("button", { name: button }).first().click();
            await page.getByRole("dialog").getByText(words, { exact: false }).first().waitFor();
            await judge(page, `${button}, ${colorScheme}`);
            await page.keyboard.press("Escape");
            await page.getByRole("dialog").waitFor({ state: "detached" });
        }
        await page.context().close();
    });
}

/** Goes on by Tab until the focus is on what is called that. */
async function reach(page, words, key = "Tab") {
    const seen = [];
    for (let step = 0; step < 300; step += 1) {
        if (step > 0) await page.keyboard.press(key);
        const name = await page.evaluate(() => {
            const on = document.activeElement;
            // What scrolls can be reached too, and holds all there is: it is nobody's name.
            if (!on || !/^(A|BUTTON|INPUT|TEXTAREA|SELECT|SUMMARY)$/.test(on.tagName)) return on?.tagName ?? "";
            return on.getAttribute("aria-label") || on.labels?.[0]?.innerText || on.innerText || on.getAttribute("placeholder") || on.tagName;
        });
        seen.push(name.slice(0, 40).replaceAll("\n", " "));
        if (typeof words === "string" ? name.includes(words) : words.test(name)) return;
    }
    throw new Error(`no Tab leads to ${words}: ${[...new Set(seen)].join(" | ")}`);
}

test("every flow is walked by keys alone", { timeout: 400_000 }, async () => {
    const { staff } = house.ward;
    const next = new Date(Date.now() + 61_000);
    await house.run("maja", "checkin.schedule", { channel: staff, rrule: `FREQ=DAILY;BYHOUR=${next.getUTCHours()};BYMINUTE=${next.getUTCMinutes()}`, zone: "UTC", questions: ["What has changed?", "What worries you?"], close_minutes: 60 });
    const page = await house.visit();
    await page.addInitScript(() => addEventListener("pointerdown", () => (window.__pointed = true), true));
    await page.reload();
    const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
    const type = (words) => page.keyboard.type(words);
    const go = async (words) => {
        await reach(page, words);
        await press("Enter");
    };
    // As the record has it: what is on its way still is drawn anew when it is stored, and loses the focus.
    const message = (text) => page.locator("article.msg:not(.pending)", { hasText: text });

    // Signing in.
    await page.getByLabel("User name").waitFor();
    await reach(page, "User name");
    await type("maja");
    await reach(page, /^Password/);
    await type(PASSWORD);
    await press("Enter");
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await page.getByRole("link", { name: /OKAFOR/ }).first().waitFor();
    // A patient.
    await go("OKAFOR, Ruth");
    await page.waitForFunction(() => document.activeElement?.tagName === "H1");
    await page.locator(".compose").waitFor();
    // Posting.
    await press("i");
    await type("ride");
    await press("Enter");
    await page.waitForFunction(() => document.activeElement?.tagName === "TEXTAREA");
    await type("By keys alone");
    await press("Control+Enter");
    await message("By keys alone").waitFor();
    // Answering: back into the messages, to the last one, and r.
    for (let step = 0; step < 40 && !(await page.evaluate(() => document.activeElement?.closest(".feed") !== null)); step += 1) await press("Shift+Tab");
    for (let step = 0; step < 30 && !(await page.evaluate(() => document.activeElement?.innerText.includes("By keys alone"))); step += 1) await press("j");
    assert.equal(await page.evaluate(() => document.activeElement?.tagName), "ARTICLE");
    await press("r");
    await page.waitForFunction(() => document.activeElement?.tagName === "TEXTAREA");
    await type("Answered by keys");
    await press("Control+Enter");
    await message("Answered by keys").getByText("In answer to you").waitFor();
    // A task, and its way over the board.
    await page.keyboard.press("Escape");
    await go(/^Board/);
    await go("New task");
    await page.getByRole("dialog").waitFor();
    await reach(page, "What is to be done");
    await type("Order the frame");
    await go("Choose what it is about");
    await type("ride");
    await press("Enter");
    await go("Make the task");
    await page.locator("article.task", { hasText: "Order the frame" }).waitFor();
    await reach(page, /Move to: Order the frame/);
    await press("ArrowDown", "Enter");
    await page.locator('[data-lane="doing"], [data-lane="todo"], [data-lane="held"], [data-lane="done"]').locator("article.task", { hasText: "Order the frame" }).waitFor();
    // A handoff.
    await go("Hand over");
    await page.getByText("Nothing moves before").waitFor();
    await reach(page, "To whom?");
    await type("Tomasz");
    await reach(page, "What happened so far");
    await type("Up since Monday");
    await reach(page, "What is to be done");
    await type("The walking frame");
    await reach(page, "What may happen");
    await type("Dizzy in the morning");
    await go("Offer the handoff");
    await page.getByText("Handoff not accepted").waitFor();
    // What was said elsewhere.
    await go(/^Messages/);
    await page.locator(".compose").waitFor();
    await go("I am calling…");
    await page.getByText("How it will look to others").waitFor();
    await reach(page, /^Name/);
    await type("Ines Calder");
    await go("Add this person");
    await reach(page, "What was said");
    await type("They fetch her at nine");
    await go(/Choose what it is about|change/);
    await type("ride");
    await press("Enter");
    await go(/^Write it down/);
    await page.locator(".feed article.slip", { hasText: "They fetch her at nine" }).waitFor();
    // Searching.
    await page.evaluate(() => document.activeElement?.blur());
    await press("/");
    await page.getByRole("heading", { name: "Search" }).waitFor();
    await page.waitForFunction(() => document.activeElement?.id === "search");
    await type("keys");
    await press("Enter");
    await page.getByText(/\d found/).first().waitFor();
    await go(/^Open/);
    await message("keys").first().waitFor();
    // Muting a space.
    await go(/^Mute/);
    await go("Mute it");
    await page.getByRole("button", { name: "Muted" }).waitFor();
    // The check-in, as soon as the server asks.
    await page.getByRole("link", { name: /Answer the check-in/ }).waitFor({ timeout: 150_000 });
    await go("Answer the check-in");
    await reach(page, "What has changed?");
    await type("She walks");
    await reach(page, "What worries you?");
    await type("The mornings");
    await go("Send my answers");
    await page.getByText("You answered the check-in: She walks · The mornings").waitFor();
    // The settings: colours by the arrows.
    await go("Settings");
    await page.getByText("Where you are signed in").waitFor();
    await reach(page, "As the system");
    await press("ArrowRight", "ArrowRight");
    await page.waitForFunction(() => document.documentElement.dataset.theme === "dark");
    // And out.
    await go("Step away");
    await page.getByRole("dialog").waitFor();
    await go("Sign out, keep nothing");
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    assert.equal(await page.evaluate(() => window.__pointed), undefined, "no pointer was used");
    await page.context().close();
});
