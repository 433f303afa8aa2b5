// The team, check-ins, muting, templates, names that are easily taken for each other, and what the family reads.
import assert from "node:assert/strict";
import { test } from "node:test";
import { judge, sideways } from "./axe.mjs";
import { House, PASSWORD, ROOMY } from "./house.mjs";

const SITE = `${ROOMY}[site]
emergency_number = "112"
[[site.templates]]
name = "Ride to an appointment"
text = "Ride wanted on: "
[[site.templates]]
name = "Falling blood pressure"
situation = "Blood pressure "
recommendation = "Please see "
`;
const house = House.forAll({
    config: SITE,
    ready: async (house) => {
        await house.person("grace", "Grace Hopper");
        await house.person("ben", "Ben Okafor", "--kind", "related_person");
    },
});

const row = (page, name) => page.locator("li[data-member]", { hasText: name });
const members = async () => (await house.run("maja", "team.list", { patient: house.ward.patient })).members;
const tomorrow = (hours) => new Date(Date.now() + hours * 3_600_000 - new Date().getTimezoneOffset() * 60_000).toISOString().slice(0, 16);

test("somebody is found by name and joins; whoever joins as family is told apart, with what they will read", async () => {
    const page = await house.signIn("maja", { bypassCSP: true });
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await house.open(page, "team");
    await page.getByRole("button", { name: "Add somebody" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name or user name").fill("hopp");
    await judge(page, "looking for somebody");
    await dialog.getByRole("button", { name: /Choose.*Grace Hopper/ }).click();
    await dialog.getByRole("button", { name: "Add Grace Hopper" }).click();
    await dialog.getByRole("alert").getByText("Say as what").waitFor();
    await dialog.getByLabel("As what are they on the team?").fill("Social worker");
    await dialog.getByLabel("Barriers").check();
    await judge(page, "adding somebody");
    await dialog.getByRole("button", { name: "Add Grace Hopper" }).click();
    await row(page, "Grace Hopper").getByText("answers for barriers").waitFor();

    await page.getByRole("button", { name: "Add somebody" }).click();
    await dialog.getByLabel("Name or user name").fill("ben");
    await dialog.getByRole("button", { name: /Choose.*Ben Okafor/ }).click();
    const sees = dialog.locator("[data-family-sees]");
    await sees.getByText("With Ruth and Ada").waitFor();
    await sees.getByText("no messages among staff").waitFor();
    await dialog.getByLabel("Who are they to the patient?").fill("Son");
    await dialog.getByRole("button", { name: "Add Ben Okafor as family" }).click();
    await row(page, "Ben Okafor").getByText("Family").waitFor();
    const team = await members();
    assert.deepEqual(team.filter(({ name }) => /Grace|Ben/.test(name)).map(({ role, family, responsibilities }) => [role, family, responsibilities]).sort(), [["Social worker", false, ["barriers"]], ["Son", true, []]]);
    await page.context().close();
});

test("roles change, the lead goes over, somebody stands in and that ends; who leads cannot just leave", async () => {
    const page = await house.signIn("maja", { bypassCSP: true });
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await house.open(page, "team");
    const dialog = page.getByRole("dialog");
    await row(page, "Maja Lindqvist").getByRole("button", { name: "Leave the team" }).click();
    await dialog.getByRole("button", { name: "Leave the team" }).click();
    await dialog.getByRole("alert").getByText("Name another lead first").waitFor();
    await page.keyboard.press("Escape");

    await row(page, "Maja Lindqvist").getByRole("button", { name: /Somebody stands in/ }).click();
    await dialog.getByRole("button", { name: "Let them stand in" }).click();
    await dialog.getByRole("alert").getByText("Choose who stands in").waitFor();
    await dialog.getByLabel("Who stands in?").selectOption({ label: "Grace Hopper, Social worker" });
    await dialog.getByLabel("Until", { exact: true }).fill(tomorrow(24));
    await judge(page, "standing in");
    await dialog.getByRole("button", { name: "Let them stand in" }).click();
    await page.getByText(/Grace Hopper, in place of you until/).waitFor();

    // Whoever stands in may do what the lead may.
    const grace = await house.signIn("grace");
    await grace.getByRole("heading", { name: /Good/ }).waitFor();
    await house.open(grace, "team");
    await row(grace, "Tomasz Nowak").getByRole("button", { name: /^Change/ }).click();
    await grace.getByRole("dialog").getByLabel("As what are they on the team?").fill("Charge nurse");
    await grace.getByRole("button", { name: "Save the change" }).click();
    await row(page, "Tomasz Nowak").getByText("Charge nurse").waitFor();
    await row(page, "Maja Lindqvist").getByRole("button", { name: "End it now" }).click();
    await page.getByText(/in place of you/).waitFor({ state: "detached" });

    await row(page, "Tomasz Nowak").getByRole("button", { name: /^Change/ }).click();
    await dialog.getByLabel("Team lead").check();
    await dialog.getByText("The lead goes over from you").waitFor();
    await dialog.getByRole("button", { name: "Save the change" }).click();
    await row(page, "Tomasz Nowak").getByText("team lead").waitFor();
    await page.getByRole("button", { name: "Add somebody" }).waitFor({ state: "detached" });
    await page.locator("dt", { hasText: "Team lead" }).first().waitFor();
    assert.equal((await members()).find(({ lead }) => lead).name, "Tomasz Nowak");

    const tomasz = await house.signIn("tomasz");
    await tomasz.getByRole("heading", { name: /Good/ }).waitFor();
    await house.open(tomasz, "team");
    await row(tomasz, "Grace Hopper").getByRole("button", { name: /Take off the team/ }).click();
    await tomasz.getByRole("dialog").getByText("They will not read this record any more").waitFor();
    await tomasz.getByRole("dialog").getByRole("button", { name: "Take off the team" }).click();
    await row(tomasz, "Grace Hopper").waitFor({ state: "detached" });
    await tomasz.getByText("Who was on the team").click();
    await tomasz.locator("details").getByText("Grace Hopper").waitFor();
    await grace.getByText("This record is not open to you").waitFor({ timeout: 45_000 });
    assert.ok(!/OKAFOR|Okafor/.test(await grace.locator("body").innerText()), "nothing of the record stays on the screen");
    // The lead goes back, for the tests below.
    await house.run("tomasz", "team.change", { patient: house.ward.patient, user: house.people.maja.id, responsibilities: ["lead"] });
    for (const one of [page, grace, tomasz]) await one.context().close();
});

test("check-ins are set by plain choices, changed, and ended; who has answered stands there", { timeout: 420_000 }, async () => {
    const page = await house.signIn("maja", { bypassCSP: true, timezoneId: "Europe/Berlin" });
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await house.open(page, "messages", house.ward.staff);
    await page.getByRole("link", { name: "Check-ins" }).click();
    await page.getByText("This space has no check-ins.").waitFor();
    await page.getByRole("button", { name: "Set check-ins" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("Once a week").click();
    await dialog.getByLabel("On which day?").selectOption({ label: "Thursday" });
    await dialog.getByLabel("At what time?").fill("08:45");
    await dialog.getByLabel("Question 2").fill("");
    await dialog.getByRole("button", { name: "Set the check-ins" }).click();
    await dialog.getByRole("alert").getByText("Ask two questions at least.").waitFor();
    await dialog.getByLabel("Question 2").fill("What is missing?");
    await judge(page, "setting check-ins");
    await dialog.getByRole("button", { name: "Set the check-ins" }).click();
    await page.getByText(/Every Thursday at 08:45/).waitFor();
    const at = async () => house.run("maja", "checkin.get", { channel: house.ward.staff });
    const { schedule } = await at();
    assert.deepEqual([schedule.rrule, schedule.zone, schedule.questions], ["FREQ=WEEKLY;BYDAY=TH;BYHOUR=8;BYMINUTE=45", "Europe/Berlin", ["What has changed since yesterday?", "What is missing?"]]);

    // The next minute: the shortest way to one that the server opens by itself.
    const ask = async () => {
        const next = new Date(Date.now() + 61_000);
        const rrule = `FREQ=DAILY;BYHOUR=${next.getUTCHours()};BYMINUTE=${next.getUTCMinutes()}`;
        await house.run("maja", "checkin.schedule", { channel: house.ward.staff, rrule, zone: "UTC", questions: ["What has changed?", "What worries you?"], close_minutes: 60 });
    };
    await ask();
    const tomasz = await house.signIn("tomasz", { width: 390, height: 780 });
    await tomasz.getByRole("heading", { name: /Good/ }).waitFor();
    await house.open(tomasz, "checkin", house.ward.staff);
    await page.getByText("0 of 2 have answered").waitFor({ timeout: 150_000 });
    await tomasz.getByLabel("What has changed?").fill("She walks");
    await tomasz.getByLabel("What worries you?").fill("The mornings");
    await tomasz.getByRole("button", { name: "Send my answers" }).click();
    await page.getByText("1 of 2 have answered").waitFor();
    await page.locator("li", { hasText: "Tomasz Nowak" }).getByText(/^answered/).waitFor();
    // The next one ends it: who had not answered says it late, in a message.
    await ask();
    await page.getByText("0 of 2 have answered").waitFor({ timeout: 150_000 });
    await page.getByLabel("What has changed?").fill("The frame is there");
    await page.getByLabel("What worries you?").fill("Nothing");
    await page.getByRole("button", { name: "Send my answers" }).click();
    await page.getByText("You answered the check-in: The frame is there · Nothing").waitFor();
    await house.open(page, "checkin", house.ward.staff);
    await page.getByText(/The last check-in ended .* without your answer/).waitFor();
    await page.getByRole("button", { name: "Answer late" }).click();
    await judge(page, "answering late");
    await page.getByLabel("What has changed?").fill("She slept");
    await page.getByLabel("What worries you?").fill("No ride");
    await page.getByRole("button", { name: "Send my late answer" }).click();
    await page.locator("article.msg", { hasText: "Late answer to the check-in" }).getByText("What has changed? She slept").waitFor();
    await house.open(page, "checkin", house.ward.staff);
    await page.getByRole("button", { name: "No more check-ins" }).click();
    await page.getByText("This space has no check-ins.").waitFor();
    assert.equal((await at()).schedule, null);
    await page.context().close();
    await tomasz.context().close();
});

test("a space is muted for a while, with the words that urgent still comes through, and heard again", async () => {
    const page = await house.signIn("maja", { bypassCSP: true });
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await house.open(page, "messages", house.ward.staff);
    await page.getByRole("button", { name: "Mute", exact: true }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("Urgent and stat messages still come through.").waitFor();
    await judge(page, "muting");
    await dialog.getByText("8 hours").click();
    await dialog.getByRole("button", { name: "Mute it" }).click();
    await page.getByRole("button", { name: "Muted" }).waitFor();
    const is = async () => (await house.run("maja", "channel.list", {})).channels.find(({ id }) => id === house.ward.staff);
    const { muted, muted_until } = await is();
    assert.ok(muted && Math.abs(Date.parse(muted_until) - Date.now() - 8 * 3_600_000) < 300_000);
    await page.getByRole("button", { name: "Muted" }).click();
    await dialog.getByText(/You have muted this space until/).waitFor();
    await dialog.getByRole("button", { name: "Hear it again" }).click();
    await page.getByRole("button", { name: "Mute", exact: true }).waitFor();
    assert.equal((await is()).muted, false);
    await page.context().close();
});

test("a message begins with the words of the site, as text or in four parts", async () => {
    const page = await house.signIn("maja");
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await house.open(page, "messages", house.ward.staff);
    await page.getByLabel("Begin with words of the site").selectOption({ label: "Ride to an appointment" });
    assert.equal(await page.locator(".compose textarea").inputValue(), "Ride wanted on: ");
    await page.getByLabel("Begin with words of the site").selectOption({ label: "Falling blood pressure" });
    assert.equal(await page.getByLabel("Situation").inputValue(), "Blood pressure ");
    assert.equal(await page.getByLabel("Recommendation").inputValue(), "Please see ");
    await page.context().close();
});

test("similar names are marked in lists and under the band, and the first words are asked about", async () => {
    await house.run("maja", "patient.register", { name: "Rutendo Okafor", birth_date: "1951-04-14" });
    const page = await house.signIn("maja", { bypassCSP: true });
    await page.locator("a.wb.alike", { hasText: "OKAFOR, Ruth" }).getByText("similar name").first().waitFor();
    await judge(page, "similar names");
    await house.open(page, "messages", house.ward.staff);
    await page.getByText("There is also OKAFOR, Rutendo, born 14-Apr-1951 on your list.").waitFor();
    await page.locator(".compose .picker > button").click();
    await page.getByRole("combobox", { name: "Search the plan" }).fill("ride");
    await page.keyboard.press("Enter");
    await page.locator(".compose textarea").fill("For the right one");
    await page.keyboard.press("Control+Enter");
    const dialog = page.getByRole("dialog");
    await dialog.getByText("Is this the right patient?").waitFor();
    await dialog.getByText("OKAFOR, Rutendo").waitFor();
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Back to writing");
    await judge(page, "which patient");
    await dialog.getByRole("button", { name: "Back to writing" }).click();
    assert.equal(await page.locator(".compose textarea").inputValue(), "For the right one");
    await page.keyboard.press("Control+Enter");
    await dialog.getByRole("button", { name: "Yes, about OKAFOR, Ruth" }).click();
    await page.locator("article.msg", { hasText: "For the right one" }).waitFor();
    await page.locator(".compose textarea").fill("Not asked again");
    await page.keyboard.press("Control+Enter");
    await page.locator("article.msg", { hasText: "Not asked again" }).waitFor();
    await page.context().close();
});

test("the family reads plain words, and whom to call when it cannot wait", async () => {
    const { shared, items } = house.ward;
    await house.run("tomasz", "message.post", { channel: shared, item: items.ride, text: "We look for a ride", ask: "acknowledge" });
    await house.run("tomasz", "message.post", { channel: shared, item: items.ride, sbar: { situation: "A car comes", background: "None before", assessment: "Good", recommendation: "Be there" }, priority: "urgent", ask: "check_back" });
    await house.run("maja", "task.create", { channel: shared, item: items.ride, title: "Give Ada the times" });
    await house.run("maja", "plan_item.change", { item: items.ride, detail: "Three rides", rev: 1 }).catch(() => undefined);
    const page = await house.signIn("ada", { width: 390, height: 780, bypassCSP: true });
    await page.getByRole("heading", { name: "Whose care you follow" }).waitFor();
    const read = [await page.locator("body").innerText()];
    await page.getByRole("link", { name: /OKAFOR/ }).first().click();
    await page.locator("article.msg", { hasText: "A car comes" }).waitFor();
    await page.getByRole("link", { name: "call 112" }).waitFor();
    assert.equal(await page.getByRole("link", { name: "call 112" }).getAttribute("href"), "tel:112");
    await judge(page, "family, messages");
    read.push(await page.locator("body").innerText());
    await page.locator(".compose .picker > button").click();
    read.push(await page.locator("body").innerText());
    await page.keyboard.press("Escape");
    await house.open(page, "plan");
    await page.getByRole("link", { name: "call 112" }).waitFor();
    read.push(await page.locator("body").innerText());
    await house.open(page, "plan", items.ride);
    await page.getByText("What was said about it").first().waitFor();
    await judge(page, "family, one item");
    read.push(await page.locator("body").innerText());
    await page.evaluate(() => (location.hash = "#/settings"));
    await page.getByText("Where you are signed in").waitFor();
    read.push(await page.locator("body").innerText());
    const said = read.join("\n");
    for (const word of [/\bSituation\b/, /\bAssessment\b/, /\bbarrier\b/i, /\bUnsorted\b/, /Plan as a whole/, /\bversion\b/i, /\bStat\b/, /stat messages/, /\bUrgent\b/, /\bOverdue\b/, /Not written down/, /\bpatients?\b/i, /Staff only/, /Print for a downtime/, /\bCheck-in/i])
        assert.ok(!word.test(said), `the family reads ${word}: ${said.split("\n").find((line) => word.test(line))}`);
    await page.context().close();
});

test("the family answers what is asked with a yes or a no, and sees what comes next as a calendar has it", async () => {
    const { patient, shared, items } = house.ward;
    const day = (n) => new Date(Date.now() + n * 86_400_000);
    const due = `${day(3).toISOString().slice(0, 10)}T12:00:00Z`;
    const ask = (text, how) => house.run("tomasz", "message.post", { channel: shared, item: items.ride, text, ask: how });
    await house.run("maja", "plan_item.add", { patient, kind: "activity", title: "Ruth comes home", detail: "Bring her own shoes", shared: true, owner: house.people.tomasz.id, due });
    await house.run("maja", "plan_item.add", { patient, kind: "activity", title: "A day long gone", shared: true, due: "2020-01-02" });
    const [home, pen, dose] = [await ask("Be at home on Friday", "acknowledge"), await ask("Learn the pen on Friday", "acknowledge"), await ask("Half a tablet from now on", "check_back")];
    const page = await house.signIn("ada", { width: 390, height: 780, bypassCSP: true });
    await page.getByRole("heading", { name: "Whose care you follow" }).waitFor();
    await house.open(page, "plan");
    await page.getByRole("heading", { name: /\d things we ask of you/ }).waitFor();
    await page.getByRole("link", { name: "call 112" }).waitFor();
    const asked = (words) => page.locator("[data-ask]", { hasText: words });
    const next = page.locator(".dates li");
    assert.equal(await next.count(), 1);
    assert.match(await next.innerText(), new RegExp(`^${day(3).getUTCDate()}\\s+${day(3).toLocaleDateString("en-GB", { month: "short", timeZone: "UTC" })}\\s+Ruth comes home\\s+\\w+day \\d\\d:00\\. Bring her own shoes\\s+Tomasz Nowak sees to it`));
    await page.locator(".plain li", { hasText: "A day long gone" }).waitFor();
    await page.locator(".ppl li", { hasText: "Maja Lindqvist" }).getByText("Leads the care team").waitFor();
    for (const width of [320, 390, 720, 1024, 1280]) {
        await page.setViewportSize({ width, height: 780 });
        await sideways(page, `family at ${width}`);
        for (const colorScheme of ["light", "dark"]) {
            await page.emulateMedia({ colorScheme });
            if (width > 320 && width !== 720) await judge(page, `family at ${width}, ${colorScheme}`);
        }
    }
    await asked("Be at home").getByRole("button", { name: "Yes", exact: true }).click();
    await asked("Be at home").waitFor({ state: "detached" });
    await asked("Learn the pen").getByRole("button", { name: "No, or not sure…" }).click();
    await page.getByLabel("What should the care team know?").fill("Saturday is better");
    await judge(page, "family, telling");
    await page.getByRole("button", { name: "Send to the care team" }).click();
    await asked("Learn the pen").waitFor({ state: "detached" });
    await asked("Half a tablet").getByRole("button", { name: "Say it in my own words…" }).click();
    await page.getByLabel("What you understood, in your own words").fill("Half of one");
    await page.getByRole("button", { name: "Send to Tomasz Nowak" }).click();
    await asked("Half a tablet").waitFor({ state: "detached" });
    const { events } = await house.run("maja", "history", { channel: shared });
    const of = (event, message) => events.filter((one) => one.event === event && one.by === house.people.ada.id && (one.data.message ?? one.data.reply_to) === message.id).map(({ data }) => data.text ?? "");
    assert.deepEqual([of("message.acknowledged", home).length, of("message.acknowledged", pen).length], [1, 1]);
    assert.deepEqual([of("message.posted", pen), of("message.checked_back", dose)], [["Saturday is better"], ["Half of one"]]);
    assert.deepEqual(await house.refused(page), []);
    await page.context().close();
});

test("who signs in next on the same page is asked anew about their first words", async () => {
    const page = await house.signIn("maja");
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await page.evaluate(() => sessionStorage.setItem("carethread.shared", JSON.stringify(["somewhere"])));
    await page.getByRole("button", { name: "Step away" }).first().click();
    await page.getByRole("dialog").getByRole("button", { name: "Step away" }).click();
    await page.getByRole("heading", { name: "Locked" }).waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    await page.locator("#password").fill(PASSWORD);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await page.context().close();
});

test("whoever is asked sees it on the start page, and comes to the message from there", async () => {
    const { staff, items } = house.ward;
    await house.run("maja", "message.post", { channel: staff, item: items.ride, text: "Who drives on Friday?", ask: "acknowledge", mentions: [house.people.tomasz.id] });
    const page = await house.signIn("tomasz");
    const asked = page.locator("ul.work > li", { hasText: "Maja Lindqvist waits for your answer." }).first();
    await asked.getByRole("link", { name: /^Answer/ }).click();
    const message = page.locator("article.msg", { hasText: "Who drives on Friday?" });
    await message.getByRole("button", { name: "I have seen it" }).click();
    await message.getByText(/Seen by you \d\d:\d\d/).waitFor();
    await page.getByRole("link", { name: "Start" }).first().click();
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await asked.waitFor({ state: "detached" });
    await page.context().close();
});

test("the privacy officer reads which messages went to the wrong patient, and nobody else is shown the way", async () => {
    await house.person("petra", "Petra Privacy", "--role", "privacy_officer");
    const { patient } = await house.run("maja", "patient.register", { name: "Wendell Price", birth_date: "1940-01-02" });
    const { channels } = await house.run("maja", "channel.list", { patient });
    const { items } = await house.run("maja", "plan.items", { patient });
    const wrong = await house.run("maja", "message.post", { channel: house.ward.staff, item: house.ward.items.ride, text: "Potassium 6.1" });
    await house.run("maja", "message.move", { message: wrong.id, channel: channels.find(({ kind }) => kind === "conversation").id, item: items.find(({ standing }) => standing === "whole").id, reason: "Two records were open" });
    const page = await house.signIn("petra", { bypassCSP: true });
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await page.getByRole("link", { name: "Settings" }).first().click();
    await page.getByRole("link", { name: "Messages that went to the wrong patient" }).click();
    const one = page.locator("ul.work > li", { hasText: "Two records were open" });
    await one.getByText(/Moved by Maja Lindqvist/).waitFor();
    await judge(page, "wrong patients");
    const said = await page.locator("body").innerText();
    assert.ok(!/Potassium|Okafor|Price/.test(said), said);
    const maja = await house.signIn("maja");
    await maja.getByRole("heading", { name: /Good/ }).waitFor();
    await maja.getByRole("link", { name: "Settings" }).first().click();
    await maja.getByText("Where you are signed in").waitFor();
    await maja.getByText("This one").waitFor();
    assert.equal(await maja.getByRole("link", { name: "Messages that went to the wrong patient" }).count(), 0);
    for (const open of [page, maja]) await open.context().close();
});
