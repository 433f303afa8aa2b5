// What of a session survives a reload: who is signed in, and the key of what they have not sent yet. The key cannot be
// read out of the browser, and is gone with the session; what it sealed then waits for the same person.
import { openDB } from "idb";

export interface Kept {
    user: string;
    handle: string;
    key: CryptoKey;
}

const opened = () =>
    openDB("carethread-session", 1, {
        upgrade(database) {
            database.createObjectStore("session");
        },
    });

export async function keep(kept: Kept): Promise<void> {
    await (await opened()).put("session", kept, "current");
}

export async function kept(): Promise<Kept | undefined> {
    return (await (await opened()).get("session", "current")) as Kept | undefined;
}

export async function forget(): Promise<void> {
    await (await opened()).clear("session");
}

/** What the worker keeps so that the page opens without a network: files of the page, the same for everybody. */
const SHELL = "carethread-shell-";

/** For signing out: whatever else a cache holds goes. */
export async function forgetPages(): Promise<void> {
    const names = await caches.keys().catch(() => []);
    await Promise.all(names.filter((name) => !name.startsWith(SHELL)).map((name) => caches.delete(name)));
}
