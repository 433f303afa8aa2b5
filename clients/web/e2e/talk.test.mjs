import assert from "node:assert/strict";
import { test } from "node:test";
import { House, PASSWORD } from "./house.mjs";

const house = House.forAll();

/** Picks what a message is about, by keys alone. */
async function pick(page, words) {
    await page.locator(".compose .picker > button").click();
    await page.getByRole("combobox", { name: /^Search/ }).fill(words);
    await page.keyboard.press("Enter");
}

const message = (page, text) => page.locator("article.msg", { hasText: text });

test("a wrong password is said in words, a right one leads to the start page, whose title has numbers only", async () => {
    const page = await house.visit();
    await house.enter(page, "maja", "not the password");
    await page.getByRole("alert").getByText("User name, password or code is wrong.").waitFor();
    await house.enter(page, "maja");
    await page.getByRole("heading", { name: /Good .*, Maja/ }).waitFor();
    await page.getByText("Live. Everything is up to date.").first().waitFor();
    await page.getByRole("link", { name: /OKAFOR, Ruth/ }).first().waitFor();
    await house.run("tomasz", "message.post", { channel: house.ward.staff, item: house.ward.items.ride, text: "The bus stop is too far" });
    await page.waitForFunction(() => document.title === "(1) Carethread");
    await page.getByRole("row", { name: /OKAFOR/ }).locator(".count.unread", { hasText: "1" }).waitFor();
    await page.context().close();
});

test("the band says whose record it is, and the focus goes there", async () => {
    const page = await house.signIn("maja");
    await page.getByRole("link", { name: /OKAFOR, Ruth/ }).first().click();
    const band = page.getByRole("region", { name: "Whose record this is" });
    await band.getByText("OKAFOR,").waitFor();
    assert.match(await band.innerText(), /14-Aug-1951 \(\d+ y\)[\s\S]*MRN-004711[\s\S]*Maja Lindqvist/);
    assert.equal(await page.locator("h1").count(), 1);
    await page.waitForFunction(() => document.activeElement?.tagName === "H1");
    await page.context().close();
});

test("two browsers see each other live: written by keys, shown, read, corrected, taken back", async () => {
    const [maja, tomasz] = [await house.signIn("maja"), await house.signIn("tomasz")];
    for (const page of [maja, tomasz]) await house.open(page, "messages", house.ward.staff);
    await maja.locator(".compose").waitFor();
    await maja.keyboard.press("i");
    await maja.keyboard.type("sugar");
    await maja.keyboard.press("Enter");
    await maja.waitForFunction(() => document.activeElement?.tagName === "TEXTAREA");
    await maja.keyboard.type("Glucose 9.1 after lunch");
    await maja.keyboard.press("Control+Enter");
    await message(tomasz, "Glucose 9.1 after lunch").waitFor();
    await tomasz.getByRole("heading", { name: "Sugar before meals" }).or(tomasz.locator(".run-head", { hasText: "Sugar before meals" })).first().waitFor();
    await message(maja, "Glucose 9.1").getByText(/Read by|Stored/).waitFor();
    await message(maja, "Glucose 9.1").getByRole("button", { name: /What to do/ }).click();
    await message(maja, "Glucose 9.1").getByRole("button", { name: "Who has read it" }).click();
    await maja.getByRole("dialog").getByText(/Tomasz Nowak/).waitFor();
    await maja.getByRole("dialog").getByRole("button", { name: "Close" }).click();
    await message(maja, "Glucose 9.1").getByRole("button", { name: "Correct" }).click();
    await maja.getByRole("dialog").getByRole("textbox").fill("Glucose 9.7 after lunch");
    await maja.getByRole("button", { name: "Correct it" }).click();
    await message(tomasz, "Glucose 9.7 after lunch").getByRole("button", { name: /Corrected/ }).click();
    await tomasz.getByRole("dialog").getByText("Glucose 9.1 after lunch").waitFor();
    await tomasz.getByRole("dialog").getByRole("button", { name: "Close" }).click();
    await message(maja, "Glucose 9.7").getByRole("button", { name: /What to do/ }).click();
    await message(maja, "Glucose 9.7").getByRole("button", { name: "Take back" }).click();
    await maja.getByRole("button", { name: "Take it back" }).click();
    await maja.getByRole("alert").getByText("Say it in a few words.").waitFor();
    await maja.getByRole("dialog").getByRole("textbox").fill("Another patient's value");
    await maja.getByRole("button", { name: "Take it back" }).click();
    await tomasz.getByText("Taken back by Maja Lindqvist: Another patient's value").waitFor();
    for (const page of [maja, tomasz]) await page.context().close();
});

test("a message that asks to be said back waits, is said back, and is confirmed", async () => {
    const [maja, tomasz] = [await house.signIn("maja"), await house.signIn("tomasz")];
    for (const page of [maja, tomasz]) await house.open(page, "messages", house.ward.staff);
    await maja.locator(".compose").waitFor();
    await pick(maja, "Medicines");
    await maja.getByRole("button", { name: "SBAR" }).click();
    await maja.getByLabel("Situation").fill("The list still says metformin 1000 mg");
    await maja.getByLabel("Recommendation").fill("Restart at 500 mg");
    await maja.getByLabel("Priority").selectOption("urgent");
    await maja.getByLabel("Ask for an answer").selectOption("check_back");
    await maja.getByRole("button", { name: "Send to staff" }).click();
    const seen = message(tomasz, "metformin 1000 mg");
    await seen.getByText("Urgent").waitFor();
    await seen.getByRole("button", { name: "Say it back…" }).click();
    await tomasz.getByRole("dialog").getByRole("textbox").fill("500 mg from Saturday");
    await tomasz.getByRole("button", { name: "Send to Maja Lindqvist" }).click();
    await message(maja, "metformin 1000 mg").getByText("“500 mg from Saturday”").waitFor();
    await message(maja, "metformin 1000 mg").getByRole("button", { name: "Yes, that is right" }).click();
    await seen.getByText(/Confirmed \d\d:\d\d/).waitFor();
    for (const page of [maja, tomasz]) await page.context().close();
});

