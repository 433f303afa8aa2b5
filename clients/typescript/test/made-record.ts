// Records made up by chance: what a server could have sent of one patient, step by step, for laws about any order and
// division of events.
import fc from "fast-check";
import type { Channel, EventFrame, Sight } from "../src/index.ts";
import { nothing, withSnapshot } from "../src/index.ts";

export const PATIENT = "patient";
export const STAFF = ["plan", "staff", "shared"] as const;

const channel = (id: string): Channel => ({
    id,
    patient: PATIENT,
    name: id,
    purpose: null,
    audience: id === "shared" ? "shared" : "staff",
    kind: id === "plan" ? "plan" : "conversation",
    archived: false,
    last_seq: 0,
    read_seq: 0,
    unread: 0,
    muted: false,
    muted_until: null,
});

/** A patient as somebody sees them before anything was said. */
export function beginning(family = false): Sight {
    const channels = family ? [channel("shared")] : STAFF.map(channel);
    return withSnapshot(nothing({ user: "u0", family, patient: PATIENT }), {
        channels,
        items: [],
        members: [],
        unsorted: { overdue: 0 },
    });
}

interface Step {
    what: number;
    who: number;
    where: number;
    which: number;
    word: string;
}
const step: fc.Arbitrary<Step> = fc.record({
    what: fc.nat(19),
    who: fc.nat(2),
    where: fc.nat(9),
    which: fc.nat(9),
    word: fc.string({ maxLength: 4 }),
});

const STATES = ["ready", "accepted", "in-progress", "on-hold", "completed"] as const;

/**
 * What the steps come to, in the order it was committed. Steps that name something that is not there are passed over.
 */
export const record: fc.Arbitrary<EventFrame[]> = fc.array(step, { maxLength: 80 }).map((steps) => {
    const events: EventFrame[] = [];
    const seqs = new Map<string, number>();
    const made: Record<string, string[]> = {};
    const revs = new Map<string, number>();
    let minute = 0;
    const write = (event: string, channel: string, by: string, data: object): void => {
        seqs.set(channel, (seqs.get(channel) ?? 0) + 1);
        minute += 1;
        const at = new Date(Date.UTC(2026, 0, 2) + minute * 60_000).toISOString().replace("Z", "000Z");
        events.push({ type: "event", event, channel, seq: seqs.get(channel), at, by, data } as unknown as EventFrame);
    };
    const make = (kind: string, channel: string): string => {
        const id = `${kind}-${channel}-${(made[kind] ??= []).length}`;
        (made[kind] ??= []).push(id);
        return id;
    };
    const one = (kind: string, which: number): [string, string] | undefined => {
        const of = made[kind] ?? [];
        const id = of[which % Math.max(1, of.length)];
        return id === undefined ? undefined : [id, id.split("-")[1] as string];
    };
    const raise = (id: string): number => (revs.set(id, (revs.get(id) ?? 1) + 1), revs.get(id) as number);
    for (const [at, { what, who, where, which, word }] of steps.entries()) {
        const by = `u${who}`;
        const talk = where % 3 === 0 ? "shared" : "staff";
        const item = one("item", where)?.[0] ?? "whole";
        const message = one("message", which),
            note = one("marker", which),
            task = one("task", which),
            handoff = one("handoff", which);
        const about = { id: `entry-${at}` };
        switch (what) {
            case 0:
            case 1:
            case 2:
                write("message.posted", talk, by, {
                    id: make("message", talk),
                    item,
                    text: word,
                    ...(task && task[1] === talk && which % 2 ? { task: task[0] } : {}),
                    ...(which % 4 === 0 ? { ask: "check_back" } : {}),
                });
                break;
            case 3:
                if (message) write("message.amended", message[1], by, { ...about, message: message[0], text: word });
                break;
            case 4:
                if (message)
                    write("message.retracted", message[1], by, { ...about, message: message[0], reason: word });
                break;
            case 5:
                if (message) write("message.relinked", message[1], by, { ...about, message: message[0], item });
                break;
            case 6:
                if (message) write("message.acknowledged", message[1], by, { ...about, message: message[0] });
                break;
            case 7:
                if (message)
                    write("message.checked_back", message[1], by, { ...about, message: message[0], text: word });
                break;
            case 8:
                if (message)
                    write("message.confirmed", message[1], by, {
                        ...about,
                        message: message[0],
                        check_backs: [`entry-${at - 1}`],
                    });
                break;
            case 9:
                write("note.opened", talk, by, { id: make("marker", talk), item, remind_minutes: 30 });
                break;
            case 10:
                if (note)
                    write("note.logged", note[1], by, {
                        id: note[0],
                        note: note[0],
                        item,
                        medium: "phone",
                        held_at: "2026-01-02T03:04:05Z",
                        with: [{ name: word }],
                        text: word,
                        late: which % 2 === 0,
                    });
                break;
            case 11:
                if (note) write("note.dismissed", note[1], by, { ...about, note: note[0], reason: word });
                break;
            case 12:
                write("task.created", talk, by, {
                    id: make("task", talk),
                    item,
                    item_version: 1,
                    owner: `u${which % 3}`,
                    state: "ready",
                    title: word,
                });
                break;
            case 13:
            case 14:
                if (task)
                    write("task.changed", task[1], by, {
                        ...about,
                        task: task[0],
                        rev: raise(task[0]),
                        change: "move",
                        state: STATES[which % 5],
                        before: {},
                        after: {
                            state: STATES[which % 5],
                            title: word,
                            ...(where % 2 ? { due: null, priority: null } : {}),
                        },
                    });
                break;
            case 15:
                write("handoff.offered", "plan", by, {
                    id: make("handoff", "plan"),
                    patient: PATIENT,
                    to: "u1",
                    ipass: {
                        illness_severity: "stable",
                        patient_summary: word,
                        action_list: [],
                        situation_awareness: "",
                    },
                    tasks: [],
                    responsibilities: [],
                    respond_minutes: 30,
                });
                break;
            case 16:
                if (handoff)
                    write(which % 2 ? "handoff.declined" : "handoff.accepted", "plan", by, {
                        ...about,
                        handoff: handoff[0],
                        reason: word,
                        synthesis: word,
                    });
                break;
            case 17:
                write("plan_item.added", "plan", by, {
                    id: make("item", "plan"),
                    patient: PATIENT,
                    kind: "goal",
                    title: word,
                    status: "active",
                    shared: false,
                });
                break;
            case 18:
                if (one("item", which))
                    write("plan_item.changed", "plan", by, {
                        item: one("item", which)?.[0],
                        rev: raise(one("item", which)?.[0] as string),
                        title: word,
                        status: "active",
                    });
                break;
            default:
                for (const channel of STAFF)
                    write("team.joined", channel, by, {
                        user: `u${which % 3}`,
                        patient: PATIENT,
                        role: word,
                        family: false,
                        responsibilities: which % 4 ? [] : ["lead"],
                    });
        }
    }
    return events;
});
