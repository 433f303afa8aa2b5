// What follows from all that is there: counts, boards, who is next. A sight that is whole reckons what the server
// reckons; one that is not keeps what the server last said.
import type { BoardGetReply, Channel, Holder, Next, PlanItem, TaskShown, TeamMember, Why } from "../generated.ts";
import { later, millis } from "../time.ts";
import { type Said, stands } from "./said.ts";
import { type Sight, type TaskState, isWhole, lastSeq } from "./sight.ts";
import { isFinal } from "./tasks.ts";

export const STATES: readonly TaskState[] = [
    "requested",
    "ready",
    "accepted",
    "in-progress",
    "on-hold",
    "completed",
    "rejected",
    "cancelled",
    "failed",
];

/** Of a column whose tasks are over, so many stand, for so long. */
const ENDED_SHOWN = 50;
const ENDED_MS = 14 * 24 * 3_600_000;

/** The board as far as it is reckoned: whom messages and check-ins wait for is the server's to say. */
export type ReckonedBoard = Omit<BoardGetReply, "asks" | "checkins">;

export interface Reckoned {
    channels: Map<string, Channel>;
    items: Map<string, PlanItem>;
    board: ReckonedBoard;
    /**
     * Items of which a message waits for answers: who is next of these is the server's to say, who knows whom an ask
     * went up to.
     */
    asked: Set<string>;
}

/** None while part of the record is not here. */
export function reckon(sight: Sight, now: number): Reckoned | undefined {
    if (!isWhole(sight)) return undefined;
    const links = countLinks(sight);
    const asked = new Set([...sight.said.values()].filter((one) => waits(one)).map((one) => one.item));
    const unsorted = [...sight.items.values()].find((item) => item.standing === "unsorted");
    return {
        channels: new Map([...sight.channels].map(([id, channel]) => [id, counted(sight, channel)])),
        items: items(sight, links, asked),
        board: board(sight, { count: (unsorted && links.get(unsorted.id)) ?? 0, overdue: sight.unsortedOverdue }, now),
        asked,
    };
}

function countLinks(sight: Sight): Map<string, number> {
    const links = new Map<string, number>();
    for (const one of sight.said.values()) if (stands(one)) links.set(one.item, (links.get(one.item) ?? 0) + 1);
    return links;
}

const waits = (one: Said): boolean => one.post?.ask != null && stands(one) && one.settled === undefined;

function counted(sight: Sight, channel: Channel): Channel {
    const line = sight.lines.get(channel.id);
    const read_seq = Math.max(channel.read_seq, sight.reads.get(channel.id) ?? 0);
    let unread = 0;
    // From the end: what was read long ago is not gone over again.
    for (let at = (line?.entries.length ?? 0) - 1; at >= 0; at -= 1) {
        const entry = line?.entries[at];
        if (!entry || entry.seq <= read_seq) break;
        if ((entry.event === "message.posted" || entry.event === "note.logged") && entry.by !== sight.user) unread += 1;
    }
    return { ...channel, read_seq, unread, last_seq: lastSeq(line) };
}

/** Something waits on an item for somebody. */
interface Claim {
    weight: number;
    item: string;
    holder: Holder;
    due: string | null;
    why: Why;
    id: string;
}

const WEIGHT: Record<string, number> = { stat: 0, unstable: 0, urgent: 1, watcher: 1 };
const weight = (word: string): number => WEIGHT[word] ?? 2;

/** The most urgent first, then by day, then by age. */
function byUrgency(a: Claim, b: Claim): number {
    const order = (claim: Claim) => [claim.weight, claim.due === null ? 1 : 0, claim.due ?? "", claim.id] as const;
    const [one, other] = [order(a), order(b)];
    for (let at = 0; at < one.length; at += 1) {
        const [left, right] = [one[at] as number | string, other[at] as number | string];
        if (left !== right) return left < right ? -1 : 1;
    }
    return 0;
}

