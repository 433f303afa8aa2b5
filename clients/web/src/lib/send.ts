// Writes of forms: what the server says no with comes back as words, to stand beside the form.
import { type Data, Refused, type WriteName } from "carethread";
import { t } from "./i18n/index.svelte.ts";
import { session } from "./session.svelte.ts";

/** Takes a write in. Empty words: it is done, or waits in the outbox for a line. */
export async function send<Op extends WriteName>(op: Op, data: Data<Op>): Promise<string> {
    const done = session.client.outbox.run(op, data);
    if (!session.live) {
        // It is shown among what is not sent; nobody waits here for its answer.
        done.catch(() => undefined);
        return "";
    }
    try {
        await done;
        return "";
    } catch (why) {
        return why instanceof Refused ? (why.refusal.detail ?? why.refusal.title) : t("search.lost");
    }
}

/** What a field for a day and an hour holds, as the protocol has times; nothing for an empty one. */
export const instant = (local: string): string | undefined => (local ? new Date(local).toISOString() : undefined);
