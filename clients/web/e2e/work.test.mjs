import assert from "node:assert/strict";
import { test } from "node:test";
import { House } from "./house.mjs";

const house = House.forAll();

const lane = (page, name) => page.locator(`[data-lane="${name}"]`);

test("the plan is read, added to, changed and closed, each change with its version; the other one sees it live", async () => {
    const [maja, tomasz] = [await house.signIn("maja"), await house.signIn("tomasz")];
    for (const page of [maja, tomasz]) await house.open(page, "plan");
    await maja.getByRole("button", { name: "Add to the plan" }).click();
    const form = maja.getByRole("dialog");
    await form.getByText("barrier", { exact: true }).click();
    await form.getByLabel("Title").fill("Bedroom is upstairs");
    await form.getByRole("button", { name: "Add to the plan" }).click();
    await tomasz.getByRole("link", { name: "Bedroom is upstairs" }).first().click();
    await maja.getByRole("link", { name: "Bedroom is upstairs" }).first().click();
    await maja.getByRole("button", { name: "Change" }).click();
    await maja.getByRole("dialog").getByLabel("Title").fill("Bedroom is upstairs, 14 steps");
    await maja.getByRole("dialog").getByLabel("Owner").selectOption({ label: "Tomasz Nowak" });
    await maja.getByRole("button", { name: "Save the change" }).click();
    await tomasz.getByText("version 2", { exact: true }).waitFor();
    await tomasz.getByText("Waits for you").first().waitFor();
    await tomasz.locator(".diff", { hasText: "14 steps" }).waitFor();
    await tomasz.getByRole("button", { name: "Close" }).click();
    await tomasz.getByRole("dialog").getByRole("textbox").fill("The bed was moved down");
    await tomasz.getByRole("button", { name: "Close this item" }).click();
    await maja.locator("main .flag", { hasText: "closed" }).waitFor();
    await maja.locator("main").getByText("The bed was moved down").waitFor();
    for (const page of [maja, tomasz]) await page.context().close();
});

test("an item shows everything said and done about it, from every space, in one line of time", async () => {
    const { ride } = house.ward.items;
    await house.run("tomasz", "message.post", { channel: house.ward.staff, item: ride, text: "Nobody can drive her" });
    await house.run("tomasz", "message.post", { channel: house.ward.shared, item: ride, text: "We look for a ride" });
    await house.run("tomasz", "task.create", { channel: house.ward.staff, item: ride, title: "Call CityRide" });
    const page = await house.signIn("maja");
    await house.open(page, "plan", ride);
    await page.locator(".say.shared", { hasText: "We look for a ride" }).waitFor();
    const line = await page.locator("ol.line").innerText();
    const order = ["added to the plan", "Nobody can drive her", "We look for a ride", "Call CityRide"].map((words) => line.indexOf(words));
    assert.deepEqual(order, [...order].sort((a, b) => a - b), line);
    assert.ok(order.every((at) => at >= 0), line);
    await page.context().close();
});

test("a task is made, accepted by menu, dragged on, ticked and done; the board of the other follows", async () => {
    const [maja, tomasz] = [await house.signIn("maja"), await house.signIn("tomasz")];
    for (const page of [maja, tomasz]) await house.open(page, "board");
    await maja.getByRole("button", { name: "New task" }).click();
    const form = maja.getByRole("dialog");
    await form.getByLabel("What is to be done").fill("Show Ada the insulin pen");
    await form.locator(".picker > button").click();
    await form.getByRole("combobox").first().fill("sugar");
    await maja.keyboard.press("Enter");
    await form.getByLabel("Who does it").selectOption({ label: "Tomasz Nowak" });
    await form.getByLabel("Steps").fill("Pen\nNeedles");
    await form.getByRole("button", { name: "Make the task" }).click();
    const card = (page) => page.locator("article.task", { hasText: "insulin pen" });
    await lane(tomasz, "asked").locator("article.task", { hasText: "insulin pen" }).waitFor();
    await card(tomasz).getByRole("button", { name: "Accept" }).click();
    await lane(maja, "todo").locator("article.task", { hasText: "insulin pen" }).waitFor();
    await drag(tomasz, tomasz.locator("li", { has: card(tomasz) }).locator(".grip"), lane(tomasz, "doing").locator("ul"));
    await lane(maja, "doing").locator("article.task", { hasText: "insulin pen" }).waitFor();
    await card(tomasz).getByRole("link").click();
    await tomasz.getByLabel("Needles").check();
    await maja.getByText("1 of 2 steps done").waitFor();
    await tomasz.getByLabel("Write about this task").fill("She has done it twice");
    await tomasz.getByRole("button", { name: "Send to who reads this task" }).click();
    await tomasz.locator(".say", { hasText: "She has done it twice" }).waitFor();
    await card(maja).getByLabel("Move to: Show Ada the insulin pen").selectOption("complete");
    await lane(maja, "done").locator("article.task", { hasText: "insulin pen" }).waitFor();
    for (const page of [maja, tomasz]) await page.context().close();
});

/** A drag by hand: slow enough to be one. */
async function drag(page, from, to) {
    const [a, b] = [await from.boundingBox(), await to.boundingBox()];
    await page.mouse.move(a.x + a.width / 2, a.y + a.height / 2);
    await page.mouse.down();
    for (let step = 1; step <= 12; step += 1) {
        await page.mouse.move(a.x + ((b.x + b.width / 2 - a.x) * step) / 12, a.y + ((b.y + 20 - a.y) * step) / 12);
        await page.waitForTimeout(25);
    }
    await page.waitForTimeout(250);
    await page.mouse.up();
}

