// What was said: messages, notes of talks elsewhere, and talks that are not written down yet, each with all that came
// of it. Corrections are entries of their own: what was said before stays readable.
import type { Entry } from "../frames.ts";
import type { Participant, Posted, Sbar } from "../generated.ts";
import type { Draft, Part } from "./sight.ts";

/** Words as they stood from one entry on. */
export interface Version {
    seq: number;
    at: string;
    by: string;
    text?: string;
    sbar?: Sbar;
}

/** What one reader answered to a message that asked. */
export interface Answer {
    acknowledged_at?: string;
    check_back?: { id: string; seq: number; at: string; text: string };
    confirmed_at?: string;
}

export interface Said {
    id: string;
    kind: "message" | "note" | "marker";
    channel: string;
    seq: number;
    at: string;
    by: string;
    /** The plan item it is about now. */
    item: string;
    /** The words, oldest first; none of a marker, and none where they are withheld. */
    versions: readonly Version[];
    relinked: readonly { seq: number; at: string; by: string; item: string; from: string; reason?: string }[];
    retracted?: { seq: number; at: string; by: string; reason: string };
    /** Why the words are not here: it went to the wrong patient. */
    withheld?: string;
    /** Of a message. */
    post?: Omit<Posted, "id" | "item" | "text" | "sbar">;
    answers: ReadonlyMap<string, Answer>;
    /** Each time that it was said again to those who did not answer: step 0 to those asked. */
    again: readonly { seq: number; at: string; step: number; to: readonly string[] }[];
    settled?: { at: string; by: string; reason: string };
    /** Of a note or a marker. */
    note?: Note;
}

export interface Note {
    state: "open" | "documented" | "confirmed" | "disputed" | "dismissed";
    medium?: string;
    with: readonly Participant[];
    held_at?: string;
    ended_at?: string;
    held_at_guessed?: boolean;
    decisions: readonly string[];
    files: readonly string[];
    late?: boolean;
    late_minutes?: number;
    from_mail?: boolean;
    text_cut?: boolean;
    tasks: readonly string[];
    opened?: { at: string; by: string };
    views: readonly { at: string; by: string; says: "confirmed" | "disputed"; reason?: string }[];
    addenda: readonly Version[];
    dismissed?: { at: string; by: string; reason: string };
}

type Where = Pick<Entry, "channel" | "seq" | "at" | "by">;

const place = ({ channel, seq, at, by }: Where) => ({ channel, seq, at, by });
const nothingCame = { relinked: [], answers: new Map<string, Answer>(), again: [] };

/** The words of an entry, if it has any. */
function words({ seq, at, by }: Where, data: object): Version[] {
    const { text, sbar } = data as { text?: string | null; sbar?: Sbar | null };
    if (text != null) return [{ seq, at, by, text }];
    return sbar != null ? [{ seq, at, by, sbar }] : [];
}

function change(draft: Draft, id: string, how: (said: Said) => Partial<Said>): void {
    const known = draft.said.get(id);
    if (known) draft.said.set(id, { ...known, ...how(known) });
}

function changeNote(draft: Draft, id: string, how: (note: Note) => Partial<Note>): void {
    change(draft, id, ({ note }) => (note ? { note: { ...note, ...how(note) } } : {}));
}

function answer(draft: Draft, id: string, by: string, how: (known: Answer) => Answer): void {
    change(draft, id, ({ answers }) => ({ answers: new Map(answers).set(by, how(answers.get(by) ?? {})) }));
}

function posted(draft: Draft, event: Entry<"message.posted">): void {
    const { data } = event;
    const first = { id: data.id, kind: "message", item: data.item ?? "", ...place(event), ...nothingCame } as const;
    if ("withheld" in data) return void draft.said.set(data.id, { ...first, versions: [], withheld: data.withheld });
    const { id: _, item: __, text: ___, sbar: ____, ...post } = data;
    draft.said.set(data.id, { ...first, versions: words(event, data), post });
}

function logged(draft: Draft, event: Entry<"note.logged">): void {
    const { data } = event;
    const marker = draft.said.get(data.id);
    const note: Note = {
        state: "documented",
        medium: data.medium,
        with: data.with,
        held_at: data.held_at,
        decisions: data.decisions ?? [],
        files: data.files ?? [],
        tasks: data.tasks ?? [],
        late: data.late,
        views: [],
        addenda: [],
    };
    if (data.ended_at != null) note.ended_at = data.ended_at;
    if (data.late_minutes != null) note.late_minutes = data.late_minutes;
    if (data.held_at_guessed) note.held_at_guessed = true;
    if (data.text_cut) note.text_cut = true;
    if (data.mail) note.from_mail = true;
    if (marker) note.opened = { at: marker.at, by: marker.by };
    draft.said.set(data.id, {
        id: data.id,
        kind: "note",
        item: data.item,
        ...place(event),
        ...nothingCame,
        versions: words(event, data),
        note,
    });
}

