// Writes on their way. Each has its `key` from the first moment, is kept before it is sent, and is sent under that key
// until there is an answer: so it is done once, whatever happens to the line, the page or the server. What is for the
// same place goes in the order it was written.
import { backoff } from "./closing.ts";
import type { Data, Refusal, Reply, WriteName } from "./frames.ts";
import type { ReceiptOf } from "./generated.ts";
import { Lost, Refused } from "./sign-in.ts";
import { Signals } from "./signals.ts";
import type { Vault } from "./vault.ts";
import { type World, ambient } from "./world.ts";

/**
 * `waiting`: kept here. `sent`: on its way, no answer yet. `stored`: on the server's disk. `read`: somebody else has
 * read it. `refused`: the server said no, and will again; it stays until somebody discards it.
 */
export type WriteState = "waiting" | "sent" | "stored" | "read" | "refused";

export interface Write<Op extends WriteName = WriteName> {
    readonly key: string;
    readonly op: Op;
    readonly data: Data<Op>;
    /** When it was written, in milliseconds since 1970. */
    readonly written: number;
    readonly state: WriteState;
    /** Whether it survives the page; false where the browser refused to keep it. */
    readonly kept: boolean;
    readonly reply?: Reply<Op>;
    readonly refusal?: Refusal;
    /** Who has read it, once that was asked. */
    readonly readers?: readonly string[];
}

/** What of a connection an outbox uses. */
export interface Asker {
    ask<Op extends WriteName | "receipts">(op: Op, data: Data<Op>): Promise<Reply<Op>>;
    /** Whether somebody is signed in and can write. */
    readonly ready: boolean;
}

export interface Changes {
    changed: Write;
    discarded: Write;
}

/** Writes that were stored are shown until this many newer ones are. */
const STORED_SHOWN = 200;
/** The server could not, just now; the same write may succeed later. */
const LATER = new Set(["busy", "internal", "rate_limited", "sealed", "unauthenticated"]);

interface Kept {
    op: WriteName;
    data: unknown;
    written: number;
    refusal?: Refusal;
}

export class Outbox {
    readonly #signals = new Signals<Changes>();
    readonly #asker: Asker;
    readonly #vault: Vault | undefined;
    readonly #world: World;
    readonly #writes = new Map<string, Write>();
    readonly #orders = new Map<string, number>();
    readonly #answers = new Map<string, { answer: (reply: never) => void; refuse: (why: Error) => void }>();
    /** Places where a write is under way. */
    readonly #busy = new Set<string>();
    /** What is being kept: it is not sent before it is. */
    readonly #keeping = new Set<string>();
    /** When what the server could not do just now is sent again. */
    readonly #notBefore = new Map<string, number>();
    #order = 0;
    #failures = 0;
    #stopTimer: () => void = () => undefined;
    #closed = false;

    /** Without a vault, writes live as long as the page. */
    constructor(asker: Asker, vault?: Vault, world: World = ambient()) {
        this.#asker = asker;
        this.#vault = vault;
        this.#world = world;
    }

    readonly on = this.#signals.on.bind(this.#signals);

    /** What earlier pages left, in order; how many could not be opened. */
    async open(): Promise<number> {
        if (!this.#vault) return 0;
        const { values, lost } = await this.#vault.all<Kept>("write");
        for (const { id, order, value } of values) {
            if (this.#writes.has(id)) continue;
            const { op, data, written, refusal } = value;
            this.#orders.set(id, order);
            this.#order = Math.max(this.#order, order);
            const state = refusal ? "refused" : "waiting";
            this.#set({
                key: id,
                op,
                data: data as Data<WriteName>,
                written,
                state,
                kept: true,
                ...(refusal ? { refusal } : {}),
            });
        }
        this.pump();
        return lost;
    }

