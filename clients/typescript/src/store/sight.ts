// What somebody sees of one patient, as values: nothing in here is changed in place once it is handed out.
import type { EventFrame } from "../frames.ts";
import type { Channel, HandoffOffered, Marker, PlanItem, TaskShown, TeamMember } from "../generated.ts";
import type { Said } from "./said.ts";

export type TaskState = TaskShown["state"];
/** `TaskShown` without what is counted. */
export type Task = Omit<TaskShown, "messages">;
export type OpenMarker = Marker & { remind_minutes: number };
export type OpenHandoff = Omit<HandoffOffered, "replaces" | "left"> & {
    left: string[];
    channel: string;
    by: string;
    at: string;
    seq: number;
    state: "offered" | "declined";
    since: string;
    escalated: number;
    declined?: string;
};

/** Entries of one channel without a hole, from `first` on. */
export interface Line {
    /** The `seq` of the first one here; 1 when the channel is here from its beginning. */
    first: number;
    entries: readonly EventFrame[];
    /** Entries that lie between a removal from the team and a return: they are not to be had. */
    gaps: readonly (readonly [number, number])[];
}

/** What entries say of the work there is. */
export interface Work {
    tasks: ReadonlyMap<string, Task>;
    /** When each task that is over ended. */
    ended: ReadonlyMap<string, string>;
    /** Which message belongs to the thread of which task. */
    threads: ReadonlyMap<string, string>;
    markers: ReadonlyMap<string, OpenMarker>;
    handoffs: ReadonlyMap<string, OpenHandoff>;
}

export interface Sight {
    /** Who sees it, and whether as family: they see shared channels and items only. */
    user: string;
    family: boolean;
    patient: string;
    channels: ReadonlyMap<string, Channel>;
    items: ReadonlyMap<string, PlanItem>;
    members: ReadonlyMap<string, TeamMember>;
    lines: ReadonlyMap<string, Line>;
    /** How far this person has read, as they were told on `me`: it may come before the entry that opens the channel. */
    reads: ReadonlyMap<string, number>;
    /** Messages, notes and open markers, of all channels. */
    said: ReadonlyMap<string, Said>;
    work: Work;
    /**
     * Messages on "Unsorted" that wait too long, as the server last counted: how long that is, is the site's to say.
     */
    unsortedOverdue: number;
}

type Mutable<T> = T extends ReadonlyMap<infer K, infer V> ? Map<K, V> : T;

/** A sight that is being changed: a copy nobody else has. */
export type Draft = { -readonly [Name in keyof Omit<Sight, "work">]: Mutable<Sight[Name]> } & {
    work: { -readonly [Name in keyof Work]: Mutable<Work[Name]> };
    /** Lines that are copies already. */
    copied: Set<string>;
};

/** Begins a change. Maps are copied, what stands in them is replaced where it changes. */
export function draft(sight: Sight): Draft {
    const { work, channels, items, members, lines, reads, said, ...rest } = sight;
    return {
        ...rest,
        channels: new Map(channels),
        items: new Map(items),
        members: new Map(members),
        lines: new Map(lines),
        reads: new Map(reads),
        said: new Map(said),
        work: {
            tasks: new Map(work.tasks),
            ended: new Map(work.ended),
            threads: new Map(work.threads),
            markers: new Map(work.markers),
            handoffs: new Map(work.handoffs),
        },
        copied: new Set(),
    };
}

/** Ends a change. */
export function sealed({ copied: _, ...sight }: Draft): Sight {
    return sight;
}

/** Nothing yet. */
export function nothing(who: { user: string; family: boolean; patient: string }): Sight {
    return {
        ...who,
        channels: new Map(),
        items: new Map(),
        members: new Map(),
        lines: new Map(),
        reads: new Map(),
        said: new Map(),
        work: { tasks: new Map(), ended: new Map(), threads: new Map(), markers: new Map(), handoffs: new Map() },
        unsortedOverdue: 0,
    };
}

/** Whether every channel is here from its beginning: then counts can be reckoned instead of asked for. */
export function isWhole(sight: Sight): boolean {
    return [...sight.channels.values()].every((channel) => {
        const line = sight.lines.get(channel.id);
        if (line === undefined) return channel.last_seq === 0;
        return line.first === 1 || line.gaps.some(([from, to]) => from === 1 && to >= line.first - 1);
    });
}

/** The `seq` of the newest entry that is here; 0 for none. */
export const lastSeq = (line: Line | undefined): number => line?.entries.at(-1)?.seq ?? (line ? line.first - 1 : 0);

/** For parts of the store: what happens to a sight at each event they know. */
export type Part = {
    [Name in EventFrame["event"]]?: (draft: Draft, event: Extract<EventFrame, { event: Name }>) => void;
};
