// Whether a space asks its staff something just now.
import type { Sight } from "carethread";

export interface OpenCheckin {
    id: string;
    closes_at: string;
    questions: readonly string[];
    expected: boolean;
    answered: boolean;
}

export function openCheckin(sight: Sight, channel: string): OpenCheckin | undefined {
    let open: OpenCheckin | undefined;
    for (const entry of sight.lines.get(channel)?.entries ?? []) {
        if (entry.event === "checkin.opened") {
            const { id, closes_at, questions, expected } = entry.data;
            open = { id, closes_at, questions, expected: expected.includes(sight.user), answered: false };
        } else if (entry.event === "checkin.answered" && entry.data.checkin === open?.id && entry.by === sight.user) {
            open = { ...open, answered: true };
        } else if (entry.event === "checkin.closed" && entry.data.checkin === open?.id) open = undefined;
    }
    return open;
}
