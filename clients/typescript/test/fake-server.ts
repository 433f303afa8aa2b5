// A server small enough to be seen through: it keeps the promises of docs/protocol.md section 4, on lines that break
// when a test says so.
import type { Socket } from "../src/index.ts";
import type { FakeWorld } from "./fake-world.ts";

interface Frame {
    id: number;
    op: string;
    data: Record<string, unknown>;
}
export interface Stored {
    seq: number;
    event: string;
    by: string;
    data: Record<string, unknown>;
}

const LIMITS = {
    commands_per_second: 1_000,
    commands_burst: 1_000,
    inflight: 32,
    sockets_per_user: 20,
    sockets_per_address: 200,
    sign_in_seconds: 10,
    idle_minutes: 15,
    frame_bytes: 65_536,
    text_chars: 8_000,
};

/** How a line treats what goes over it. */
export type Fate = "through" | "lost before" | "lost after";

export class FakeServer {
    readonly channels = new Map<string, Stored[]>();
    /** What the server says of cursors and holes: entries that this person may not have. */
    readonly gaps = new Map<string, [number, number][]>();
    readonly forbidden = new Set<string>();
    readonly heard: Frame[] = [];
    readonly lines = new Set<Line>();
    /** First answers, by author, channel and key. */
    readonly answers = new Map<string, Record<string, unknown>>();
    up = true;
    token = "right";
    limits = { ...LIMITS };
    /** What becomes of the next writes. */
    fates: Fate[] = [];
    /** Said no to, once each, by op. */
    refusals: { op: string; code: string; retry: boolean; retry_after_ms?: number }[] = [];
    /** Cursors older than this many entries are reset. */
    far = 10_000;
    readonly world: FakeWorld;

    constructor(world: FakeWorld) {
        this.world = world;
        world.opens = (_url, protocols) => new Line(this, protocols);
    }

    /** Someone else writes. */
    write(channel: string, event = "message.posted", data: Record<string, unknown> = {}, by = "other"): Stored {
        const entries = this.channels.get(channel) ?? [];
        this.channels.set(channel, entries);
        const stored = {
            seq: entries.length + 1,
            event,
            by,
            data: { id: `${channel}-${entries.length + 1}`, ...data },
        };
        entries.push(stored);
        for (const line of this.lines) line.live(channel, stored);
        return stored;
    }

    /** All lines break, as when a process is killed. */
    cut(code = 1006): void {
        for (const line of [...this.lines]) line.end(code);
    }
}

export const frameOf = (channel: string, { seq, event, by, data }: Stored) => ({
    type: "event",
    event,
    channel,
    seq,
    at: "2026-01-02T03:04:05.000000Z",
    by,
    data,
});

export class Line implements Socket {
    onopen = null;
    onmessage: ((event: { data: unknown }) => void) | null = null;
    onclose: ((event: { code: number; reason: string }) => void) | null = null;
    onerror = null;
    readonly #server: FakeServer;
    #signed = false;
    #follows = false;
    #over = false;
    /** Live events that this line swallows: a hole. */
    swallows = 0;
    mute = false;

    constructor(server: FakeServer, protocols: string[]) {
        this.#server = server;
        this.#signed = protocols.some((protocol) => protocol === `ticket.${server.token}`);
        server.lines.add(this);
        void Promise.resolve().then(() => {
            if (!server.up) return this.end(1006);
            const who = this.#signed
                ? { auth: "ok", user: "me-user", session: "s", expires_at: "2026-01-02T03:04:05Z" }
                : { auth: "required" };
            this.say({
                type: "hello",
                proto: "carethread.v1",
                server: "0",
                ping_s: 25,
                time: "",
                limits: server.limits,
                ...who,
            });
        });
    }