    /** All there is to show, in the order it was written. */
    writes(): Write[] {
        const order = (write: Write) => this.#orders.get(write.key) ?? 0;
        return [...this.#writes.values()].sort((a, b) => order(a) - order(b));
    }

    /** How many are not on the server yet. */
    get unsent(): number {
        return [...this.#writes.values()].filter(({ state }) => state === "waiting" || state === "sent").length;
    }

    /** Takes a write in. It is shown at once, and sent as soon as it is kept. */
    add<Op extends WriteName>(op: Op, data: Data<Op>): Write<Op> {
        const key = this.#world.uuid();
        const write: Write<Op> = { key, op, data, written: this.#world.now(), state: "waiting", kept: false };
        this.#order += 1;
        this.#orders.set(key, this.#order);
        const kept = this.#keep(write as unknown as Write);
        this.#set(write as unknown as Write);
        void kept.then(() => this.pump());
        return write;
    }

    /** Takes a write in and waits for the server's answer, however long that takes; `Refused` if it is no. */
    async run<Op extends WriteName>(op: Op, data: Data<Op>): Promise<Reply<Op>> {
        const { key } = this.add(op, data);
        return new Promise((answer, refuse) => this.#answers.set(key, { answer, refuse }));
    }

    /**
     * Takes back what is not sent, or clears away what was refused; whether that could be. What was sent may be stored
     * already.
     */
    async discard(key: string): Promise<boolean> {
        const write = this.#writes.get(key);
        if (!write || (write.state !== "waiting" && write.state !== "refused")) return false;
        this.#writes.delete(key);
        this.#answers.get(key)?.refuse(new Lost());
        this.#answers.delete(key);
        await this.#forget(key);
        this.#signals.say("discarded", write);
        this.pump();
        return true;
    }

    /** Sends a refused one again, under its key: what stood in the way may be gone. */
    retry(key: string): void {
        const write = this.#writes.get(key);
        if (write?.state !== "refused") return;
        const { refusal: _, ...rest } = write;
        this.#set({ ...rest, state: "waiting" });
        void this.#keep(this.#writes.get(key) as Write).then(() => this.pump());
    }

    /** Asks who has read it; nobody is told live. */
    async look(key: string): Promise<void> {
        const write = this.#writes.get(key);
        if (!write?.reply || (write.op !== "message.post" && write.op !== "note.log") || !("seq" in write.reply))
            return;
        const { channel, seq } = write.reply as { channel: string; seq: number };
        const receipts = await this.#asker.ask("receipts", { channel, seq });
        const readers = receipts.receipts
            .filter((one: ReceiptOf) => one.read_at && one.user !== receipts.by)
            .map((one: ReceiptOf) => one.user);
        const now = this.#writes.get(key);
        if (now) this.#set({ ...now, readers, state: readers.length > 0 ? "read" : "stored" });
    }

    /** Sends what waits; for when somebody has signed in. */
    pump(): void {
        if (this.#closed || !this.#asker.ready) return;
        const taken = new Set(this.#busy);
        let next = Infinity;
        for (const write of this.writes()) {
            const place = placeOf(write);
            if (write.state !== "waiting" || taken.has(place)) continue;
            // Whether it can go or not, nothing behind it may overtake it.
            taken.add(place);
            const wait = (this.#notBefore.get(write.key) ?? 0) - this.#world.now();
            if (wait > 0) next = Math.min(next, wait);
            else if (!this.#keeping.has(write.key)) {
                this.#busy.add(place);
                void this.#send(write, place);
            }
        }
        this.#stopTimer();
        if (next !== Infinity) this.#stopTimer = this.#world.after(next, () => this.pump());
    }

    /** Nothing more is sent; what is kept stays kept. */
    close(): void {
        this.#closed = true;
        this.#stopTimer();
    }

    async #send(write: Write, place: string): Promise<void> {
        this.#set({ ...write, state: "sent" });
        try {
            const reply = await this.#asker.ask(write.op, { ...write.data, key: write.key } as Data<WriteName>);
            this.#failures = 0;
            await this.#stored(write.key, reply);
        } catch (why) {
            await this.#failed(write.key, why);
        } finally {
            this.#busy.delete(place);
            this.pump();
        }
    }

    async #stored(key: string, reply: Reply<WriteName>): Promise<void> {
        const write = this.#writes.get(key);
        if (!write) return;
        this.#set({ ...write, state: "stored", reply });
        this.#notBefore.delete(key);
        (this.#answers.get(key)?.answer as ((reply: Reply<WriteName>) => void) | undefined)?.(reply);
        this.#answers.delete(key);
        await this.#forget(key);
        const done = this.writes().filter(({ state }) => state === "stored" || state === "read");
        for (const old of done.slice(0, Math.max(0, done.length - STORED_SHOWN))) {
            this.#writes.delete(old.key);
            this.#orders.delete(old.key);
        }
    }

    async #failed(key: string, why: unknown): Promise<void> {
        const write = this.#writes.get(key);
        if (!write) return;
        if (why instanceof Refused && !LATER.has(why.code) && !why.refusal.retry) {
            const refused: Write = { ...write, state: "refused", refusal: why.refusal };
            this.#set(refused);
            this.#answers.get(key)?.refuse(why);
            this.#answers.delete(key);
            return this.#keep(refused);
        }
        this.#set({ ...write, state: "waiting" });
        // Without a connection, the next sign-in sends it; with one, time does.
        if (why instanceof Lost) return;
        const wait = Math.max(
            backoff(this.#failures, () => this.#world.random()),
            why instanceof Refused ? (why.refusal.retry_after_ms ?? 0) : 0,
        );
        this.#failures += 1;
        this.#notBefore.set(key, this.#world.now() + wait);
    }

    async #keep(write: Write): Promise<void> {
        if (!this.#vault) return;
        this.#keeping.add(write.key);
        try {
            const { op, data, written, refusal } = write;
            await this.#vault.keep("write", write.key, this.#orders.get(write.key) ?? 0, {
                op,
                data,
                written,
                ...(refusal ? { refusal } : {}),
            });
            const now = this.#writes.get(write.key);
            if (now) this.#set({ ...now, kept: true });
            else await this.#forget(write.key);
        } catch {
            // A full or forbidden store is no reason not to send: it is said (`kept`), and lives as long as the page.
        } finally {
            this.#keeping.delete(write.key);
        }
    }

    async #forget(key: string): Promise<void> {
        // What could not be taken away is sent again by the next page, under the same key: the server answers as
        // before.
        await this.#vault?.drop("write", key).catch(() => undefined);
    }

    #set(write: Write): void {
        this.#writes.set(write.key, write);
        this.#signals.say("changed", write);
    }
}

/** What has to stay in order: the writes to one channel; others name what they change, which exists already. */
function placeOf(write: Write): string {
    const { channel } = write.data as { channel?: string };
    return channel ?? write.key;
}
