import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
    MemoryStorage,
    PatientStore,
    Refused,
    Vault,
    byTicket,
    client,
    endSession,
    openSession,
    sealingKey,
    type EventFrame,
} from "../src/index.ts";
import { House, PROGRAM, type Person, ROOMY, type Ward, until, ward } from "./house.ts";

const PASSWORD = "three wet umbrellas";

describe("a server", () => {
    let house: House, place: Ward, lead: Person;

    beforeAll(async () => {
        house = await House.serve(ROOMY);
        lead = await house.person("lead");
        place = await ward(house, lead);
    });
    afterAll(() => house.end());

    const own = (person: Person, storage?: [MemoryStorage, CryptoKey]) =>
        client(
            { url: house.url, signIn: { token: person.token }, cursors: { [place.staff]: 0 }, world: house.world() },
            storage && new Vault(person.id, storage[1], storage[0]),
        );

    const posted = async (): Promise<EventFrame[]> => {
        const events: EventFrame[] = [];
        for (;;) {
            const page = await house.run(lead, "history", { channel: place.staff, after: events.length, limit: 200 });
            events.push(...page.events);
            if (!page.more) return events;
        }
    };

    it("is written to and read from, and says what became of it", async () => {
        const { connection, outbox } = own(lead);
        const seen: EventFrame[] = [];
        connection.on("event", (event) => event.event === "message.posted" && seen.push(event as EventFrame));
        connection.start();
        const reply = await outbox.run("message.post", {
            channel: place.staff,
            item: place.whole,
            text: "Glucose 9.1 after lunch",
        });
        expect(reply).toMatchObject({ channel: place.staff });
        await until("the author hears it too", () =>
            seen.some(({ data }) => "text" in data && data.text === "Glucose 9.1 after lunch"),
        );
        const [write] = outbox.writes();
        await outbox.look(write?.key ?? "");
        expect(write?.state).toBe("stored");
        await expect(outbox.run("message.post", { channel: place.staff, text: "about nothing" })).rejects.toMatchObject(
            { code: "plan_item_required" },
        );
        connection.stop();
    });

    it("takes a session by password, tickets for it, and its end", async () => {
        const handle = "sister";
        const { spawnSync } = await import("node:child_process");
        const made = spawnSync(
            PROGRAM,
            [
                "--json",
                "--data",
                `${house.folder}/data`,
                "--config",
                `${house.folder}/config.toml`,
                "user",
                "add",
                "--handle",
                handle,
                "--name",
                "Sister",
                "--password-stdin",
            ],
            { input: `${PASSWORD}\n` },
        );
        expect(made.status, made.stderr.toString()).toBe(0);
        const world = house.world();
        await expect(openSession(world, "", { handle, password: "four wet umbrellas" })).rejects.toBeInstanceOf(
            Refused,
        );
        const session = await openSession(world, "", { handle, password: PASSWORD });
        const { connection } = client({ url: house.url, signIn: byTicket(world, "", session.token), world });
        connection.start();
        await until("it is live", () => connection.state.name === "live");
        await endSession(world, "", session.token);
        await until("it is signed out", () => connection.state.name === "ended");
        expect(connection.state).toMatchObject({ why: "signed_out", code: 4401 });
        connection.signInAs(byTicket(world, "", session.token));
        await until("there is no ticket", () => connection.state.name === "ended");
        expect(connection.state).toMatchObject({ why: "signed_out", refusal: { code: "unauthenticated" } });
    });

    it("has an open record catch up on what was said while the line was gone, also where nothing had come before", async () => {
        const { connection } = client({ url: house.url, signIn: { token: lead.token }, world: house.world() });
        const ready = () => connection.state.name === "live";
        connection.start();
        await until("it is live", ready);
        const store = new PatientStore(connection, { user: lead.id, family: false, patient: place.patient });
        await store.refresh();
        await until("all of it is here", () => store.whole);
        connection.stop();
        await house.run(lead, "message.post", { channel: place.staff, item: place.whole, text: "Said meanwhile" });
        connection.start();
        await until("it is live again", ready);
        const said = () => [...store.sight.said.values()].some((one) => one.versions.some(({ text }) => text === "Said meanwhile"));
        await until("it is in the record", said);
        store.close();
        connection.stop();
    });

    it("may be killed under somebody who writes: nothing is lost, nothing doubled, all in order", async () => {
        const storage: [MemoryStorage, CryptoKey] = [new MemoryStorage(), await sealingKey(btoa("3".repeat(32)))];
        let { connection, outbox } = own(lead, storage);
        const watcher = own(lead);
        const heard: number[] = [];
        watcher.connection.on(
            "event",
            (event) => event.channel === place.staff && "seq" in event && heard.push(event.seq),
        );
        watcher.connection.start();
        connection.start();
        const written: string[] = [];
        const write = async (count: number) => {
            for (let one = 0; one < count; one += 1) {
                written.push(`line ${written.length}`);
                outbox.add("message.post", { channel: place.staff, item: place.whole, text: written.at(-1) ?? "" });
                await new Promise((passed) => setTimeout(passed, 10));
            }
        };
        for (let round = 0; round < 3; round += 1) {
            const writing = write(60);
            await new Promise((passed) => setTimeout(passed, 250));
            await house.kill();
            if (round === 1) {
                // The page goes as well, with what it has not sent.
                await writing;
                outbox.close();
                connection.stop();
                ({ connection, outbox } = own(lead, storage));
                expect(await outbox.open()).toBe(0);
                connection.start();
            }
            await house.start();
            await writing;
        }
        await until("everything is stored", () => outbox.unsent === 0, 120_000);
        const events = await posted();
        const texts = events.flatMap(({ data }) =>
            "text" in data && typeof data.text === "string" && data.text.startsWith("line ") ? [data.text] : [],
        );
        expect(texts).toEqual(written);
        await until("the watcher has seen the last", () => heard.at(-1) === events.length, 120_000);
        expect(heard).toEqual(Array.from({ length: events.length }, (_, at) => at + 1));
        connection.stop();
        watcher.connection.stop();
    }, 300_000);

    it("follows what comes on `me` without a gap", async () => {
        const other = await house.person("other");
        await house.run(lead, "team.add", { patient: place.patient, user: other.id, role: "Nurse" });
        const { connection } = client({
            url: house.url,
            signIn: { token: other.token },
            cursors: { me: 0 },
            world: house.world(),
        });
        const me: string[] = [];
        connection.on(
            "event",
            (event) => event.channel === "me" && "seq" in event && me.push(`${event.seq} ${event.event}`),
        );
        connection.start();
        await until("it is live", () => connection.state.name === "live");
        await house.run(lead, "message.post", {
            channel: place.staff,
            item: place.whole,
            text: "Look",
            mentions: [other.id],
        });
        await until("it rang", () => me.length >= 2);
        expect(me.slice(0, 2)).toEqual(["1 invited", "2 mentioned"]);
        connection.stop();
    });
});