    say(frame: object): void {
        if (!this.#over && !this.mute) this.onmessage?.({ data: JSON.stringify(frame) });
    }

    live(channel: string, stored: Stored): void {
        if (!this.#follows || this.#server.forbidden.has(channel)) return;
        if (this.swallows > 0) this.swallows -= 1;
        else this.say(frameOf(channel, stored));
    }

    end(code: number): void {
        if (this.#over) return;
        this.#over = true;
        this.#server.lines.delete(this);
        void Promise.resolve().then(() => this.onclose?.({ code, reason: "" }));
    }

    close(): void {
        this.end(1000);
    }

    send(text: string): void {
        if (this.#over || this.mute) return;
        const frame = JSON.parse(text) as Frame;
        this.#server.heard.push(frame);
        // As over a network: never within the call.
        void Promise.resolve().then(() => this.#answer(frame));
    }

    #answer(frame: Frame): void {
        if (this.#over) return;
        const { id, op, data } = frame;
        const reply = (body: object) => this.say({ type: "reply", id, data: body });
        const refuse = (code: string, more: object = {}) =>
            this.say({ type: "error", id, error: { code, title: code, retry: false, ...more } });
        const no = this.#server.refusals.findIndex((refusal) => refusal.op === op);
        if (no >= 0) {
            const { code, op: _, ...more } = this.#server.refusals.splice(no, 1)[0] as { op: string; code: string };
            return refuse(code, more);
        }
        switch (op) {
            case "login":
                if (data.token !== this.#server.token) return refuse("unauthenticated");
                this.#signed = true;
                return reply({ user: "me-user", session: "s", expires_at: "2026-01-02T03:04:05Z", channels: [] });
            case "ping":
                return reply({ time: "" });
            case "resume":
                return this.#resume(data.cursors as Record<string, number> | undefined, reply);
            case "history":
                return this.#history(data as never, reply, () => refuse("not_found"));
            case "receipts":
                return reply({
                    receipts: [{ user: "other", delivered_at: null, read_at: "2026-01-02T03:04:05Z" }],
                    by: "me-user",
                });
            default:
                return this.#write(op, data, reply);
        }
    }

    #resume(cursors: Record<string, number> = {}, reply: (body: object) => void): void {
        if (!this.#signed) return this.end(4408);
        const sent: Record<string, number> = {};
        const reset: string[] = [];
        for (const [channel, cursor] of Object.entries(cursors)) {
            const entries = this.#server.channels.get(channel);
            if (
                !entries ||
                this.#server.forbidden.has(channel) ||
                cursor > entries.length ||
                entries.length - cursor > this.#server.far
            ) {
                reset.push(channel);
                continue;
            }
            const gaps = this.#server.gaps.get(channel) ?? [];
            const later = entries.filter(
                ({ seq }) => seq > cursor && !gaps.some(([from, to]) => seq >= from && seq <= to),
            );
            for (const stored of later) this.say(frameOf(channel, stored));
            sent[channel] = later.length;
        }
        this.#follows = true;
        reply({
            sent,
            reset,
            gaps: Object.fromEntries(
                Object.keys(sent).flatMap((channel) =>
                    this.#server.gaps.has(channel) ? [[channel, this.#server.gaps.get(channel)]] : [],
                ),
            ),
        });
    }

    #history(
        { channel, after, limit = 50 }: { channel: string; after?: number; limit?: number },
        reply: (body: object) => void,
        refuse: () => void,
    ): void {
        const entries = this.#server.channels.get(channel);
        if (!entries || this.#server.forbidden.has(channel)) return refuse();
        const gaps = this.#server.gaps.get(channel) ?? [];
        const open = entries.filter(({ seq }) => !gaps.some(([from, to]) => seq >= from && seq <= to));
        const asked = after === undefined ? open.slice(-limit) : open.filter(({ seq }) => seq > after).slice(0, limit);
        const more =
            after === undefined
                ? asked.length < open.length
                : (asked.at(-1)?.seq ?? 0) < (open.at(-1)?.seq ?? 0) && asked.length > 0;
        reply({ events: asked.map((stored) => frameOf(channel, stored)), more, gaps });
    }

    #write(op: string, { key, ...data }: Record<string, unknown>, reply: (body: object) => void): void {
        const fate = this.#server.fates.shift() ?? "through";
        if (fate === "lost before") return this.end(1006);
        const channel = data.channel as string;
        const name = `${channel} ${key as string}`;
        const first = this.#server.answers.get(name);
        if (!first) {
            const { seq, data: made } = this.#server.write(
                channel,
                op === "message.post" ? "message.posted" : op,
                { ...data, key },
                "me-user",
            );
            this.#server.answers.set(name, { id: made.id, channel, seq, at: "2026-01-02T03:04:05.000000Z", head: "" });
        }
        if (fate === "lost after") return this.end(1006);
        reply(first ? { ...first, repeat: true } : (this.#server.answers.get(name) as object));
    }
}
