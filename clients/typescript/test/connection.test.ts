import { describe, expect, it } from "vitest";
import {
    type AnyEvent,
    Connection,
    Lost,
    Order,
    Refused,
    type Reset,
    type State,
    backoff,
    comesBack,
    parseFrame,
} from "../src/index.ts";
import { all, closeCodes, ops } from "./contract.ts";
import { FakeServer } from "./fake-server.ts";
import { FakeWorld } from "./fake-world.ts";

/** A connection to a small server, and what it says. */
function scene(cursors: Record<string, number> = { a: 0 }, token = "right") {
    const world = new FakeWorld();
    const server = new FakeServer(world);
    server.channels.set("a", []);
    const connection = new Connection({ url: "wss://here/v1/ws", signIn: { token }, cursors, world });
    const seen: string[] = [];
    const states: State[] = [];
    const resets: Reset[] = [];
    connection.on("event", (event: AnyEvent) =>
        seen.push("seq" in event ? `${event.channel}${event.seq}` : event.event),
    );
    connection.on("state", (state) => states.push(state));
    connection.on("reset", (reset) => resets.push(reset));
    return { world, server, connection, seen, states, resets };
}

const upTo = (channel: string, last: number, from = 1) =>
    Array.from({ length: last - from + 1 }, (_, at) => `${channel}${at + from}`);

describe("frames", () => {
    it("reads every golden frame", () => {
        for (const [, { frame }] of [
            ...all<{ frame: object }>("errors"),
            ...all<{ frame: object }>("notices"),
            ...all<{ frame: object }>("hello"),
            ...all<{ frame: object }>("events"),
        ]) {
            expect(parseFrame(JSON.stringify(frame))).toEqual(frame);
        }
        for (const [, { reply, events }] of ops())
            for (const frame of [reply, ...events]) expect(parseFrame(JSON.stringify(frame))).toEqual(frame);
    });

    it("passes over what later versions may bring, and what is no frame", () => {
        for (const text of ['{"type":"weather"}', "[]", "null", "{", '{"type":"event"}'])
            expect(parseFrame(text)).toBeUndefined();
    });

    it("knows of every close code whether to come back", () => {
        for (const { code, come_back } of closeCodes()) expect([code, comesBack(code)]).toEqual([code, come_back]);
    });

    it("waits twice as long each time, up to half a minute, with chance in it", () => {
        expect([0, 1, 2, 5, 50].map((attempt) => backoff(attempt, () => 1))).toEqual([
            1_000, 2_000, 4_000, 30_000, 30_000,
        ]);
        expect(backoff(3, () => 0)).toBe(4_000);
    });
});