test("without an item a message is not sent, and the page says what to do", async () => {
    const page = await house.signIn("maja");
    await house.open(page, "messages", house.ward.shared);
    await page.locator(".compose textarea").fill("About nothing");
    await page.locator(".compose .send button").click();
    await page.getByRole("alert").getByText("Choose what it is about").waitFor();
    await page.getByRole("combobox", { name: /^Search/ }).waitFor();
    assert.equal(await page.locator(".picker-options").getByText("Medicines at home").count(), 0, "family does not see that item: it is not offered here");
    await page.context().close();
});

test("the first words to the family are asked about; staff's words never reach them", async () => {
    const [maja, ada] = [await house.signIn("maja"), await house.signIn("ada")];
    await house.open(maja, "messages", house.ward.shared);
    await maja.locator(".compose").waitFor();
    await pick(maja, "ride");
    await maja.locator(".compose textarea").fill("The driver comes at nine");
    await maja.getByRole("button", { name: "Send to Ada" }).click();
    const dialog = maja.getByRole("dialog");
    await dialog.getByText("will read this").first().waitFor();
    assert.equal(await maja.evaluate(() => document.activeElement?.textContent), "Back to writing");
    await dialog.getByRole("button", { name: "Send to Ada" }).click();
    await ada.getByRole("link", { name: /OKAFOR, Ruth/ }).first().click();
    await message(ada, "The driver comes at nine").waitFor();
    const text = await ada.locator("body").innerText();
    for (const word of ["Glucose", "metformin", "Medicines at home", "Board", "Care team"]) assert.ok(!text.includes(word), `family reads "${word}"`);
    await pick(ada, "ride");
    await ada.locator(".compose textarea").fill("I can open the door for him");
    await ada.locator(".compose .send button").click();
    await message(maja, "I can open the door").waitFor();
    for (const page of [maja, ada]) await page.context().close();
});

test("hostile words are words, and the policy refuses nothing", async () => {
    const page = await house.signIn("maja");
    const text = `<img src=x onerror="window.hit=1"><script>window.hit=1</script> javascript:alert(1) \u202e {{7*7}}`;
    await house.run("tomasz", "message.post", { channel: house.ward.staff, item: house.ward.items.ride, text });
    await house.run("tomasz", "note.log", { channel: house.ward.staff, item: house.ward.items.ride, medium: "phone", held_at: new Date().toISOString(), with: [{ name: text, role: text }], text, decisions: [text] });
    await house.open(page, "messages", house.ward.staff);
    await page.locator("article.slip", { hasText: "onerror" }).waitFor();
    await house.open(page, "plan", house.ward.items.ride);
    await page.locator("article.say", { hasText: "onerror" }).waitFor();
    assert.equal(await page.evaluate(() => window.hit), undefined);
    assert.deepEqual(await house.refused(page), []);
    await page.context().close();
});

test("what is begun comes back after a reload, and after stepping away; signing out leaves nothing", async () => {
    const page = await house.signIn("maja");
    await house.open(page, "messages", house.ward.staff);
    await page.locator(".compose textarea").fill("Half a sentence about potass");
    await page.waitForTimeout(600);
    await page.reload();
    await page.waitForFunction(() => document.querySelector(".compose textarea")?.value === "Half a sentence about potass");
    await page.getByRole("button", { name: "Step away" }).first().click();
    await page.getByRole("dialog").getByRole("button", { name: "Step away" }).click();
    await page.getByRole("heading", { name: "Locked" }).waitFor();
    assert.ok(!(await stored(page)).includes("potass"), "what is kept is sealed");
    await page.locator("#password").fill(PASSWORD);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await house.open(page, "messages", house.ward.staff);
    await page.waitForFunction(() => document.querySelector(".compose textarea")?.value === "Half a sentence about potass");
    await page.getByRole("button", { name: "Step away" }).first().click();
    await page.getByRole("button", { name: "Sign out, keep nothing" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await page.waitForTimeout(300);
    const left = JSON.parse(await stored(page));
    assert.deepEqual([left.sealed, left.session, left.tab], [[], [], {}]);
    for (const [name, addresses] of Object.entries(left.caches)) {
        assert.match(name, /^carethread-shell-/);
        for (const address of addresses) assert.match(address, /^https:\/\/localhost:\d+\/(assets\/[\w.-]+|index\.html|icon\.svg)$/);
    }
    assert.ok(!JSON.stringify(left).match(/Okafor|potass|maja/i), JSON.stringify(left));
    await page.context().close();
});

/** Everything a browser keeps of this page. */
function stored(page) {
    return page.evaluate(async () => {
        const all = (name, store) =>
            new Promise((done) => {
                const open = indexedDB.open(name);
                open.onsuccess = () => {
                    const got = open.result.transaction(store).objectStore(store).getAll();
                    got.onsuccess = () => (open.result.close(), done(got.result));
                };
            });
        const text = (value) => (value?.bytes ? { ...value, bytes: new TextDecoder().decode(value.bytes) } : { ...value, key: undefined });
        return JSON.stringify({
            sealed: (await all("carethread", "sealed")).map(text),
            session: (await all("carethread-session", "session")).map(text),
            caches: Object.fromEntries(await Promise.all((await caches.keys()).map(async (name) => [name, (await (await caches.open(name)).keys()).map(({ url }) => url)]))),
            local: { ...localStorage },
            tab: { ...sessionStorage },
        });
    });
}
