// The care plan. Staff read it in the plan channel, family in what shared channels say of it.
import type { Entry } from "../frames.ts";
import type { PlanItem } from "../generated.ts";
import type { Draft, Part } from "./sight.ts";

const OF_THE_ENTRY = new Set(["id", "item", "patient", "reason", "closed", "rev"]);

function write(draft: Draft, event: Entry<"plan_item.added" | "plan_item.changed" | "plan_item.closed">): void {
    if (!draft.family && draft.channels.get(event.channel)?.kind !== "plan") return;
    const { data } = event;
    const id = event.event === "plan_item.added" ? event.data.id : event.data.item;
    const rev = "rev" in data ? data.rev : 1;
    const known = draft.items.get(id);
    // Of several shared channels each says it.
    if (known && known.rev >= rev) return;
    if (draft.family && "shared" in data && data.shared === false) {
        draft.items.delete(id);
        for (const [other, item] of draft.items)
            if (item.addresses.includes(id)) {
                draft.items.set(other, { ...item, addresses: item.addresses.filter((addressed) => addressed !== id) });
            }
        return;
    }
    const first = {
        id,
        kind: null,
        detail: null,
        codes: [],
        owner: null,
        due: null,
        addresses: [],
        messages: 0,
        open_tasks: 0,
        next: null,
    };
    const said = Object.fromEntries(Object.entries(data).filter(([name]) => !OF_THE_ENTRY.has(name)));
    draft.items.set(id, { ...(known ?? first), ...said, rev, version: rev } as PlanItem);
}

export const plan: Part = {
    "plan_item.added": write,
    "plan_item.changed": write,
    "plan_item.closed": write,
};
