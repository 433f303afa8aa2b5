// Commands under way on one socket: each finds its answer by its `id`, no more at a time than the server takes, and
// people go before what is read ahead for them. A socket that ends takes its questions with it.
import type { ErrorFrame, OpName, ReplyFrame } from "./frames.ts";
import { Lost, Refused } from "./sign-in.ts";
import type { World } from "./world.ts";

export interface Limits {
    inflight: number;
    commands_per_second: number;
    commands_burst: number;
    frame_bytes: number;
}

/** `ahead` is what nobody waits for at this moment. */
export type Lane = "person" | "ahead";

interface Question {
    op: OpName;
    data: unknown;
    repeats: number;
    answer(data: unknown): void;
    refuse(why: Error): void;
}

/** Refused for being too fast, a command was not done: it may be asked again, but not for ever. */
const REPEATS_MAX = 5;
/** Slower than allowed by this much, as clocks and networks bunch frames together. */
const SLACK = 1.1;

export class Questions {
    readonly #world: World;
    readonly #limits: Limits;
    readonly #send: (text: string) => void;
    readonly #lanes: Record<Lane, Question[]> = { person: [], ahead: [] };
    readonly #unanswered = new Map<number, Question>();
    /** Refused for being too fast, and to be asked again in a moment. */
    readonly #resting = new Set<Question>();
    readonly #timers = new Set<() => void>();
    #id = 0;
    #pumping = false;
    /**
     * When a command would come that keeps exactly to the rate (the "theoretical arrival time" of GCRA, ITU-T I.371).
     */
    #due = 0;
    #over = false;

    constructor(world: World, limits: Limits, send: (text: string) => void) {
        this.#world = world;
        this.#limits = limits;
        this.#send = send;
    }

    ask(op: OpName, data: unknown, lane: Lane = "person"): Promise<unknown> {
        if (this.#over) return Promise.reject(new Lost());
        return new Promise((answer, refuse) => {
            this.#lanes[lane].push({ op, data, repeats: 0, answer, refuse });
            this.#pump();
        });
    }

    /** An answer that came; whether it was one to something here. */
    heard(frame: ReplyFrame | ErrorFrame): boolean {
        const question = typeof frame.id === "number" ? this.#unanswered.get(frame.id) : undefined;
        if (!question) return false;
        this.#unanswered.delete(frame.id as number);
        if (frame.type === "reply") question.answer(frame.data);
        else if (frame.error.code === "rate_limited" && question.repeats < REPEATS_MAX && question.op !== "login")
            this.#later(question, frame.error.retry_after_ms ?? 1_000);
        else question.refuse(new Refused(frame.error));
        this.#pump();
        return true;
    }

    /** The socket is gone. */
    end(): void {
        this.#over = true;
        for (const stop of this.#timers) stop();
        this.#timers.clear();
        const left = [...this.#unanswered.values(), ...this.#resting, ...this.#lanes.person, ...this.#lanes.ahead];
        this.#unanswered.clear();
        this.#resting.clear();
        this.#lanes.person = [];
        this.#lanes.ahead = [];
        for (const question of left) question.refuse(new Lost());
    }

    #later(question: Question, ms: number): void {
        question.repeats += 1;
        this.#resting.add(question);
        this.#timer(ms, () => {
            this.#resting.delete(question);
            this.#lanes.person.unshift(question);
            this.#pump();
        });
    }

    #timer(ms: number, run: () => void): void {
        const stop = this.#world.after(ms, () => {
            this.#timers.delete(stop);
            run();
        });
        this.#timers.add(stop);
    }

    #pump(): void {
        while (!this.#over && !this.#pumping) {
            // Half of what may be unanswered stays free for a person.
            const lane = this.#lanes.person.length > 0 ? "person" : "ahead";
            const room = lane === "person" ? this.#limits.inflight : Math.max(1, this.#limits.inflight >> 1);
            if (this.#lanes[lane].length === 0 || this.#unanswered.size >= room) return;
            const wait = this.#wait();
            if (wait > 0) {
                this.#pumping = true;
                this.#timer(wait, () => {
                    this.#pumping = false;
                    this.#pump();
                });
                return;
            }
            this.#put(this.#lanes[lane].shift() as Question);
        }
    }

    #wait(): number {
        const interval = (1_000 / this.#limits.commands_per_second) * SLACK;
        const early = interval * Math.max(0, this.#limits.commands_burst / SLACK - 1);
        return Math.ceil(Math.max(this.#due, this.#world.now()) - early - this.#world.now());
    }

    #put(question: Question): void {
        const id = ++this.#id;
        const text = JSON.stringify({ id, op: question.op, data: question.data });
        // The server closes a socket over a frame that is too long: it would be sent again, and end every connection
        // there is.
        if (new TextEncoder().encode(text).length > this.#limits.frame_bytes) {
            const title = "This is too long to be sent in one piece";
            question.refuse(new Refused({ code: "too_large", title, retry: false } as Refused["refusal"]));
            return;
        }
        this.#due = Math.max(this.#due, this.#world.now()) + (1_000 / this.#limits.commands_per_second) * SLACK;
        this.#unanswered.set(id, question);
        this.#send(text);
    }
}
