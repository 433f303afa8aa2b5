// A world whose clock stands until it is moved, so that nothing is waited for.
import { webcrypto } from "node:crypto";
import type { Socket, World } from "../src/index.ts";

export class FakeWorld implements World {
    #now = 1_800_000_000_000;
    #timers: { at: number; order: number; run: () => void }[] = [];
    #order = 0;
    #seed: number;
    opens: (url: string, protocols: string[]) => Socket = () => {
        throw new Error("nobody answers");
    };
    fetch: typeof fetch = () => Promise.reject(new Error("no HTTP here"));

    constructor(seed = 1) {
        this.#seed = seed;
    }

    now(): number {
        return this.#now;
    }

    random(): number {
        // Mulberry32: as random as jitter has to be, and the same each time.
        this.#seed = (this.#seed + 0x6d2b79f5) | 0;
        let mixed = Math.imul(this.#seed ^ (this.#seed >>> 15), 1 | this.#seed);
        mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
        return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
    }

    after(ms: number, run: () => void): () => void {
        const timer = { at: this.#now + ms, order: ++this.#order, run };
        this.#timers.push(timer);
        return () => {
            this.#timers = this.#timers.filter((other) => other !== timer);
        };
    }

    socket(url: string, protocols: string[]): Socket {
        return this.opens(url, protocols);
    }

    uuid(): string {
        return webcrypto.randomUUID();
    }

    /** Lets what is ready happen. */
    async settle(): Promise<void> {
        for (let turn = 0; turn < 40; turn += 1) await Promise.resolve();
    }

    /** Lets time pass, with everything that is due in it. */
    async pass(ms: number): Promise<void> {
        const end = this.#now + ms;
        await this.settle();
        for (;;) {
            const due = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at || a.order - b.order)[0];
            if (!due) break;
            this.#timers = this.#timers.filter((other) => other !== due);
            this.#now = Math.max(this.#now, due.at);
            due.run();
            await this.settle();
        }
        this.#now = end;
        await this.settle();
    }
}