/** What went to the wrong patient is not kept: entries are cut as the server cuts them from now on. */
function withhold(draft: Draft, channel: string, message: string, seqs: readonly number[]): void {
    const line = draft.lines.get(channel);
    if (!line) return;
    const entries = line.entries.map((entry) => {
        if (!seqs.includes(entry.seq)) return entry;
        const { id, item, message } = entry.data as { id: string; item?: string; message?: string };
        const data = { id, ...(item ? { item } : {}), ...(message ? { message } : {}), withheld: "wrong_patient" };
        return { ...entry, data } as typeof entry;
    });
    draft.lines.set(channel, { ...line, entries });
    change(draft, message, ({ answers }) => ({
        versions: [],
        withheld: "wrong_patient",
        answers: new Map([...answers].map(([user, { check_back: _, ...rest }]) => [user, rest])),
    }));
}

export const said: Part = {
    "message.posted": posted,
    "message.amended"(draft, event) {
        if ("withheld" in event.data) return;
        const { data } = event;
        change(draft, data.message, ({ versions }) => ({ versions: [...versions, ...words(event, data)] }));
    },
    "message.retracted"(draft, { seq, at, by, channel, data }) {
        change(draft, data.message, () => ({ retracted: { seq, at, by, reason: data.reason } }));
        if (data.withholds) withhold(draft, channel, data.message, data.withholds);
    },
    "message.relinked"(draft, { seq, at, by, data }) {
        change(draft, data.message, ({ item: from, relinked }) => ({
            item: data.item,
            relinked: [
                ...relinked,
                { seq, at, by, from, item: data.item, ...(data.reason != null ? { reason: data.reason } : {}) },
            ],
        }));
    },
    "message.acknowledged"(draft, { at, by, data }) {
        answer(draft, data.message, by, (known) => ({ ...known, acknowledged_at: at }));
    },
    "message.checked_back"(draft, { seq, at, by, data }) {
        if ("withheld" in data) return;
        answer(draft, data.message, by, () => ({ check_back: { id: data.id, seq, at, text: data.text } }));
    },
    "message.confirmed"(draft, { at, data }) {
        change(draft, data.message, ({ answers }) => ({
            answers: new Map(
                [...answers].map(([user, known]) =>
                    known.check_back && data.check_backs.includes(known.check_back.id)
                        ? [user, { ...known, confirmed_at: at }]
                        : [user, known],
                ),
            ),
        }));
    },
    "message.reminded"(draft, { seq, at, data }) {
        change(draft, data.message, ({ again }) => ({ again: [...again, { seq, at, step: 0, to: data.to }] }));
    },
    "message.escalated"(draft, { seq, at, data }) {
        change(draft, data.message, ({ again }) => ({ again: [...again, { seq, at, step: data.step, to: data.to }] }));
    },
    "message.settled"(draft, { at, by, data }) {
        change(draft, data.message, () => ({ settled: { at, by, reason: data.reason } }));
    },

    "note.opened"(draft, event) {
        const { data, at, by } = event;
        const note: Note = {
            state: "open",
            with: data.with ?? [],
            decisions: [],
            files: [],
            tasks: [],
            views: [],
            addenda: [],
            opened: { at, by },
        };
        if (data.medium != null) note.medium = data.medium;
        draft.said.set(data.id, {
            id: data.id,
            kind: "marker",
            item: data.item,
            ...place(event),
            ...nothingCame,
            versions: [],
            note,
        });
    },
    "note.logged": logged,
    "note.dismissed"(draft, { at, by, data }) {
        changeNote(draft, data.note, () => ({ state: "dismissed", dismissed: { at, by, reason: data.reason } }));
    },
    "note.confirmed"(draft, { at, by, data }) {
        changeNote(draft, data.note, ({ views }) => ({
            state: data.state,
            views: [...views, { at, by, says: "confirmed" }],
        }));
    },
    "note.disputed"(draft, { at, by, data }) {
        changeNote(draft, data.note, ({ views }) => ({
            state: data.state,
            views: [...views, { at, by, says: "disputed", reason: data.reason }],
        }));
    },
    "note.addended"(draft, event) {
        changeNote(draft, event.data.note, ({ addenda }) => ({ addenda: [...addenda, ...words(event, event.data)] }));
    },
};

/** Whether it counts as linked to its item: it stands, and was not taken back. */
export const stands = (one: Said): boolean => one.retracted === undefined && one.note?.state !== "dismissed";
