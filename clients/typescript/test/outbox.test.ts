import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Client, MemoryStorage, Refused, Vault, type Write, client, sealingKey } from "../src/index.ts";
import { ops } from "./contract.ts";
import { FakeServer, type Fate } from "./fake-server.ts";
import { FakeWorld } from "./fake-world.ts";

const key = () => sealingKey(btoa("7".repeat(32)));

/** Pages of one person, one after the other, over the same storage and server. */
async function scene() {
    const world = new FakeWorld();
    const server = new FakeServer(world);
    for (const channel of ["a", "b"]) server.channels.set(channel, []);
    const storage = new MemoryStorage();
    const sealing = await key();
    const page = (): Client =>
        client(
            { url: "wss://here", signIn: { token: "right" }, cursors: { a: 0, b: 0 }, world },
            new Vault("me-user", sealing, storage),
        );
    return { world, server, storage, page };
}

/** WebCrypto answers when it likes: real time has to pass. */
const sealed = () => new Promise((passed) => setTimeout(passed, 15));
const said = (server: FakeServer, channel: string) => (server.channels.get(channel) ?? []).map(({ data }) => data.text);
const post = (text: string, channel = "a") => ["message.post", { channel, item: "i", text }] as const;
const states = (writes: Write[]) => writes.map(({ state }) => state);

describe("an outbox", () => {
    it("shows a write at once, keeps it, sends it, and says that it is stored and read", async () => {
        const { world, server, page } = await scene();
        const { connection, outbox } = page();
        const seen: string[] = [];
        outbox.on("changed", ({ state, kept }) => seen.push(`${state}${kept ? " kept" : ""}`));
        const write = outbox.add(...post("one"));
        expect(states(outbox.writes())).toEqual(["waiting"]);
        connection.start();
        await sealed();
        await world.settle();
        expect(said(server, "a")).toEqual(["one"]);
        expect(outbox.unsent).toBe(0);
        await outbox.look(write.key);
        expect(outbox.writes()[0]).toMatchObject({ state: "read", readers: ["other"], reply: { seq: 1 } });
        expect(seen).toEqual(["waiting", "waiting kept", "sent kept", "stored kept", "read kept"]);
    });

    it("keeps the order of each channel, and lets no channel wait for another", async () => {
        const { world, server, page } = await scene();
        const { connection, outbox } = page();
        connection.start();
        await world.settle();
        server.refusals = [{ op: "message.post", code: "busy", retry: true }];
        for (const text of ["1", "2", "3"]) outbox.add(...post(text));
        outbox.add(...post("x", "b"));
        await sealed();
        await world.settle();
        expect([said(server, "a"), said(server, "b")]).toEqual([[], ["x"]]);
        await world.pass(2_000);
        await sealed();
        await world.pass(2_000);
        expect(said(server, "a")).toEqual(["1", "2", "3"]);
    });

    it("survives the page: the next one sends what this one could not, once", async () => {
        const { world, server, page } = await scene();
        server.up = false;
        const first = page();
        first.connection.start();
        for (const text of ["1", "2"]) first.outbox.add(...post(text));
        await sealed();
        first.outbox.close();
        first.connection.stop();
        server.up = true;
        const second = page();
        await second.outbox.open();
        expect(states(second.outbox.writes())).toEqual(["waiting", "waiting"]);
        second.connection.start();
        await sealed();
        await world.settle();
        await sealed();
        expect(said(server, "a")).toEqual(["1", "2"]);
        const third = page();
        await third.outbox.open();
        expect(third.outbox.writes()).toEqual([]);
    });

    it("shows what was refused until somebody discards it, and lets the rest go on", async () => {
        const { world, server, page } = await scene();
        const { connection, outbox } = page();
        connection.start();
        await world.settle();
        server.refusals = [{ op: "message.post", code: "archived", retry: false }];
        const refused = outbox.run(...post("1")).catch((why: unknown) => why);
        outbox.add(...post("2"));
        await sealed();
        await world.settle();
        await sealed();
        expect(await refused).toBeInstanceOf(Refused);
        expect(outbox.writes().map(({ state, refusal }) => [state, refusal?.code])).toEqual([
            ["refused", "archived"],
            ["stored", undefined],
        ]);
        const again = page();
        await again.outbox.open();
        const [left] = again.outbox.writes();
        expect(left).toMatchObject({ state: "refused", refusal: { code: "archived" }, data: { text: "1" } });
        expect(await again.outbox.discard(left?.key ?? "")).toBe(true);
        const last = page();
        await last.outbox.open();
        expect(last.outbox.writes()).toEqual([]);
    });

    it("sends a refused one again when asked to, and takes back what has not gone yet", async () => {
        const { world, server, page } = await scene();
        const { connection, outbox } = page();
        const waiting = outbox.add(...post("never"));
        await sealed();
        expect(await outbox.discard(waiting.key)).toBe(true);
        connection.start();
        await world.settle();
        server.refusals = [{ op: "message.post", code: "plan_item_closed", retry: false }];
        const write = outbox.add(...post("1"));
        await sealed();
        await world.settle();
        outbox.retry(write.key);
        await sealed();
        await world.settle();
        expect(said(server, "a")).toEqual(["1"]);
        expect(await outbox.discard(write.key)).toBe(false);
    });

    it("sends though the browser keeps nothing, and says so", async () => {
        const { world, server } = await scene();
        const full = {
            all: async () => [],
            put: () => Promise.reject(new Error("full")),
            remove: async () => undefined,
            wipe: async () => undefined,
        };
        const { connection, outbox } = client(
            { url: "wss://here", signIn: { token: "right" }, world },
            new Vault("me-user", await key(), full),
        );
        connection.start();
        outbox.add(...post("one"));
        await sealed();
        await world.settle();
        expect(said(server, "a")).toEqual(["one"]);
        expect(outbox.writes()[0]?.kept).toBe(false);
    });

    it("makes the golden requests", async () => {
        const world = new FakeWorld();
        for (const [, { request }] of ops().filter(([name]) =>
            ["message.post", "note.log", "task.create", "plan_item.add"].includes(name),
        )) {
            const { key: golden, ...data } = request.data;
            const sent: unknown[] = [];
            const asker = {
                ready: true,
                ask: async (op: string, data: unknown) => sent.push({ id: request.id, op, data }) as never,
            };
            world.uuid = () => (golden as string | undefined) ?? "00000000-0000-4000-8000-000000000000";
            const { Outbox } = await import("../src/index.ts");
            await new Outbox(asker, undefined, world).run(request.op as never, data as never);
            expect(sent).toEqual([{ ...request, data: { ...data, key: world.uuid() } }]);
        }
    });
});

