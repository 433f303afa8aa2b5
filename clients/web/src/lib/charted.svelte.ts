// What the receivers have of the record that is open. It is asked for when the record is opened and when something is filed; what is said
// and changed meanwhile is counted here, so that nobody's message makes every page ask.
import { type Reply, type Said, type Sight, isKept } from "carethread";
import { record } from "./record.svelte.ts";
import { session } from "./session.svelte.ts";

type Chart = Reply<"chart.status">["charts"][number];
export type Stand = "filed" | "changed" | "new";

/** A filing is several events. */
const AGAIN_MS = 400;

/** What was said in a channel after the server counted, by plan item, and what was changed. */
function since(sight: Sight, channel: string, size: number, told: Map<string, number>, changed: Set<string>): void {
    const entries = sight.lines.get(channel)?.entries ?? [];
    for (let at = entries.length - 1; at >= 0; at -= 1) {
        const entry = entries[at];
        if (!entry || entry.seq <= size) return;
        if (entry.event === "message.posted" || entry.event === "note.logged") {
            const item = sight.said.get(entry.data.id)?.item;
            if (item) told.set(item, (told.get(item) ?? 0) + 1);
        } else if (/^(message|note)\./.test(entry.event)) {
            const { message, note } = entry.data as { message?: string; note?: string };
            const named = message ?? note;
            if (named) changed.add(named);
        }
    }
}

const covers = (spans: readonly (readonly number[])[], seq: number): boolean => spans.some(([from = 0, to = 0]) => from <= seq && seq <= to);

/** A chart as it is now. */
export function later(chart: Chart, sight: Sight): Chart {
    const fresh = new Map<string, number>();
    const items = new Map(chart.items.map((one) => [one.item, { ...one }]));
    const known = new Map(chart.channels.map((one) => [one.channel, one]));
    const channels = [...sight.lines.keys()].map((channel) => {
        const one = known.get(channel) ?? { channel, size: 0, charted: [], changed: [] };
        const changed = new Set<string>();
        since(sight, channel, one.size, fresh, changed);
        const news = [...changed].filter((id) => !one.changed.includes(id) && covers(one.charted, sight.said.get(id)?.seq ?? 0));
        for (const id of news) {
            const about = items.get(sight.said.get(id)?.item ?? "");
            if (about) about.changed += 1;
        }
        return { ...one, changed: [...one.changed, ...news] };
    });
    for (const [item, n] of fresh) {
        const about = items.get(item) ?? { item, charted: 0, changed: 0, new: 0, attested_by: [] };
        items.set(item, { ...about, new: about.new + n });
    }
    return { ...chart, items: [...items.values()], channels };
}

function standOf({ channels }: Chart, said: Said): Stand {
    const here = channels.find(({ channel }) => channel === said.channel);
    if (!here || !covers(here.charted, said.seq)) return "new";
    return here.changed.includes(said.id) ? "changed" : "filed";
}

class Charted {
    #told = $state.raw<readonly Chart[] | undefined>(undefined);
    #patient = "";
    readonly charts: readonly Chart[] | undefined = $derived.by(() => {
        const { sight } = record;
        return sight ? this.#told?.map((chart) => later(chart, sight)) : this.#told;
    });
    /** Of the receiver that lacks most: how much. */
    readonly missing: number = $derived(Math.max(0, ...(this.charts ?? []).map(({ items }) => items.reduce((sum, one) => sum + one.new, 0))));

    /** Keeps up with a record until it is told to stop. */
    follow(patient: string): () => void {
        if (this.#patient !== patient) this.#told = undefined;
        this.#patient = patient;
        const ask = () => void this.read(patient).catch(() => undefined);
        ask();
        let due: ReturnType<typeof setTimeout> | undefined;
        const stop = session.client.connection.on("event", (event) => {
            const counts = isKept(event) && (event.event.startsWith("export.") || event.event === "message.relinked");
            if (counts && record.sight?.lines.has(event.channel)) due ??= setTimeout(() => { due = undefined; ask(); }, AGAIN_MS);
        });
        return () => {
            stop();
            clearTimeout(due);
        };
    }

    /** Asks; `Refused` if the reader files nothing. */
    async read(patient: string): Promise<void> {
        const { charts } = await session.ask("chart.status", { patient }, "ahead");
        if (this.#patient === patient) this.#told = charts;
    }

    /** Whether the receivers have something that was said, and which have it where they differ; nothing where none is set up. */
    of(said: Said): { stand: Stand; at: readonly string[] } | undefined {
        const charts = this.charts ?? [];
        const stands = charts.map((chart) => standOf(chart, said));
        const [first] = stands;
        if (!first || said.kind === "marker") return undefined;
        if (stands.every((one) => one === first)) return { stand: first, at: [] };
        const at = charts.filter((_, at) => stands[at] !== "new").map(({ target }) => target);
        return { stand: stands.includes("changed") ? "changed" : "filed", at };
    }
}

export const charted = new Charted();
