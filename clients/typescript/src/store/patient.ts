// The record of one patient, kept up to date: read when it is opened, the newest first, and changed by what comes.
// Views read `sight`; nothing else writes it.
import type { Connection } from "../connection.ts";
import { type AnyEvent, type Data, type KeptEvent, type OpName, type Reply, isKept, isOwn } from "../frames.ts";
import type { HistoryReply } from "../generated.ts";
import type { Lane } from "../questions.ts";
import { Lost, Refused } from "../sign-in.ts";
import { Signals } from "../signals.ts";
import { type Sight, isWhole, lastSeq, nothing } from "./sight.ts";
import { reduce, withPast, withSnapshot, without } from "./reduce.ts";

const PAGE = 200;
const NEWEST = 50;
/** One picture of a screen: whoever reads sees no difference, and a rush of events costs one copy instead of fifty. */
const TOGETHER_MS = 16;

type Ask = <Op extends OpName>(op: Op, data: Data<Op>, lane?: Lane) => Promise<Reply<Op>>;

export interface PatientChanges {
    /** There is a new sight. */
    changed: Sight;
    /** The record is not for this person any more. */
    gone: undefined;
}

/** Reads a whole record over any way to ask: for programs that want it once. */
export async function readRecord(ask: Ask, who: { user: string; family: boolean; patient: string }): Promise<Sight> {
    // Entries first: what comes between the two is in what is asked for last.
    const { channels } = await ask("channel.list", { patient: who.patient });
    const pages = new Map<string, Pick<HistoryReply, "events" | "gaps">[]>();
    for (const { id: channel } of channels) pages.set(channel, await readChannel(ask, channel));
    return withPast(await readSnapshot(ask, nothing(who)), pages);
}

async function readChannel(ask: Ask, channel: string): Promise<Pick<HistoryReply, "events" | "gaps">[]> {
    const pages: Pick<HistoryReply, "events" | "gaps">[] = [];
    for (let after = 0; ; ) {
        const page = await ask("history", { channel, after, limit: PAGE }, "ahead");
        pages.push(page);
        after = page.events.at(-1)?.seq ?? after;
        if (!page.more || page.events.length === 0) return pages;
    }
}

async function readSnapshot(ask: Ask, sight: Sight): Promise<Sight> {
    const { patient } = sight;
    const [{ channels }, { members }, { items, unsorted }] = await Promise.all([
        ask("channel.list", { patient }),
        ask("team.list", { patient }),
        ask("plan.items", { patient, closed: true }),
    ]);
    return withSnapshot(sight, { channels, members, items, unsorted });
}

export class PatientStore {
    readonly #signals = new Signals<PatientChanges>();
    readonly #ask: Ask;
    readonly #follow: Connection["follow"];
    readonly #stops: (() => void)[];
    #sight: Sight;
    #coming: KeptEvent[] = [];
    #scheduled = false;
    #reading: Promise<void> | undefined;
    #again = false;
    #open = false;
    #closed = false;

