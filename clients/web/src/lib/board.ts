// Nine states of a task as five columns and a closed lane, in the words of the page.
import type { Reply, TaskShown, TaskState } from "carethread";

export type Lane = "asked" | "todo" | "doing" | "held" | "done" | "ended";

export const LANES: readonly { lane: Lane; states: readonly TaskState[]; into: TaskState }[] = [
    { lane: "asked", states: ["requested"], into: "requested" },
    { lane: "todo", states: ["ready", "accepted"], into: "accepted" },
    { lane: "doing", states: ["in-progress"], into: "in-progress" },
    { lane: "held", states: ["on-hold"], into: "on-hold" },
    { lane: "done", states: ["completed"], into: "completed" },
    { lane: "ended", states: ["rejected", "cancelled", "failed"], into: "cancelled" },
];

/** The steps that can follow a state, as docs/protocol.md has them. */
export const STEPS: Record<TaskState, readonly Step[]> = {
    requested: ["accept", "decline", "assign", "cancel"],
    ready: ["start", "complete", "assign", "cancel"],
    accepted: ["start", "hold", "complete", "decline", "assign", "cancel"],
    "in-progress": ["complete", "hold", "fail", "assign", "cancel"],
    "on-hold": ["start", "fail", "assign", "cancel"],
    completed: [],
    rejected: ["assign"],
    cancelled: [],
    failed: [],
};

export type Step = "accept" | "decline" | "start" | "hold" | "complete" | "fail" | "cancel" | "assign";

/** Steps that need words. */
export const REASONED: ReadonlySet<Step> = new Set<Step>(["decline", "hold", "fail", "cancel"]);

/** The step that leads from a state into a lane, if one does. */
export function stepInto(from: TaskState, lane: Lane): Step | undefined {
    const into: Record<Lane, readonly Step[]> = {
        asked: ["assign"], todo: ["accept"], doing: ["start"], held: ["hold"], done: ["complete"], ended: ["cancel"],
    };
    return into[lane].find((step) => STEPS[from].includes(step));
}

export const laneOf = (state: TaskState): Lane => LANES.find(({ states }) => states.includes(state))?.lane ?? "ended";

export function inLanes(board: Pick<Reply<"board.get">, "columns"> | undefined, keep: (task: TaskShown) => boolean): { lane: Lane; tasks: TaskShown[] }[] {
    return LANES.map(({ lane, states }) => ({
        lane,
        tasks: (board?.columns ?? []).filter(({ state }) => states.includes(state)).flatMap(({ tasks }) => tasks.filter(keep)),
    }));
}
