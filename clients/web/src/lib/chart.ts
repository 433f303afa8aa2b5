// Where the record stands towards the chart: what the server counts, and what of it lies in a draft.
import type { Reply, Said } from "carethread";
import { record } from "./record.svelte.ts";

export type Filing = Reply<"export.get">;
export type Chart = Reply<"chart.status">["charts"][number];
export type Selection = Filing["selection"];

/** Not filed yet, and not given up: its entries are on their way. */
export const UNDERWAY: ReadonlySet<string> = new Set(["draft", "attested", "filing", "held", "failed"]);
/** Those that change by themselves. */
export const MOVING: ReadonlySet<string> = new Set(["attested", "filing", "held"]);

/** Messages and talks that a filing holds, by time; what came after it was signed for is in no filing. */
export function saidIn({ selection, attestations }: Pick<Filing, "selection" | "attestations">): Said[] {
    const { channels, items, entries, from, to } = selection;
    const until = [to, attestations[0]?.at].filter((at) => typeof at === "string").map((at) => Date.parse(at));
    return [...(record.sight?.said.values() ?? [])]
        .filter(
            ({ id, kind, channel, item, at }) =>
                kind !== "marker" &&
                (channels?.includes(channel) ?? true) &&
                (items?.includes(item) ?? true) &&
                (entries?.includes(id) ?? true) &&
                (!from || Date.parse(at) >= Date.parse(from)) &&
                until.every((end) => Date.parse(at) <= end),
        )
        .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : a.seq - b.seq));
}

export interface Row {
    item: string;
    filed: number;
    changed: number;
    draft: number;
    fresh: number;
    last: string | undefined;
    by: readonly string[];
}

/** A chart as rows: what is in it as it stands, what changed since, what lies in a draft, what in none. */
export function rowsOf(chart: Chart, filings: readonly Filing[]): Row[] {
    const drafted = new Map<string, number>();
    const open = filings.filter(({ target, state }) => target === chart.target && UNDERWAY.has(state));
    for (const said of new Set(open.flatMap(saidIn))) drafted.set(said.item, (drafted.get(said.item) ?? 0) + 1);
    const order = [...record.items.keys()];
    return chart.items
        .map(({ item, charted, changed, new: missing, last_filed, attested_by }) => {
            // A draft may hold what is filed already: no more than what is missing is on its way.
            const draft = Math.min(missing, drafted.get(item) ?? 0);
            return { item, filed: charted - changed, changed, draft, fresh: missing - draft, last: last_filed ?? undefined, by: attested_by };
        })
        .sort((a, b) => order.indexOf(a.item) - order.indexOf(b.item));
}

/** Kinds of entries that have a word of their own. */
export const KINDS = ["message", "note", "task", "handoff", "checkin", "plan_item", "team", "channel", "patient", "export"] as const;
