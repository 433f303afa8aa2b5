// A connection that outlives its sockets: signs in, says where it is in each channel, hands on every entry once and in
// order, comes back by itself, and says at any time whether what one has is up to date. Knows no store and no outbox.
import { backoff, comesBack } from "./closing.ts";
import {
    type AnyEvent,
    type Data,
    type ErrorFrame,
    type HelloFrame,
    type KeptEvent,
    type NoticeFrame,
    type OpName,
    type Refusal,
    type Reply,
    type ReplyFrame,
    isKept,
    parseFrame,
} from "./frames.ts";
import type { Channel, HistoryReply, LoginReply, ResumeReply } from "./generated.ts";
import { type Cursors, Order } from "./order.ts";
import { type Lane, Questions } from "./questions.ts";
import { Lost, Refused, type SignIn } from "./sign-in.ts";
import { Signals } from "./signals.ts";
import { type Socket, type World, ambient } from "./world.ts";

/** Where a connection is. Only `live` means that nothing is missing. */
export type State =
    | { name: "connecting" | "signing_in" | "catching_up"; attempt: number }
    | { name: "live" }
    | { name: "waiting"; attempt: number; until: number; code: number }
    | { name: "ended"; why: "stopped" | "signed_out" | "refused"; code?: number; refusal?: Refusal };

export interface SignedIn {
    user: string;
    session: string;
    expires_at: string;
    /** As `login` gives them; with a ticket, ask `channel.list`. */ channels?: Channel[];
}

/**
 * What of a channel is read anew: all that was held of it goes, `events` is its newest page. Without events it is not
 * for this person any more.
 */
export interface Reset {
    channel: string;
    events: KeptEvent[];
    more: boolean;
}

export interface Heard {
    state: State;
    signed_in: SignedIn;
    event: AnyEvent;
    reset: Reset;
    notice: NoticeFrame;
}

export interface Options {
    /** `wss://HOST:PORT/v1/ws`. */
    url: string;
    signIn: SignIn;
    /** Where to go on; what is not named is followed from now. */
    cursors?: Cursors;
    world?: World;
}

/** Cursors in one `resume`: at 45 bytes each they fit into a frame. */
const CURSORS_PER_RESUME = 1_000;
const PAGE = 200;
/**
 * An answer to a ping takes no longer, even from a phone on a train; then the line is dead, whatever the browser says.
 */
const PONG_MS = 10_000;

export class Connection {
    readonly #signals = new Signals<Heard>();
    readonly #options: Options;
    readonly #world: World;
    readonly #order: Order;
    #signIn: SignIn;
    #state: State = { name: "ended", why: "stopped" };
    #socket: Socket | undefined;
    #questions: Questions | undefined;
    #attempt = 0;
    /** After how long a session ends that nobody uses; undefined until the server has said so. */
    idleMinutes: number | undefined;
    #heardAt = 0;
    #liveUntil: number | undefined;
    #stopTimer: () => void = () => undefined;
    readonly #reading = new Set<string>();
    /** Raised with every socket, so that what is late finds that it is. */
    #era = 0;

    constructor(options: Options) {
        this.#options = options;
        this.#world = options.world ?? ambient();
        this.#order = new Order(options.cursors);
        this.#signIn = options.signIn;
    }

    readonly on = this.#signals.on.bind(this.#signals);

    get state(): State {
        return this.#state;
    }

    /**
     * When what is shown was last known to be up to date, in milliseconds since 1970: null while it is, undefined if
     * it never was.
     */
    get staleSince(): number | null | undefined {
        return this.#state.name === "live" ? null : this.#liveUntil;
    }

    /** The highest `seq` that was handed on, of each channel: keep it, and give it to the next connection. */
    cursors(): Cursors {
        return this.#order.cursors();
    }