    constructor(connection: Connection, who: { user: string; family: boolean; patient: string }) {
        this.#ask = connection.ask.bind(connection);
        this.#follow = connection.follow.bind(connection);
        this.#sight = nothing(who);
        this.#stops = [
            connection.on("event", (event) => this.#heard(event)),
            connection.on("reset", ({ channel, events, more }) => {
                if (!this.#sight.channels.has(channel)) return;
                this.#set(without(this.#sight, channel, events.length === 0 && !more));
                void this.refresh();
            }),
            connection.on("state", ({ name }) => {
                // What could not be read before the line was lost is read now.
                if (name === "live" && this.#open && !isWhole(this.#sight)) void this.refresh();
            }),
        ];
    }

    readonly on = this.#signals.on.bind(this.#signals);

    get sight(): Sight {
        return this.#sight;
    }

    /** Whether all of it is here: then counts are reckoned, and nothing has to be asked for. */
    get whole(): boolean {
        return this.#open && isWhole(this.#sight);
    }

    /** Reads what there is; once this is done the newest page of each channel is here, and the rest comes by itself. */
    refresh(): Promise<void> {
        if (this.#reading) {
            this.#again = true;
            return this.#reading;
        }
        this.#reading = this.#read()
            .catch((why: unknown) => {
                if (why instanceof Refused && why.code === "not_found") this.#signals.say("gone", undefined);
                else if (!(why instanceof Lost)) throw why;
            })
            .finally(() => {
                this.#reading = undefined;
                if (this.#again && !this.#closed) {
                    this.#again = false;
                    void this.refresh();
                }
            });
        return this.#reading;
    }

    close(): void {
        this.#closed = true;
        for (const stop of this.#stops) stop();
    }

    async #read(): Promise<void> {
        // Entries before plan and team: an entry that comes between the two is in what is asked for last, and what
        // comes after that is laid over it. The other way round it would be in the entries, and nowhere else.
        const { channels } = await this.#ask("channel.list", { patient: this.#sight.patient });
        const pages = await this.#newest(channels.map(({ id }) => id));
        this.#set(withPast(await readSnapshot(this.#ask, this.#sight), pages));
        this.#set(withPast(this.#sight, await this.#newest([...this.#sight.channels.keys()])));
        // From here on a line that is lost goes on where this ends, also where nothing has come since.
        await this.#follow(Object.fromEntries([...this.#sight.lines].map(([channel, line]) => [channel, lastSeq(line)])));
        this.#open = true;
        this.#lay();
        void this.#readPast();
    }

    /** The newest page of each of these that nothing is here of. */
    async #newest(channels: readonly string[]): Promise<Map<string, HistoryReply[]>> {
        const missing = channels.filter((id) => !this.#sight.lines.has(id));
        const page = async (channel: string) =>
            [channel, [await this.#ask("history", { channel, limit: NEWEST })]] as [string, HistoryReply[]];
        return new Map(await Promise.all(missing.map(page)));
    }

    /** Goes back to the first entry of each channel, while nobody waits for it. */
    async #readPast(): Promise<void> {
        try {
            for (const channel of this.#sight.channels.keys()) {
                const pages: Pick<HistoryReply, "events" | "gaps">[] = [];
                let before = this.#sight.lines.get(channel)?.first ?? 1;
                while (before > 1 && !this.#closed) {
                    const page = await this.#ask("history", { channel, before, limit: PAGE }, "ahead");
                    pages.push(page);
                    const first = page.events[0]?.seq;
                    if (!page.more || first === undefined) break;
                    before = first;
                }
                if (pages.length > 0) this.#set(withPast(this.#sight, new Map([[channel, pages]])));
            }
        } catch (why) {
            // The next connection goes on with it.
            if (!(why instanceof Lost) && !(why instanceof Refused)) throw why;
        }
    }

    #heard(event: AnyEvent): void {
        if (!isKept(event) || this.#closed) return;
        if (isOwn(event)) {
            if (event.event === "invited" && event.data.patient === this.#sight.patient && this.#open)
                void this.refresh();
            if (event.event !== "read") return;
        } else if (
            event.event === "team.left" &&
            event.data.user === this.#sight.user &&
            this.#sight.channels.has(event.channel)
        )
            void this.refresh();
        this.#coming.push(event);
        // What comes together is laid together: a sight is copied once, and shown once.
        if (this.#open && !this.#scheduled) {
            this.#scheduled = true;
            setTimeout(() => this.#lay(), TOGETHER_MS);
        }
    }

    #lay(): void {
        this.#scheduled = false;
        if (this.#coming.length === 0) return;
        const events = this.#coming;
        this.#coming = [];
        const before = this.#sight;
        this.#set(reduce(before, events));
        if (isWhole(before) && !isWhole(this.#sight)) void this.refresh();
    }

    #set(sight: Sight): void {
        this.#sight = sight;
        this.#signals.say("changed", sight);
    }
}
