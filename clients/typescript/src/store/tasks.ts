// Tasks, as their entries say.
import type { Entry } from "../frames.ts";
import type { Draft, Part, Task } from "./sight.ts";

const FINAL: ReadonlySet<string> = new Set(["completed", "cancelled", "failed"]);

/** Whether nothing leaves that state. */
export const isFinal = (state: string): boolean => FINAL.has(state);

/** Members that stay, as null, when they are cleared; others go. */
const STAYS = new Set(["description", "due"]);

function changed(draft: Draft, { at, data }: Entry<"task.changed">): void {
    const known = draft.work.tasks.get(data.task);
    if (!known) return;
    const task: Record<string, unknown> = { ...known, rev: data.rev, state: data.state };
    for (const [name, value] of Object.entries(data.after)) {
        if (value === null && name === "priority") task.priority = "routine";
        else if (value === null && !STAYS.has(name)) delete task[name];
        else task[name] = value;
    }
    draft.work.tasks.set(data.task, task as unknown as Task);
    if (isFinal(data.state)) draft.work.ended.set(data.task, at);
}

export const tasks: Part = {
    "task.created"(draft, { at, by, channel, data }) {
        const first = {
            patient: draft.patient,
            channel,
            by,
            at,
            description: null,
            due: null,
            priority: "routine",
            checklist: [],
            rev: 1,
            overdue: false,
            place: data.id.replaceAll("-", ""),
        };
        draft.work.tasks.set(data.id, { ...first, ...data } as Task);
    },
    "task.changed": changed,
    "message.posted"(draft, { data }) {
        if ("task" in data && data.task) draft.work.threads.set(data.id, data.task);
    },
    "message.retracted": (draft, { data }) => void draft.work.threads.delete(data.message),
};