    start(): void {
        if (this.#state.name === "ended") this.#connect();
    }

    /** Ends it as far as this side is concerned; the session stays. */
    stop(): void {
        this.#leave({ name: "ended", why: "stopped" });
    }

    /** Starts again as somebody who signed in anew. */
    signInAs(signIn: SignIn): void {
        this.#signIn = signIn;
        this.#attempt = 0;
        this.#leave({ name: "ended", why: "stopped" });
        this.#connect();
    }

    /** Tries at once: the network is back, or somebody asks to. */
    retryNow(): void {
        if (this.#state.name !== "waiting") return;
        this.#stopTimer();
        this.#connect();
    }

    /**
     * Asks something: `Refused` if the server says no, `Lost` if no answer came. What writes goes through an outbox,
     * which asks until there is an answer.
     */
    ask<Op extends OpName>(op: Op, data: Data<Op>, lane?: Lane): Promise<Reply<Op>> {
        return (this.#questions?.ask(op, data, lane) ?? Promise.reject(new Lost())) as Promise<Reply<Op>>;
    }

    /** Follows a channel from there on, if it is not followed yet: what was read with `history` ends at `seq`. */
    async follow(cursors: Cursors): Promise<void> {
        for (const [channel, seq] of Object.entries(cursors))
            if ((this.#order.cursor(channel) ?? -1) < seq) this.#order.restart(channel, seq);
        await this.#resume(cursors);
    }

    #say(state: State): void {
        if (this.#state.name === "live" && state.name !== "live") this.#liveUntil = this.#heardAt;
        this.#state = state;
        this.#signals.say("state", state);
    }

    #connect(): void {
        const era = ++this.#era;
        this.#say({ name: "connecting", attempt: this.#attempt });
        if ("token" in this.#signIn) return this.#open(era, ["carethread.v1"]);
        this.#signIn.ticket().then(
            (ticket) => era === this.#era && this.#open(era, ["carethread.v1", `ticket.${ticket}`]),
            (why: unknown) => era === this.#era && this.#unsigned(why),
        );
    }

    /** No ticket: either this person is not signed in, or the server cannot be reached just now. */
    #unsigned(why: unknown): void {
        if (why instanceof Refused && ["unauthenticated", "forbidden", "not_found"].includes(why.code)) {
            return this.#leave({ name: "ended", why: "signed_out", refusal: why.refusal });
        }
        this.#comeBack(1006, why instanceof Refused ? (why.refusal.retry_after_ms ?? 0) : 0);
    }

    #open(era: number, protocols: string[]): void {
        const socket = this.#world.socket(this.#options.url, protocols);
        this.#socket = socket;
        const current = () => era === this.#era;
        socket.onmessage = ({ data }) => {
            if (current() && typeof data === "string") this.#frame(data);
        };
        socket.onclose = ({ code }) => {
            if (current()) this.#closed(code);
        };
        // An error is followed by a close, which says all there is to know.
        socket.onerror = () => undefined;
    }

    #frame(text: string): void {
        const frame = parseFrame(text);
        if (!frame) return;
        this.#heardAt = this.#world.now();
        switch (frame.type) {
            case "hello":
                return this.#hello(frame);
            case "reply":
            case "error":
                return this.#answer(frame);
            case "event":
                return isKept(frame) ? this.#kept(frame) : this.#signals.say("event", frame);
            case "notice":
                return this.#signals.say("notice", frame);
        }
    }

    #answer(frame: ReplyFrame | ErrorFrame): void {
        this.#questions?.heard(frame);
    }

