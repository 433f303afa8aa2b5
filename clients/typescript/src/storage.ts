// Where sealed values lie: an interface, and the one that forgets. What is stored says whose it is and of which kind;
// what it says is sealed.

export type Kind = "write" | "draft";

export interface Sealed {
    user: string;
    kind: Kind;
    id: string;
    /** What it is ordered by among its kind. */
    order: number;
    bytes: Uint8Array<ArrayBuffer>;
}

export interface Storage {
    /** Everything of that person and kind, by `order`. */
    all(user: string, kind: Kind): Promise<Sealed[]>;
    put(sealed: Sealed): Promise<void>;
    remove(user: string, kind: Kind, id: string): Promise<void>;
    /** Takes away all of that person, or of everybody. */
    wipe(user?: string): Promise<void>;
}

/** Until the page is closed. */
export class MemoryStorage implements Storage {
    readonly #values = new Map<string, Sealed>();

    async all(user: string, kind: Kind): Promise<Sealed[]> {
        const values = [...this.#values.values()].filter((value) => value.user === user && value.kind === kind);
        return values.sort((a, b) => a.order - b.order);
    }

    async put(sealed: Sealed): Promise<void> {
        this.#values.set(`${sealed.user} ${sealed.kind} ${sealed.id}`, sealed);
    }

    async remove(user: string, kind: Kind, id: string): Promise<void> {
        this.#values.delete(`${user} ${kind} ${id}`);
    }

    async wipe(user?: string): Promise<void> {
        for (const [name, value] of this.#values)
            if (user === undefined || value.user === user) this.#values.delete(name);
    }
}
