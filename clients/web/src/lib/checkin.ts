// What a space asks its staff: just now, and last.
import type { Sight } from "carethread";

export interface AskedCheckin {
    id: string;
    closes_at: string;
    questions: readonly string[];
    expected: boolean;
    answered: boolean;
}

/** The one that is open, and the newest one that is over. */
export function checkins(sight: Sight, channel: string): { open: AskedCheckin | undefined; last: AskedCheckin | undefined } {
    let open: AskedCheckin | undefined, last: AskedCheckin | undefined;
    for (const entry of sight.lines.get(channel)?.entries ?? []) {
        if (entry.event === "checkin.opened") {
            const { id, closes_at, questions, expected } = entry.data;
            open = { id, closes_at, questions, expected: expected.includes(sight.user), answered: false };
        } else if (entry.event === "checkin.answered" && entry.data.checkin === open?.id && entry.by === sight.user) {
            open = { ...open, answered: true };
        } else if (entry.event === "checkin.closed" && entry.data.checkin === open?.id) {
            last = open;
            open = undefined;
        }
    }
    return { open, last };
}

export const openCheckin = (sight: Sight, channel: string): AskedCheckin | undefined => checkins(sight, channel).open;
