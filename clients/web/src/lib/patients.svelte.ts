// All patients of the person who is signed in, with what waits: asked for at the start, and again for whoever something happens to.
import { type Channel, type PlanItem, type Reply, isKept } from "carethread";
import { SvelteMap } from "svelte/reactivity";
import { session } from "./session.svelte.ts";

export type Patient = Reply<"patient.list">["patients"][number];
export type Board = Reply<"board.get">;

/** What a list shows of one patient. */
export interface Overview {
    items: readonly PlanItem[];
    unread: number;
    urgent: number;
    overdue: number;
    notWritten: number;
    nobody: number;
}

/** A rush of events at one patient is one question. */
const AGAIN_MS = 400;

class Patients {
    list = $state.raw<readonly Patient[]>([]);
    channels = $state.raw<readonly Channel[]>([]);
    mine = $state.raw<Board | undefined>(undefined);
    loaded = $state(false);
    readonly overviews = new SvelteMap<string, Overview>();
    readonly names = new SvelteMap<string, string>();
    readonly #due = new Set<string>();
    #timer: ReturnType<typeof setTimeout> | undefined;

    constructor() {
        session.onClient(({ connection }) => {
            this.#clear();
            connection.on("state", ({ name }) => {
                if (name === "live") this.#load();
            });
            connection.on("event", (event) => {
                if (!isKept(event)) return;
                if (event.channel === "me") {
                    const { patient, channel } = event.data as { patient?: string; channel?: string };
                    this.#again(patient ?? this.#of(channel));
                } else this.#again(this.#of(event.channel));
            });
        });
    }

    get(id: string): Patient | undefined {
        return this.list.find((one) => one.id === id);
    }

    unreadOf(patient: string): number {
        return this.channels.reduce((sum, one) => sum + (one.patient === patient ? one.unread : 0), 0);
    }

    /** Whether the reader is a patient or their family: the plan channel is staff's. */
    get family(): boolean {
        return this.loaded && this.list.length > 0 && this.list.every(({ channel }) => !channel);
    }

    get unread(): number {
        return this.channels.reduce((sum, { unread }) => sum + unread, 0);
    }

    #of(channel: string | undefined): string | undefined {
        return this.channels.find(({ id }) => id === channel)?.patient;
    }

    #clear(): void {
        this.list = this.channels = [];
        this.mine = undefined;
        this.loaded = false;
        this.overviews.clear();
        this.names.clear();
    }

    async #load(): Promise<void> {
        try {
            await this.#whatConcernsAll();
            this.loaded = true;
            for (const { id } of this.list) await this.#overview(id);
        } catch {
            // The line was lost: the next one asks again.
        }
    }

    async #whatConcernsAll(): Promise<void> {
        const [{ patients }, { channels }, mine] = await Promise.all([
            session.ask("patient.list", {}),
            session.ask("channel.list", {}),
            session.ask("board.get", { mine: true }),
        ]);
        this.list = patients;
        this.channels = channels;
        this.mine = mine;
    }

    async #overview(patient: string): Promise<void> {
        const [{ items }, board, { members, past }] = await Promise.all([
            session.ask("plan.items", { patient }, "ahead"),
            session.ask("board.get", { patient }, "ahead"),
            session.ask("team.list", { patient }, "ahead"),
        ]);
        for (const { user, name } of [...past, ...members]) this.names.set(user, name);
        const open = board.columns.filter(({ state }) => !OVER.has(state)).flatMap(({ tasks }) => tasks);
        this.overviews.set(patient, {
            items,
            unread: this.unreadOf(patient),
            urgent: open.filter(({ priority }) => priority !== "routine").length,
            overdue: open.filter(({ overdue }) => overdue).length,
            notWritten: board.notes.length,
            nobody: items.filter(({ next, standing }) => next === null && !standing).length,
        });
    }

    /** Asks again for what no event tells. */
    async again(): Promise<void> {
        await this.#whatConcernsAll().catch(() => undefined);
    }

    #again(patient: string | undefined): void {
        this.#due.add(patient ?? "");
        this.#timer ??= setTimeout(() => void this.#refresh(), AGAIN_MS);
    }

    async #refresh(): Promise<void> {
        this.#timer = undefined;
        const due = [...this.#due];
        this.#due.clear();
        try {
            await this.#whatConcernsAll();
            for (const patient of due) if (this.get(patient)) await this.#overview(patient);
        } catch {
            // As above.
        }
    }
}

const OVER: ReadonlySet<string> = new Set(["completed", "cancelled", "failed", "rejected"]);

export const patients = new Patients();
