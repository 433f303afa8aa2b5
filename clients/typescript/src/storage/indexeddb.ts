// Sealed values in the browser's IndexedDB: they are there after a reload, a crash of the browser, an idle log-off.
import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import type { Kind, Sealed, Storage } from "../storage.ts";

interface Schema extends DBSchema {
    sealed: { key: [string, string, string]; value: Sealed };
}

export class IndexedDbStorage implements Storage {
    readonly #name: string;
    #database: Promise<IDBPDatabase<Schema>> | undefined;

    constructor(name = "carethread") {
        this.#name = name;
    }

    #opened(): Promise<IDBPDatabase<Schema>> {
        this.#database ??= openDB<Schema>(this.#name, 1, {
            upgrade(database) {
                database.createObjectStore("sealed", { keyPath: ["user", "kind", "id"] });
            },
            terminated: () => {
                this.#database = undefined;
            },
        });
        return this.#database;
    }

    async all(user: string, kind: Kind): Promise<Sealed[]> {
        // An array sorts behind every text: so the range is all ids of that kind.
        const range = IDBKeyRange.bound([user, kind], [user, kind, []]);
        return (await (await this.#opened()).getAll("sealed", range)).sort((a, b) => a.order - b.order);
    }

    async put(sealed: Sealed): Promise<void> {
        await (await this.#opened()).put("sealed", sealed);
    }

    async remove(user: string, kind: Kind, id: string): Promise<void> {
        await (await this.#opened()).delete("sealed", [user, kind, id]);
    }

    async wipe(user?: string): Promise<void> {
        const database = await this.#opened();
        if (user === undefined) return database.clear("sealed");
        await database.delete("sealed", IDBKeyRange.bound([user], [user, []]));
    }
}
