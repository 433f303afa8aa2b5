import assert from "node:assert/strict";
import { test } from "node:test";
import { House } from "./house.mjs";

const house = House.forAll();

test("a handoff is offered, read, refused without words, said back and accepted; the tasks have moved", async () => {
    await house.run("maja", "task.create", { channel: house.ward.staff, item: house.ward.items.ride, title: "Order the frame" });
    const [maja, tomasz] = [await house.signIn("maja"), await house.signIn("tomasz")];
    await tomasz.getByRole("heading", { name: /Good/ }).waitFor();
    await house.open(maja, "handoff");
    await maja.getByLabel("To whom?").selectOption({ label: "Tomasz Nowak, Ward nurse" });
    await maja.getByText("To be watched").click();
    await maja.getByLabel("What happened so far").fill("Up since Monday");
    await maja.getByLabel("What is to be done").fill("The walking frame\nThe pills");
    await maja.getByLabel("What may happen, and what then").fill("Dizzy in the morning");
    await maja.getByRole("button", { name: "Offer the handoff" }).click();
    await tomasz.getByRole("link", { name: /Read handoff/ }).click();
    await tomasz.getByText("Dizzy in the morning").waitFor();
    await tomasz.getByRole("link", { name: "Order the frame" }).waitFor();
    await tomasz.getByRole("button", { name: "Accept the handoff" }).click();
    await tomasz.getByRole("alert").getByText("Say in your own words").waitFor();
    await tomasz.getByLabel("Say it back").fill("I see to the frame and her mornings");
    await tomasz.getByRole("button", { name: "Accept the handoff" }).click();
    await tomasz.locator("article.task", { hasText: "Order the frame" }).getByText("You", { exact: true }).waitFor();
    await maja.locator("article.task", { hasText: "Order the frame" }).getByText("Tomasz Nowak").waitFor();
    for (const page of [maja, tomasz]) await page.context().close();
});

test("a check-in is answered on a phone in under a minute", { timeout: 200_000 }, async () => {
    // The rule names the next minute: the shortest way to a check-in that the server opens by itself.
    const next = new Date(Date.now() + 61_000);
    const rrule = `FREQ=DAILY;BYHOUR=${next.getUTCHours()};BYMINUTE=${next.getUTCMinutes()}`;
    const { maja } = house.people;
    await house.run("tomasz", "plan.items", { patient: house.ward.patient });
    const team = await house.run("maja", "team.list", { patient: house.ward.patient });
    const lead = team.members.find((member) => member.lead).user === maja.id ? "maja" : "tomasz";
    await house.run(lead, "checkin.schedule", { channel: house.ward.staff, rrule, zone: "UTC", questions: ["What has changed?", "What worries you?"], close_minutes: 60 });
    const page = await house.signIn("tomasz", { width: 390, height: 780 });
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await house.open(page, "messages", house.ward.staff);
    await page.getByRole("link", { name: /Answer the check-in/ }).click({ timeout: 150_000 });
    const begun = Date.now();
    await page.getByRole("button", { name: "Send my answers" }).click();
    await page.getByRole("alert").getByText("Answer each question").waitFor();
    await page.getByLabel("What has changed?").fill("She walks");
    await page.getByLabel("What worries you?").fill("The mornings");
    await page.getByRole("button", { name: "Send my answers" }).click();
    await page.getByText("You answered the check-in: She walks · The mornings").waitFor();
    assert.ok(Date.now() - begun < 60_000);
    assert.equal(await page.getByRole("link", { name: /Answer the check-in/ }).count(), 0);
    await page.context().close();
});

test("a message that went to the wrong patient is moved, and the page says who had got it", async () => {
    const other = (await house.run("maja", "patient.register", { name: "Rutendo Okafor", birth_date: "1951-04-14" })).patient;
    await house.run("maja", "message.post", { channel: house.ward.staff, item: house.ward.items.ride, text: "Potassium 6.1" });
    const [maja, tomasz] = [await house.signIn("maja"), await house.signIn("tomasz")];
    await tomasz.getByRole("heading", { name: /Good/ }).waitFor();
    await house.open(tomasz, "messages", house.ward.staff);
    await tomasz.locator("article.msg", { hasText: "Potassium 6.1" }).waitFor();
    await maja.getByRole("link", { name: /OKAFOR, Rutendo/ }).first().waitFor();
    await house.open(maja, "messages", house.ward.staff);
    const said = maja.locator("article.msg", { hasText: "Potassium 6.1" });
    await said.getByRole("button", { name: /What to do/ }).click();
    await said.getByRole("button", { name: "Wrong patient" }).click();
    const form = maja.getByRole("dialog");
    await form.getByLabel("Whose is it?").selectOption({ label: "OKAFOR, Rutendo, 14-Apr-1951" });
    await form.getByLabel("Who may read the note").selectOption({ label: "Care team, staff only." });
    await form.getByLabel("About", { exact: true }).selectOption({ label: "Plan as a whole" });
    await form.getByLabel(/How it came about/).fill("Two records were open");
    await form.getByRole("button", { name: "Move the message" }).click();
    await maja.getByRole("heading", { name: "The message was moved" }).waitFor();
    await maja.getByRole("dialog").getByText("Tomasz Nowak").waitFor();
    await tomasz.getByText("This message went to the wrong patient and was moved.").waitFor();
    assert.ok(!(await tomasz.locator("body").innerText()).includes("Potassium"));
    const { channels } = await house.run("maja", "channel.list", { patient: other });
    const there = await house.run("maja", "history", { channel: channels.find(({ kind }) => kind === "conversation").id });
    assert.ok(there.events.some(({ data }) => data.text === "Potassium 6.1"));
    for (const page of [maja, tomasz]) await page.context().close();
});

test("a space for some is opened, and nobody else sees it", async () => {
    // Who leads since the handoff.
    const page = await house.signIn("tomasz");
    await page.getByRole("heading", { name: /Good/ }).waitFor();
    await house.open(page, "messages", house.ward.staff);
    await page.getByRole("button", { name: "New space" }).click();
    const form = page.getByRole("dialog");
    await form.getByText("Only some").click();
    await form.getByLabel("What is it called?").fill("Discharge call");
    await form.getByRole("button", { name: "Open the space" }).click();
    await page.getByText("Nobody else on the team reads this.").waitFor();
    const { channels } = await house.run("maja", "channel.list", { patient: house.ward.patient });
    assert.ok(!channels.some(({ name }) => name === "Discharge call"));
    await page.context().close();
});