describe("a connection", () => {
    it("signs in, catches up, and is live", async () => {
        const { world, server, connection, seen, states } = scene();
        server.write("a");
        server.write("a");
        connection.start();
        await world.settle();
        server.write("a");
        expect(seen).toEqual(["a1", "a2", "a3"]);
        expect(states.map(({ name }) => name)).toEqual(["connecting", "signing_in", "catching_up", "live"]);
        expect(connection.staleSince).toBeNull();
    });

    it("comes back after a cut and misses nothing, and says meanwhile since when it is stale", async () => {
        const { world, server, connection, seen, states } = scene();
        connection.start();
        await world.settle();
        server.write("a");
        const heard = world.now();
        await world.pass(5_000);
        server.up = false;
        server.cut();
        await world.settle();
        server.write("a");
        expect(connection.staleSince).toBe(heard);
        await world.pass(20_000);
        expect(connection.state.name).toBe("waiting");
        server.up = true;
        await world.pass(31_000);
        expect(connection.state.name).toBe("live");
        expect(seen).toEqual(["a1", "a2"]);
        const waits = states.filter((state) => state.name === "waiting");
        expect(waits.length).toBeGreaterThan(2);
    });

    it("tries at once when asked to", async () => {
        const { world, server, connection } = scene();
        server.up = false;
        connection.start();
        await world.settle();
        server.up = true;
        connection.retryNow();
        await world.settle();
        expect(connection.state.name).toBe("live");
    });

    it("hands on nothing twice", async () => {
        const { world, server, connection, seen } = scene();
        connection.start();
        await world.settle();
        server.write("a");
        const again = server.channels.get("a")?.[0];
        for (const line of server.lines) if (again) line.live("a", again);
        server.write("a");
        await world.settle();
        expect(seen).toEqual(["a1", "a2"]);
    });

    it("reads a hole before it hands on what lies behind it", async () => {
        const { world, server, connection, seen } = scene();
        connection.start();
        await world.settle();
        for (const line of server.lines) line.swallows = 3;
        for (let more = 0; more < 5; more += 1) server.write("a");
        await world.settle();
        expect(seen).toEqual(upTo("a", 5));
    });

    it("does not take a time away from the team for a hole", async () => {
        const { world, server, connection, seen } = scene({ a: 2 });
        for (let more = 0; more < 9; more += 1) server.write("a");
        server.gaps.set("a", [[3, 6]]);
        connection.start();
        await world.settle();
        expect(seen).toEqual(["a7", "a8", "a9"]);
        expect(connection.state.name).toBe("live");
    });

    it("reads anew what is too far behind, and follows on from there", async () => {
        const { world, server, connection, seen, resets } = scene();
        server.far = 5;
        for (let more = 0; more < 9; more += 1) server.write("a");
        connection.start();
        await world.settle();
        expect(resets.map(({ channel, events }) => [channel, events.map(({ seq }) => seq)])).toEqual([
            ["a", [1, 2, 3, 4, 5, 6, 7, 8, 9]],
        ]);
        server.write("a");
        expect(seen).toEqual(["a10"]);
    });

    it("lets go of what is not for this person any more", async () => {
        const { world, server, connection, resets } = scene({ a: 0, b: 3 });
        server.forbidden.add("b");
        connection.start();
        await world.settle();
        expect(resets).toEqual([{ channel: "b", events: [], more: false }]);
        expect(connection.cursors()).toEqual({ a: 0 });
        expect(connection.state.name).toBe("live");
    });

    it("does not come back with a credential that is refused, nor after the session ended", async () => {
        const wrong = scene({}, "wrong");
        wrong.connection.start();
        await wrong.world.settle();
        expect(wrong.connection.state).toMatchObject({ name: "ended", why: "signed_out" });
        const right = scene();
        right.connection.start();
        await right.world.settle();
        right.server.cut(4401);
        await right.world.pass(100_000);
        expect(right.connection.state).toMatchObject({ name: "ended", why: "signed_out", code: 4401 });
        right.server.write("a");
        right.connection.signInAs({ token: "right" });
        await right.world.settle();
        expect(right.seen).toEqual(["a1"]);
    });

    it("asks for a ticket each time, and waits where it cannot be had", async () => {
        const { world, server } = scene();
        let asked = 0;
        const ticket = async () => {
            asked += 1;
            if (asked === 1) throw new TypeError("network");
            return "right";
        };
        const connection = new Connection({ url: "wss://here", signIn: { ticket }, world });
        connection.start();
        await world.pass(2_000);
        expect(connection.state.name).toBe("live");
        server.cut(4503);
        await world.pass(2_000);
        expect([asked, connection.state.name]).toEqual([3, "live"]);
    });

    it("finds that a line is dead though nobody says so", async () => {
        const { world, server, connection, seen } = scene();
        connection.start();
        await world.settle();
        for (const line of server.lines) line.mute = true;
        server.write("a");
        await world.pass(25_000 * 2 + 12_000);
        expect(seen).toEqual(["a1"]);
        expect(connection.state.name).toBe("live");
    });

    it("answers what was asked, says no as the server does, and says when the answer was lost", async () => {
        const { world, server, connection } = scene();
        await expect(connection.ask("ping", {})).rejects.toBeInstanceOf(Lost);
        connection.start();
        await world.settle();
        await expect(connection.ask("ping", {})).resolves.toEqual({ time: "" });
        await expect(connection.ask("history", { channel: "nowhere" })).rejects.toMatchObject({ code: "not_found" });
        server.fates = ["lost after"];
        const lost = connection.ask("message.post", { channel: "a", text: "x" });
        await expect(lost).rejects.toBeInstanceOf(Lost);
    });

    it("keeps to the rate and to the number of unanswered commands, and lets people go first", async () => {
        const { world, server, connection } = scene();
        server.limits = { ...server.limits, commands_per_second: 20, commands_burst: 10, inflight: 4 };
        connection.start();
        await world.settle();
        const before = server.heard.length;
        const ahead = Array.from({ length: 30 }, () => connection.ask("ping", {}, "ahead"));
        const person = connection.ask("message.post", { channel: "a", text: "now" });
        await person;
        expect(server.heard.slice(before).findIndex(({ op }) => op === "message.post")).toBeLessThan(4);
        await world.pass(500);
        expect(server.heard.length - before).toBeLessThan(10 + 10);
        await world.pass(3_000);
        await Promise.all(ahead);
        expect(server.heard.length - before).toBe(31);
    });

    it("asks again what was refused for being too fast, and gives up on what goes on being refused", async () => {
        const { world, server, connection } = scene();
        connection.start();
        await world.settle();
        server.refusals = [{ op: "ping", code: "rate_limited", retry: true, retry_after_ms: 300 }];
        const asked = connection.ask("ping", {});
        await world.pass(400);
        await expect(asked).resolves.toEqual({ time: "" });
        server.refusals = Array.from({ length: 9 }, () => ({
            op: "ping",
            code: "rate_limited",
            retry: true,
            retry_after_ms: 300,
        }));
        const never = expect(connection.ask("ping", {})).rejects.toMatchObject({ code: "rate_limited" });
        await world.pass(10_000);
        await never;
    });

    it("does not send a frame over which the server would close", async () => {
        const { world, connection } = scene();
        connection.start();
        await world.settle();
        await expect(connection.ask("message.post", { channel: "a", text: "x".repeat(70_000) })).rejects.toBeInstanceOf(
            Refused,
        );
        expect(connection.state.name).toBe("live");
    });

    it("divides long lists of cursors", async () => {
        const cursors = Object.fromEntries(Array.from({ length: 2_300 }, (_, at) => [`c${at}`, 0]));
        const { world, server, connection } = scene(cursors);
        for (const channel of Object.keys(cursors)) server.channels.set(channel, []);
        connection.start();
        await world.settle();
        expect(
            server.heard
                .filter(({ op }) => op === "resume")
                .map(({ data }) => Object.keys(data.cursors as object).length),
        ).toEqual([1_000, 1_000, 300]);
    });
});

describe("order", () => {
    it("hands on each entry once and in order, however they come", async () => {
        const { default: fc } = await import("fast-check");
        const event = (seq: number) =>
            ({ type: "event", event: "message.posted", channel: "a", seq, at: "", by: "", data: {} }) as never;
        fc.assert(
            fc.property(
                fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 200 }),
                fc.integer({ min: 0, max: 5 }),
                (came, cursor) => {
                    const order = new Order({ a: cursor });
                    const out = came.flatMap((seq) => order.take(event(seq)).events.map((one) => one.seq));
                    expect(out).toEqual(Array.from({ length: out.length }, (_, at) => cursor + 1 + at));
                    const there = new Set(came);
                    let last = cursor;
                    while (there.has(last + 1)) last += 1;
                    expect(order.cursor("a")).toBe(last);
                    expect(order.hasHole("a")).toBe(came.some((seq) => seq > last));
                },
            ),
        );
    });
});
