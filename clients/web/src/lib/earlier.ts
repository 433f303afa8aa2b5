// A plan item as it was: folded from the entries of the plan, up to a version.
import type { Sight } from "carethread";

export interface Earlier {
    title: string;
    detail?: string | null;
    due?: string | null;
    status: string;
}

const WORDS = ["title", "detail", "due", "status"] as const;

/** What an item said at that version; nothing if its beginning is not here. */
export function earlier(sight: Sight, item: string, version: number): Earlier | undefined {
    const plan = [...sight.channels.values()].find(({ kind }) => kind === "plan");
    let was: Earlier | undefined;
    for (const { event, data } of sight.lines.get(plan?.id ?? "")?.entries ?? []) {
        if (event === "plan_item.added" && data.id === item) was = { title: data.title, detail: data.detail, due: data.due, status: data.status };
        else if (was && event === "plan_item.changed" && data.item === item && data.rev <= version) was = { ...was, ...Object.fromEntries(WORDS.flatMap((name) => (name in data ? [[name, data[name]]] : []))) };
    }
    return was;
}
