// One space as a list of rows: days, headings of runs, what was said, and what happened in a line.
import { type EventFrame, type PlanItem, type Said, type Sight, type Write } from "carethread";
import { dayOf } from "./format.ts";

export type Row =
    | { type: "day"; key: string; at: string }
    | { type: "new"; key: string }
    | { type: "head"; key: string; item: string }
    | { type: "said"; key: string; said: Said; item: string }
    | { type: "fact"; key: string; entry: EventFrame; item: string | undefined }
    | { type: "write"; key: string; write: Write; item: string };

export interface Filter {
    item: string;
    author: string;
    kind: "" | "message" | "note" | "fact";
}

/** What is shown as part of something else. */
const PARTS: ReadonlySet<string> = new Set([
    "message.amended", "message.retracted", "message.relinked", "message.acknowledged", "message.checked_back",
    "message.confirmed", "message.reminded", "message.escalated", "message.settled", "note.dismissed", "note.confirmed",
    "note.disputed", "note.addended", "note.reminded",
]);

const itemOf = (entry: EventFrame, sight: Sight): string | undefined => {
    const data = entry.data as { item?: string; task?: string };
    return data.item ?? (data.task ? sight.work.tasks.get(data.task)?.item : undefined);
};

/** What an entry is shown as, where it stands: a message, a note, an open talk, a line, or nothing. */
function shown(entry: EventFrame, sight: Sight): Said | "fact" | undefined {
    if (PARTS.has(entry.event)) return undefined;
    if (entry.event !== "message.posted" && entry.event !== "note.logged" && entry.event !== "note.opened") return "fact";
    const said = sight.said.get(entry.data.id);
    // An open talk that was written down stands where it was written down.
    return said && said.seq === entry.seq && said.channel === entry.channel ? said : undefined;
}

export function rows(sight: Sight, channel: string, filter: Filter, readSeq: number, writes: readonly Write[]): Row[] {
    const all: Row[] = [];
    let lastDay = "", run = "", news = false;
    const entries = sight.lines.get(channel)?.entries ?? [];
    for (const entry of entries) {
        const what = shown(entry, sight);
        if (what === undefined) continue;
        const item = what === "fact" ? itemOf(entry, sight) : what.item;
        const kind = what === "fact" ? "fact" : what.kind === "message" ? "message" : "note";
        if ((filter.item && item !== filter.item) || (filter.author && entry.by !== filter.author)) continue;
        if (filter.kind && filter.kind !== kind) continue;
        if (dayOf(entry.at) !== lastDay) {
            lastDay = dayOf(entry.at);
            run = "";
            all.push({ type: "day", key: `day ${lastDay}`, at: entry.at });
        }
        if (!news && readSeq > 0 && entry.seq > readSeq && entry.by !== sight.user && what !== "fact") {
            news = true;
            run = "";
            all.push({ type: "new", key: "new" });
        }
        if (what === "fact") {
            all.push({ type: "fact", key: `${entry.seq}`, entry, item });
            continue;
        }
        if (what.item !== run) {
            run = what.item;
            all.push({ type: "head", key: `head ${entry.seq}`, item: run });
        }
        all.push({ type: "said", key: what.id, said: what, item: run });
    }
    for (const write of writes) {
        const { item } = write.data as { item?: string };
        if (item && item !== run) {
            run = item;
            all.push({ type: "head", key: `head ${write.key}`, item });
        }
        all.push({ type: "write", key: write.key, write, item: run });
    }
    return all;
}

/** Writes to a channel that its record does not show yet. */
export function unshown(writes: Iterable<Write>, channel: string, lastSeq: number): Write[] {
    return [...writes].filter((write) => {
        const { channel: at } = write.data as { channel?: string };
        if (at !== channel || write.op !== "message.post") return false;
        const seq = (write.reply as { seq?: number } | undefined)?.seq;
        return write.state === "waiting" || write.state === "sent" || write.state === "refused" || (seq !== undefined && seq > lastSeq);
    });
}

const KINDS = ["problem", "goal", "activity", "barrier"] as const;

/** Items by kind, standing ones last. */
export function byKind(items: Iterable<PlanItem>): { kind: (typeof KINDS)[number] | "standing"; items: PlanItem[] }[] {
    const all = [...items];
    const groups = KINDS.map((kind) => ({ kind, items: all.filter((item) => item.kind === kind) }));
    return [...groups, { kind: "standing" as const, items: all.filter(({ standing }) => standing) }].filter(
        ({ items }) => items.length > 0,
    );
}

export const isOpen = (item: PlanItem): boolean => item.standing != null || item.status === "active" || item.status === "draft";