    #hello(hello: HelloFrame): void {
        const socket = this.#socket;
        if (!socket) return;
        this.#questions = new Questions(this.#world, hello.limits, (text) => socket.send(text));
        this.idleMinutes = hello.limits.idle_minutes;
        this.#watch(this.#era, hello.ping_s * 1_000);
        if (hello.auth === "ok")
            return void this.#signed({
                user: hello.user ?? "",
                session: hello.session ?? "",
                expires_at: hello.expires_at ?? "",
            });
        if (!("token" in this.#signIn)) return this.#leave({ name: "ended", why: "signed_out" });
        this.#say({ name: "signing_in", attempt: this.#attempt });
        const era = this.#era;
        this.#questions.ask("login", { token: this.#signIn.token }).then(
            (reply) => this.#signed(reply as LoginReply),
            (why: unknown) => {
                if (era !== this.#era || why instanceof Lost) return;
                const refusal = why instanceof Refused ? why.refusal : undefined;
                if (refusal && (refusal.retry || refusal.retry_after_ms))
                    return this.#comeBack(4503, refusal.retry_after_ms ?? 0);
                this.#leave({ name: "ended", why: "signed_out", ...(refusal ? { refusal } : {}) });
            },
        );
    }

    async #signed(signedIn: SignedIn): Promise<void> {
        const era = this.#era;
        this.#signals.say("signed_in", signedIn);
        this.#say({ name: "catching_up", attempt: this.#attempt });
        try {
            await this.#resume(this.#order.cursors());
            if (era !== this.#era) return;
            this.#attempt = 0;
            this.#say({ name: "live" });
        } catch (why) {
            if (era !== this.#era || why instanceof Lost) return;
            // Refused what everybody may: better anew than half.
            this.#drop(4500);
        }
    }

    async #resume(cursors: Cursors): Promise<void> {
        const all = Object.entries(cursors);
        const parts = all.length === 0 ? [undefined] : [];
        for (let at = 0; at < all.length; at += CURSORS_PER_RESUME)
            parts.push(Object.fromEntries(all.slice(at, at + CURSORS_PER_RESUME)) as never);
        for (const part of parts) {
            const reply: ResumeReply = await this.ask("resume", part ? { cursors: part } : {});
            for (const [channel, gaps] of Object.entries(reply.gaps ?? {}))
                this.#hand(this.#order.allow(channel, gaps));
            for (const channel of reply.reset) await this.#reset(channel);
        }
    }

    #kept(event: KeptEvent): void {
        const { events, hole } = this.#order.take(event);
        this.#hand(events);
        if (hole) void this.#fill(event.channel);
    }

    #hand(events: readonly KeptEvent[]): void {
        for (const event of events) this.#signals.say("event", event);
    }

    /**
     * Reads what is missing. The server sends every entry in order, so this is for networks and proxies that do not.
     */
    async #fill(channel: string): Promise<void> {
        if (this.#reading.has(channel)) return;
        this.#reading.add(channel);
        const era = this.#era;
        try {
            if (channel === "me") await this.ask("resume", { cursors: { me: this.#order.cursor("me") ?? 0 } });
            while (channel !== "me" && this.#order.hasHole(channel)) {
                const before = this.#order.cursor(channel) ?? 0;
                const page: HistoryReply = await this.ask("history", { channel, after: before, limit: PAGE });
                for (const event of page.events) this.#hand(this.#order.take(event).events);
                this.#hand(this.#order.allow(channel, page.gaps));
                if (this.#order.cursor(channel) === before) break;
            }
            // What cannot be had is not passed over in silence.
            if (this.#order.hasHole(channel)) await this.#reset(channel);
        } catch (why) {
            // With the next socket comes the next `resume`, which fills it.
            if (!(why instanceof Lost) && era === this.#era) this.#drop(4500);
        } finally {
            this.#reading.delete(channel);
        }
    }

    async #reset(channel: string): Promise<void> {
        if (channel === "me") {
            this.#order.drop(channel);
            return this.#signals.say("reset", { channel, events: [], more: false });
        }
        let page: HistoryReply;
        try {
            page = await this.ask("history", { channel, limit: PAGE });
        } catch (why) {
            if (!(why instanceof Refused) || why.code !== "not_found") throw why;
            this.#order.drop(channel);
            return this.#signals.say("reset", { channel, events: [], more: false });
        }
        const last = page.events.at(-1)?.seq ?? 0;
        this.#order.restart(channel, last);
        this.#signals.say("reset", { channel, events: page.events, more: page.more });
        // Not followed until it is asked for again.
        const again: ResumeReply = await this.ask("resume", { cursors: { [channel]: last } });
        if (again.reset.includes(channel)) this.#order.drop(channel);
    }

    /** Pings of the server are answered by the browser and seen by nobody: a dead line is found by asking. */
    #watch(era: number, every: number): void {
        this.#stopTimer();
        this.#stopTimer = this.#world.after(every, () => {
            if (era !== this.#era) return;
            if (this.#world.now() - this.#heardAt < every) return this.#watch(era, every);
            this.#questions?.ask("ping", {}).catch(() => undefined);
            const asked = this.#world.now();
            this.#stopTimer = this.#world.after(PONG_MS, () => {
                if (era !== this.#era) return;
                if (this.#heardAt < asked) this.#drop(4504);
                else this.#watch(era, every);
            });
        });
    }

    /** Gives a socket up from this side. */
    #drop(code: number): void {
        const socket = this.#socket;
        this.#closed(code);
        socket?.close();
    }

    #closed(code: number): void {
        if (comesBack(code)) return this.#comeBack(code, 0);
        this.#leave({ name: "ended", why: code === 4401 ? "signed_out" : "refused", code });
    }

    #comeBack(code: number, atLeast: number): void {
        this.#forget();
        const wait = Math.max(
            backoff(this.#attempt, () => this.#world.random()),
            atLeast,
        );
        this.#attempt += 1;
        this.#stopTimer = this.#world.after(wait, () => this.#connect());
        this.#say({ name: "waiting", attempt: this.#attempt, until: this.#world.now() + wait, code });
    }

    #leave(state: State): void {
        const socket = this.#socket;
        this.#forget();
        socket?.close(1000);
        this.#say(state);
    }

    #forget(): void {
        this.#era += 1;
        this.#stopTimer();
        this.#stopTimer = () => undefined;
        this.#socket = undefined;
        const questions = this.#questions;
        this.#questions = undefined;
        questions?.end();
    }
}
