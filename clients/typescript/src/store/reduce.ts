// How a sight changes: by entries as they come, by older ones as they are read. Pure: the same sight and entries give
// the same sight.
import type { EventFrame, KeptEvent } from "../frames.ts";
import { isOwn } from "../frames.ts";
import type { Channel, HistoryReply, PlanItem, TeamMember } from "../generated.ts";
import { channels } from "./channels.ts";
import { looseEnds } from "./loose-ends.ts";
import { plan } from "./plan.ts";
import { said } from "./said.ts";
import { type Draft, type Line, type Part, type Sight, draft, lastSeq, nothing, sealed } from "./sight.ts";
import { tasks } from "./tasks.ts";
import { team } from "./team.ts";

/** Each kind of entry has its part; nothing else knows them all. */
const PARTS: readonly Part[] = [channels, team, plan, tasks, looseEnds, said];

function lay(into: Draft, event: EventFrame): void {
    for (const part of PARTS)
        (part[event.event] as ((draft: Draft, event: EventFrame) => void) | undefined)?.(into, event);
}

/** A line that may be written to. */
function ownLine(
    into: Draft,
    channel: string,
    first: number,
): { first: number; entries: EventFrame[]; gaps: [number, number][] } {
    const known = into.lines.get(channel);
    if (known && into.copied.has(channel)) return known as ReturnType<typeof ownLine>;
    const line = {
        first: known?.first ?? first,
        entries: [...(known?.entries ?? [])],
        gaps: [...(known?.gaps ?? [])] as [number, number][],
    };
    into.lines.set(channel, line);
    into.copied.add(channel);
    return line;
}

function append(into: Draft, event: EventFrame): void {
    const known = into.lines.get(event.channel);
    if (known && event.seq <= lastSeq(known)) return;
    if (known && event.seq > lastSeq(known) + 1) {
        // Something is missing: better to know that this line is short of its past than to close it over a hole.
        into.lines.set(event.channel, { first: event.seq, entries: [], gaps: known.gaps });
        into.copied.delete(event.channel);
    }
    ownLine(into, event.channel, event.seq).entries.push(event);
    lay(into, event);
}

/** Which channel an event is about: one of this patient, or one that is just opened at their record. */
function isOurs(into: Draft, event: EventFrame): boolean {
    return (
        into.channels.has(event.channel) || (event.event === "channel.opened" && event.data.patient === into.patient)
    );
}

/**
 * Lays events over a sight, in the order they came. What is there already, and what is of another patient, changes
 * nothing. A sight and the events that came later make the later sight: tested against a server, for staff and family.
 */
export function reduce(sight: Sight, events: readonly KeptEvent[]): Sight {
    const into = draft(sight);
    for (const event of events) {
        if (isOwn(event)) {
            if (event.event === "read")
                into.reads.set(event.data.channel, Math.max(event.data.seq, into.reads.get(event.data.channel) ?? 0));
        } else if (isOurs(into, event)) append(into, event);
    }
    return sealed(into);
}

/** What the server says of a patient when asked; entries are read beside it. */
export interface Snapshot {
    channels: readonly Channel[];
    items: readonly PlanItem[];
    members: readonly TeamMember[];
    unsorted: { overdue: number };
}

/** Lays a snapshot over a sight: what is asked for anew counts more than what was reckoned, and entries stay. */
export function withSnapshot(sight: Sight, snapshot: Snapshot): Sight {
    const ours = snapshot.channels.filter((channel) => channel.patient === sight.patient);
    const lines = new Map([...sight.lines].filter(([id]) => ours.some((channel) => channel.id === id)));
    const newer = (item: PlanItem) => {
        const known = sight.items.get(item.id);
        return known && known.rev > item.rev ? known : item;
    };
    return {
        ...sight,
        lines,
        channels: new Map(ours.map((channel) => [channel.id, channel])),
        items: new Map(snapshot.items.map((item) => [item.id, newer(item)])),
        members: new Map(snapshot.members.map((member) => [member.user, member])),
        unsortedOverdue: snapshot.unsorted.overdue,
    };
}

/**
 * Puts pages of a channel's past into it, however they were read: what follows from entries is made anew, since what
 * was said first may come last. A page that does not touch what is there takes its place.
 */
export function withPast(
    sight: Sight,
    pages: ReadonlyMap<string, readonly Pick<HistoryReply, "events" | "gaps">[]>,
): Sight {
    const lines = new Map(sight.lines);
    for (const [channel, parts] of pages) {
        const known = lines.get(channel);
        const bySeq = new Map((known?.entries ?? []).map((entry) => [entry.seq, entry]));
        const gaps = [...(known?.gaps ?? [])];
        for (const page of parts) {
            for (const entry of page.events) bySeq.set(entry.seq, entry);
            for (const gap of page.gaps)
                if (!gaps.some(([from, to]) => from === gap[0] && to === gap[1])) gaps.push(gap);
        }
        const entries = [...bySeq.values()].sort((a, b) => a.seq - b.seq);
        lines.set(channel, connected(entries, gaps, known ? known.first : 1));
    }
    return again({ ...sight, lines });
}

/** The newest entries that follow each other without a hole. */
function connected(entries: EventFrame[], gaps: readonly (readonly [number, number])[], ifNone: number): Line {
    let at = entries.length - 1;
    const follows = (before: number, after: number) =>
        after === before + 1 || gaps.some(([from, to]) => from <= before + 1 && to >= after - 1);
    while (at > 0 && follows((entries[at - 1] as EventFrame).seq, (entries[at] as EventFrame).seq)) at -= 1;
    const kept = at > 0 ? entries.slice(at) : entries;
    return { first: kept[0]?.seq ?? ifNone, entries: kept, gaps };
}

/** What follows from entries alone, made from all of them. */
function again(sight: Sight): Sight {
    const empty = nothing(sight);
    const into = draft({ ...sight, said: empty.said, work: empty.work });
    for (const line of sight.lines.values())
        for (const event of line.entries) {
            for (const part of [tasks, looseEnds, said])
                (part[event.event] as ((draft: Draft, event: EventFrame) => void) | undefined)?.(into, event);
        }
    return sealed(into);
}

/** A channel that is read anew, or is not for this person any more: what was held of it goes. */
export function without(sight: Sight, channel: string, gone: boolean): Sight {
    const lines = new Map(sight.lines);
    const kept = new Map(sight.channels);
    lines.delete(channel);
    if (gone) kept.delete(channel);
    return again({ ...sight, lines, channels: kept });
}
