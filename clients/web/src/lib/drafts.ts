// What somebody has begun to write, for each place: kept sealed, back after a reload or a log-off.
import { session } from "./session.svelte.ts";

export interface Draft {
    item: string | null;
    text: string;
    sbar: { situation: string; background: string; assessment: string; recommendation: string } | null;
}

export async function draftOf(place: string): Promise<Draft | undefined> {
    const found = await session.vault?.all<Draft>("draft").catch(() => undefined);
    return found?.values.find(({ id }) => id === place)?.value;
}

export async function keepDraft(place: string, draft: Draft): Promise<void> {
    const empty = draft.text === "" && draft.sbar === null;
    // Where the browser keeps nothing, a draft lives as long as its page.
    await (empty ? session.vault?.drop("draft", place) : session.vault?.keep("draft", place, 0, draft))?.catch(
        () => undefined,
    );
}
