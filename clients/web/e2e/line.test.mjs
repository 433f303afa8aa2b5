// Bad networks: what is written is neither lost nor doubled, and what is shown says since when it is old.
import assert from "node:assert/strict";
import { test } from "node:test";
import { House, PASSWORD } from "./house.mjs";

const house = House.forAll();

async function write(page, text) {
    await page.locator(".compose textarea").fill(text);
    await page.keyboard.press("Control+Enter");
    await page.waitForFunction(() => document.querySelector(".compose textarea")?.value === "");
}

async function begin(page) {
    await house.open(page, "messages", house.ward.staff);
    await page.locator(".compose .picker > button").click();
    await page.getByRole("combobox", { name: "Search the plan" }).fill("ride");
    await page.keyboard.press("Enter");
}

test("the server is killed and comes back under somebody who writes: nothing is lost, nothing doubled", async () => {
    const [maja, tomasz] = [await house.signIn("maja"), await house.signIn("tomasz")];
    await begin(maja);
    await house.open(tomasz, "messages", house.ward.staff);
    const written = [];
    const say = async () => {
        written.push(`line ${written.length}`);
        await write(maja, written.at(-1));
    };
    for (let one = 0; one < 4; one += 1) await say();
    await house.kill();
    house.page.cut();
    for (let one = 0; one < 4; one += 1) await say();
    await maja.getByText(/No connection. What you see is from/).first().waitFor();
    await maja.getByText(/\d messages are not sent yet/).first().waitFor();
    const unsent = (await maja.locator('[data-write="waiting"]').count()) + (await maja.locator('[data-write="sent"]').count());
    // One more where the answer to the last before the end was lost.
    assert.ok(unsent === 4 || unsent === 5, `${unsent} wait`);
    // The page goes as well, with what it has not sent.
    await maja.reload();
    await house.start();
    await maja.getByText("Live. Everything is up to date.", { exact: true }).first().waitFor({ timeout: 40_000 });
    await begin(maja);
    for (let one = 0; one < 2; one += 1) await say();
    await tomasz.locator("article.msg", { hasText: written.at(-1) }).waitFor({ timeout: 40_000 });
    assert.deepEqual(await house.texts(), written);
    for (const page of [maja, tomasz]) await page.context().close();
});

test("a session that ends keeps what is not sent for the same person, and for nobody else", async () => {
    const page = await house.signIn("maja");
    await begin(page);
    await page.locator(".compose textarea").fill("Begun before the end");
    await page.waitForTimeout(600);
    await house.run("maja", "session.end", { all: true }).catch(() => undefined);
    await page.getByRole("heading", { name: "Locked" }).waitFor();
    assert.ok(!(await page.locator("body").innerText()).includes("OKAFOR"), "nothing of a patient stays on the screen");
    // All tokens of maja are gone with her sessions; another one is made.
    house.people.maja.token = (await house.cli("token", "issue", "--user", "maja")).token;
    await page.getByRole("button", { name: "I am somebody else" }).click();
    await house.enter(page, "tomasz");
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await house.open(page, "messages", house.ward.staff);
    await page.locator(".compose textarea").waitFor();
    await page.waitForTimeout(500);
    assert.equal(await page.locator(".compose textarea").inputValue(), "");
    await page.getByRole("button", { name: "Step away" }).first().click();
    await page.getByRole("button", { name: "Sign out, keep nothing" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await page.getByLabel("User name").fill("maja");
    await page.locator("#password").fill(PASSWORD);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await house.open(page, "messages", house.ward.staff);
    await page.waitForFunction(() => document.querySelector(".compose textarea")?.value === "Begun before the end");
    await page.context().close();
});

test("devices are listed and signed out from elsewhere", async () => {
    const [here, there] = [await house.signIn("tomasz"), await house.signIn("tomasz")];
    await there.getByRole("heading", { name: /Good/ }).waitFor();
    await here.getByRole("link", { name: "Settings" }).first().click();
    await here.getByText("This one").waitFor();
    const others = here.locator("li", { hasText: "Signed in by password" }).getByRole("button", { name: "Sign out there" });
    await others.first().waitFor();
    while ((await others.count()) > 0) {
        await others.first().click();
        await here.waitForTimeout(400);
    }
    await there.getByRole("heading", { name: "Locked" }).waitFor();
    for (const page of [here, there]) await page.context().close();
});

test("a page that nobody is at locks, however much others write; whoever says that they are there stays", { timeout: 120_000 }, async () => {
    const page = await house.signIn("maja");
    await page.getByRole("heading", { name: "My patients" }).waitFor();
    await page.clock.install();
    await page.reload();
    await page.getByRole("heading", { name: "My patients" }).waitFor();
    const others = () => house.run("tomasz", "message.post", { channel: house.ward.staff, item: house.ward.items.pills, text: "Others write" });
    const idle = async (minutes) => {
        for (let minute = 0; minute < minutes; minute += 1) {
            await page.clock.fastForward(60_000);
            await others();
        }
    };
    await idle(13);
    const dialog = page.getByRole("dialog", { name: "You will be signed out in two minutes" });
    await dialog.waitFor();
    await dialog.getByRole("button", { name: "Stay signed in" }).click();
    await dialog.waitFor({ state: "detached" });
    await idle(12);
    assert.equal(await dialog.count(), 0, "the time begins anew");
    await idle(4);
    await page.getByText("stepped away").waitFor();
    const cookies = await page.context().cookies();
    const token = cookies.find(({ name }) => name === "__Host-carethread")?.value;
    assert.ok(token === undefined || (await page.evaluate(() => fetch("/v1/ws-tickets", { method: "POST" }).then(({ status }) => status))) === 401, "the session is over at the server, too");
    await page.context().close();
});