/** What may happen to somebody who writes. */
type Step =
    | { does: "write"; channel: "a" | "b" }
    | { does: "cut" | "down" | "up" | "reload" | "pass" }
    | { does: "fate"; fate: Fate }
    | { does: "refuse"; code: string };

const step: fc.Arbitrary<Step> = fc.oneof(
    {
        weight: 5,
        arbitrary: fc.record({
            does: fc.constant("write" as const),
            channel: fc.constantFrom("a" as const, "b" as const),
        }),
    },
    {
        weight: 4,
        arbitrary: fc.record({
            does: fc.constantFrom("cut" as const, "down" as const, "up" as const, "reload" as const, "pass" as const),
        }),
    },
    {
        weight: 3,
        arbitrary: fc.record({
            does: fc.constant("fate" as const),
            fate: fc.constantFrom<Fate>("lost before", "lost after"),
        }),
    },
    {
        weight: 1,
        arbitrary: fc.record({
            does: fc.constant("refuse" as const),
            code: fc.constantFrom("busy", "internal", "rate_limited"),
        }),
    },
);

describe("whatever happens", () => {
    it("every write is stored once, in the order of its channel", async () => {
        await fc.assert(
            fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
                const { world, server, page } = await scene();
                let { connection, outbox } = page();
                connection.start();
                const written: Record<"a" | "b", string[]> = { a: [], b: [] };
                for (const [at, one] of steps.entries()) {
                    switch (one.does) {
                        case "write":
                            written[one.channel].push(`${at}`);
                            outbox.add(...post(`${at}`, one.channel));
                            // What is not kept yet goes with its page, and says so.
                            while (outbox.writes().some(({ kept }) => !kept)) await sealed();
                            break;
                        case "reload":
                            outbox.close();
                            connection.stop();
                            await sealed();
                            ({ connection, outbox } = page());
                            await outbox.open();
                            connection.start();
                            break;
                        case "cut":
                            server.cut();
                            break;
                        case "down":
                            server.up = false;
                            server.cut();
                            break;
                        case "up":
                            server.up = true;
                            break;
                        case "pass":
                            await world.pass(3_000);
                            break;
                        case "fate":
                            server.fates.push(one.fate);
                            break;
                        case "refuse":
                            server.refusals.push({ op: "message.post", code: one.code, retry: true });
                    }
                    await world.settle();
                }
                server.up = true;
                for (let turn = 0; turn < 60 && outbox.unsent > 0; turn += 1) {
                    await world.pass(10_000);
                    await sealed();
                }
                expect({ a: said(server, "a"), b: said(server, "b") }).toEqual(written);
            }),
            { numRuns: 60 },
        );
    });
});
