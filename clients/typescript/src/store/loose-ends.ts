// What is not settled yet: talks that nobody wrote down, handoffs that nobody took.
import type { Part } from "./sight.ts";

export const looseEnds: Part = {
    "note.opened"(draft, { at, by, channel, seq, data }) {
        if (!("remind_minutes" in data)) return;
        draft.work.markers.set(data.id, {
            patient: draft.patient,
            channel,
            by,
            at,
            seq,
            ...data,
            with: data.with ?? [],
        });
    },
    "note.logged"(draft, { data }) {
        if ("note" in data && data.note) draft.work.markers.delete(data.note);
    },
    "note.dismissed": (draft, { data }) => void draft.work.markers.delete(data.note),

    "handoff.offered"(draft, { at, by, channel, seq, data }) {
        const { replaces, left, ...offered } = data;
        for (const former of replaces ?? []) draft.work.handoffs.delete(former);
        draft.work.handoffs.set(data.id, {
            ...offered,
            left: left ?? [],
            channel,
            by,
            at,
            seq,
            state: "offered",
            since: at,
            escalated: 0,
        });
    },
    "handoff.declined"(draft, { at, data }) {
        const known = draft.work.handoffs.get(data.handoff);
        if (known)
            draft.work.handoffs.set(data.handoff, {
                ...known,
                state: "declined",
                since: at,
                escalated: 0,
                declined: data.reason,
            });
    },
    "handoff.escalated"(draft, { data }) {
        const known = draft.work.handoffs.get(data.handoff);
        if (known) draft.work.handoffs.set(data.handoff, { ...known, escalated: data.step });
    },
    "handoff.accepted": (draft, { data }) => void draft.work.handoffs.delete(data.handoff),
    "handoff.withdrawn": (draft, { data }) => void draft.work.handoffs.delete(data.handoff),
};
