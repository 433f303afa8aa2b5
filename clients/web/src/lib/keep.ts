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
