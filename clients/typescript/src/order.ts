// What came of each channel, in order: nothing twice, nothing missing. Knows no socket; `connection.ts` reads what is
// found to be missing.
import type { KeptEvent } from "./frames.ts";

export type Cursors = Record<string, number>;
/**
 * From and to, both in it: entries between a removal from the team and a return. They are never to be had, and no
 * hole.
 */
export type Gap = [number, number];

/** What waits behind a hole of one channel. Beyond it everything is read again, which costs time and no event. */
const WAITING_MAX = 10_000;

export interface Taken {
    /** To be handed on, in order. */
    events: KeptEvent[];
    /** Something before what came is missing. */
    hole: boolean;
}

export class Order {
    readonly #cursors = new Map<string, number>();
    readonly #waiting = new Map<string, Map<number, KeptEvent>>();
    readonly #gaps = new Map<string, Gap[]>();

    constructor(cursors: Cursors = {}) {
        for (const [channel, seq] of Object.entries(cursors)) this.#cursors.set(channel, seq);
    }

    /** The last that was handed on, of each channel. */
    cursors(): Cursors {
        return Object.fromEntries(this.#cursors);
    }

    cursor(channel: string): number | undefined {
        return this.#cursors.get(channel);
    }

    hasHole(channel: string): boolean {
        return (this.#waiting.get(channel)?.size ?? 0) > 0;
    }

    /** What came goes in; what is next comes out. */
    take(event: KeptEvent): Taken {
        const cursor = this.#cursors.get(event.channel);
        // A channel that became readable is followed from the entry that says so.
        if (cursor === undefined) this.#cursors.set(event.channel, event.seq - 1);
        else if (event.seq <= cursor) return { events: [], hole: false };
        const waiting = this.#waiting.get(event.channel) ?? new Map<number, KeptEvent>();
        if (waiting.size >= WAITING_MAX) waiting.clear();
        waiting.set(event.seq, event);
        this.#waiting.set(event.channel, waiting);
        const events = this.#next(event.channel);
        return { events, hole: this.hasHole(event.channel) };
    }

    /** Says which entries are not to be waited for. */
    allow(channel: string, gaps: readonly Gap[]): KeptEvent[] {
        if (gaps.length === 0) return [];
        this.#gaps.set(channel, [...(this.#gaps.get(channel) ?? []), ...gaps]);
        return this.#next(channel);
    }

    /** Goes on from there, whatever was before: the channel is read anew. */
    restart(channel: string, seq: number): void {
        this.#waiting.delete(channel);
        this.#gaps.delete(channel);
        this.#cursors.set(channel, seq);
    }

    /** The channel is not for this person any more. */
    drop(channel: string): void {
        this.#cursors.delete(channel);
        this.#waiting.delete(channel);
        this.#gaps.delete(channel);
    }

    #next(channel: string): KeptEvent[] {
        const waiting = this.#waiting.get(channel);
        const events: KeptEvent[] = [];
        let cursor = this.#cursors.get(channel);
        if (!waiting || cursor === undefined) return events;
        for (;;) {
            cursor = this.#beyond(channel, cursor);
            const event = waiting.get(cursor + 1);
            if (!event) break;
            waiting.delete(event.seq);
            events.push(event);
            cursor = event.seq;
        }
        this.#cursors.set(channel, cursor);
        for (const seq of waiting.keys()) if (seq <= cursor) waiting.delete(seq);
        if (waiting.size === 0) this.#waiting.delete(channel);
        return events;
    }

    /** The end of the gap that begins behind the cursor, if one does. */
    #beyond(channel: string, cursor: number): number {
        let at = cursor;
        for (const [from, to] of this.#gaps.get(channel) ?? []) if (from <= at + 1 && to > at) at = to;
        return at;
    }
}