test("my board shows what rests with me at every patient", async () => {
    await house.run("maja", "task.create", { channel: house.ward.staff, item: house.ward.items.ride, title: "Order the frame", owner: house.people.tomasz.id, priority: "urgent" });
    const page = await house.signIn("tomasz");
    await page.getByRole("link", { name: "My board" }).first().click();
    const card = page.locator("article.task", { hasText: "Order the frame" });
    await card.getByText("OKAFOR, Ruth").waitFor();
    await card.getByLabel("Move to: Order the frame").selectOption("decline");
    await page.getByRole("dialog").getByRole("textbox").fill("I am off at six");
    await page.getByRole("dialog").getByRole("button", { name: "Decline" }).click();
    await page.getByText(/ended without being done/).waitFor();
    await page.context().close();
});

test("a talk elsewhere is opened in two presses, waits, and is written down as a late entry that the other confirms", async () => {
    const [maja, tomasz] = [await house.signIn("maja"), await house.signIn("tomasz")];
    for (const page of [maja, tomasz]) await house.open(page, "messages", house.ward.staff);
    await maja.getByRole("link", { name: "I am calling…" }).click();
    await maja.getByLabel("Name").fill("Ines Calder");
    await maja.getByLabel("Role or place").fill("dispatcher at CityRide");
    await maja.locator("main .picker > button").click();
    await maja.locator(".picker").getByRole("combobox").fill("ride");
    await maja.keyboard.press("Enter");
    await maja.getByRole("button", { name: /I am talking now/ }).click();
    await tomasz.locator(".ghost", { hasText: "Ines Calder" }).getByText("Not written down yet", { exact: false }).waitFor();
    await house.open(tomasz, "board");
    await tomasz.locator(".ghost", { hasText: "Not written down" }).waitFor();
    await maja.locator(".ghost", { hasText: "Ines Calder" }).getByRole("link", { name: "Write it down" }).click();
    const then = new Date(Date.now() - 3 * 3_600_000);
    await maja.getByLabel("Started").fill(new Date(then - then.getTimezoneOffset() * 60_000).toISOString().slice(0, 16));
    await maja.getByLabel("Someone on the team").selectOption({ label: "Tomasz Nowak" });
    await maja.getByLabel("What was said").fill("They fetch Ruth at the door");
    await maja.getByLabel("What was decided").fill("Rides booked for 24 November");
    await maja.locator(".preview .slip.late").waitFor();
    await maja.getByRole("button", { name: "Write it down" }).click();
    await house.open(tomasz, "messages", house.ward.staff);
    const slip = tomasz.locator("article.slip.late", { hasText: "They fetch Ruth" });
    await slip.getByText(/Late entry: 3 h/).waitFor();
    await slip.getByText("dispatcher at CityRide (not on the team)", { exact: false }).waitFor();
    await slip.getByRole("button", { name: "Yes, it was so" }).click();
    await maja.locator("article.slip", { hasText: "They fetch Ruth" }).getByText("Confirmed by Tomasz Nowak").waitFor();
    await tomasz.locator("article.slip", { hasText: "They fetch Ruth" }).getByRole("button", { name: "Add to it" }).click();
    await tomasz.getByRole("dialog").getByRole("textbox").fill("At 13:15");
    await tomasz.getByRole("button", { name: "Add it" }).click();
    await maja.locator(".addendum", { hasText: "At 13:15" }).waitFor();
    for (const page of [maja, tomasz]) await page.context().close();
});

test("unsorted messages are counted until somebody sorts them", async () => {
    const { items } = await house.run("maja", "plan.items", { patient: house.ward.patient });
    const unsorted = items.find(({ standing }) => standing === "unsorted").id;
    await house.run("tomasz", "message.post", { channel: house.ward.staff, item: unsorted, text: "The chair is broken" });
    const page = await house.signIn("maja");
    await house.open(page, "board");
    await page.locator(".ghost", { hasText: "1 message to sort" }).getByRole("link", { name: "Sort" }).click();
    const said = page.locator("article.say", { hasText: "The chair is broken" });
    await said.locator(".picker > button").click();
    await said.getByRole("combobox").fill("ride");
    await page.keyboard.press("Enter");
    await page.getByText("A message that stood here is now about").waitFor();
    await house.open(page, "board");
    await page.getByText("Tasks", { exact: true }).waitFor();
    await page.waitForFunction(() => !document.body.innerText.includes("to sort"));
    await page.context().close();
});

test("what was said is found again, and the words stand in no address", async () => {
    const page = await house.signIn("maja");
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await page.keyboard.press("/");
    await page.getByLabel("Words that were said").fill("NOBODY can");
    await page.keyboard.press("Enter");
    await page.locator("li", { hasText: "Nobody can drive her" }).getByText("OKAFOR, Ruth").waitFor();
    assert.ok(!page.url().includes("can"));
    await page.getByRole("link", { name: /Open.*Nobody can/ }).click();
    await page.locator("article.msg", { hasText: "Nobody can drive her" }).waitFor();
    await page.context().close();
});

test("everybody on the team is listed, with what they answer for", async () => {
    const page = await house.signIn("maja");
    await house.open(page, "team");
    await page.getByText("answers for the plan").waitFor();
    await page.getByText("Ada Okafor", { exact: true }).waitFor();
    await page.context().close();
});

test("the page speaks German when asked to, from the start page to the conversation", async () => {
    const page = await house.signIn("maja");
    await page.getByRole("link", { name: "Settings" }).first().click();
    await page.getByText("Deutsch").click();
    await page.getByRole("heading", { name: "Einstellungen" }).waitFor();
    await house.open(page, "messages", house.ward.staff);
    await page.getByRole("button", { name: "An Personal senden" }).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.lang), "de");
    await page.context().close();
});
