// Who listens to what, by name. A listener that throws is its own affair: the others still hear.

export class Signals<Map extends object> {
    readonly #listeners = new globalThis.Map<keyof Map, Set<(value: never) => void>>();

    /** Hears it from now on; gives what ends that. */
    on<Name extends keyof Map>(name: Name, listener: (value: Map[Name]) => void): () => void {
        const listeners = this.#listeners.get(name) ?? new Set();
        this.#listeners.set(name, listeners);
        listeners.add(listener);
        return () => void listeners.delete(listener);
    }

    say<Name extends keyof Map>(name: Name, value: Map[Name]): void {
        for (const listener of [...(this.#listeners.get(name) ?? [])]) {
            try {
                (listener as (value: Map[Name]) => void)(value);
            } catch (error) {
                queueMicrotask(() => {
                    throw error;
                });
            }
        }
    }
}