function claims(sight: Sight, whole: string): Claim[] {
    const all: Claim[] = [];
    for (const [id, task] of sight.work.tasks)
        if (!isFinal(task.state)) {
            const holder = task.state === "rejected" ? task.by : task.owner;
            all.push({
                weight: weight(task.priority),
                item: task.item,
                holder,
                due: typeof task.due === "string" ? later(task.due) : null,
                why: "task",
                id,
            });
        }
    for (const [id, marker] of sight.work.markers) {
        all.push({
            weight: 2,
            item: marker.item,
            holder: marker.by,
            due: later(marker.at, marker.remind_minutes),
            why: "note",
            id,
        });
    }
    for (const [id, handoff] of sight.work.handoffs) {
        const holder = handoff.state === "declined" ? handoff.by : handoff.to;
        all.push({
            weight: weight(handoff.ipass.illness_severity),
            item: whole,
            holder,
            due: later(handoff.since, handoff.respond_minutes),
            why: "handoff",
            id,
        });
    }
    return all.sort(byUrgency);
}

function items(sight: Sight, links: ReadonlyMap<string, number>, asked: ReadonlySet<string>): Map<string, PlanItem> {
    const whole = [...sight.items.values()].find((item) => item.standing === "whole");
    const waiting = claims(sight, whole?.id ?? "");
    const openTasks = new Map<string, number>();
    for (const task of sight.work.tasks.values())
        if (!isFinal(task.state)) openTasks.set(task.item, (openTasks.get(task.item) ?? 0) + 1);
    const next = (item: PlanItem): Next | null => {
        if (asked.has(item.id)) return item.next;
        if (item.status !== "active") return null;
        for (const claim of waiting)
            if (claim.item === item.id) {
                const who = party(sight.members, claim.holder);
                if (who) return { ...who, due: claim.due, why: claim.why, id: claim.id };
            }
        const owner = item.owner && party(sight.members, item.owner);
        return owner ? { ...owner, due: item.due, why: "owner" } : null;
    };
    return new Map(
        [...sight.items].map(([id, item]) => [
            id,
            { ...item, messages: links.get(id) ?? 0, open_tasks: openTasks.get(id) ?? 0, next: next(item) },
        ]),
    );
}

/** Who stands for an owner: they themselves while they are there, else whoever leads. */
function party(
    members: ReadonlyMap<string, TeamMember>,
    owner: Holder,
): Pick<Next, "user" | "responsibility"> | undefined {
    const held = (one: string) =>
        [...members.values()].some((member) => !member.family && (member.responsibilities as string[]).includes(one));
    if (typeof owner === "string") {
        if (members.has(owner)) return { user: owner };
    } else if (held(owner.responsibility)) return { responsibility: owner.responsibility };
    return held("lead") ? { responsibility: "lead" } : undefined;
}

function board(sight: Sight, unsorted: { count: number; overdue: number }, now: number): ReckonedBoard {
    const threads = new Map<string, number>();
    for (const task of sight.work.threads.values()) threads.set(task, (threads.get(task) ?? 0) + 1);
    const columns = STATES.map((state) => column(sight, state, threads, now));
    const markers = [...sight.work.markers.values()].filter(({ channel }) => !sight.channels.get(channel)?.archived);
    return {
        columns,
        notes: markers.map(({ remind_minutes: _, ...marker }) => marker),
        handoffs: [...sight.work.handoffs.values()].map(({ respond_minutes, ...handoff }) => ({
            ...handoff,
            respond_by: later(handoff.since, respond_minutes),
        })),
        unsorted,
    };
}

function column(
    sight: Sight,
    state: TaskState,
    threads: ReadonlyMap<string, number>,
    now: number,
): BoardGetReply["columns"][number] {
    let tasks: TaskShown[] = [];
    for (const task of sight.work.tasks.values())
        if (task.state === state) tasks.push({ ...task, messages: threads.get(task.id) ?? 0 });
    let more = 0;
    if (isFinal(state)) {
        const ended = (task: TaskShown) => sight.work.ended.get(task.id) ?? "";
        const all = tasks.length;
        tasks = tasks
            .filter((task) => millis(ended(task)) > now - ENDED_MS)
            .sort((a, b) => (ended(a) < ended(b) ? 1 : -1))
            .slice(0, ENDED_SHOWN);
        more = all - tasks.length;
    }
    tasks.sort((a, b) => (a.place < b.place ? -1 : a.place > b.place ? 1 : 0));
    return more > 0 ? { state, tasks, more } : { state, tasks };
}
