// Everything that is not the protocol: clock, chance, socket, HTTP. Tests hand in their own.

/** What of a WebSocket is used; the browser's and that of `ws` both have it. */
export interface Socket {
    send(text: string): void;
    close(code?: number, reason?: string): void;
    onopen: ((event: never) => void) | null;
    onmessage: ((event: { data: unknown }) => void) | null;
    onclose: ((event: { code: number; reason: string }) => void) | null;
    onerror: ((event: never) => void) | null;
}

export interface World {
    /** Milliseconds since 1970. */
    now(): number;
    /** From 0 to 1, without 1. */
    random(): number;
    /** Runs something later; gives what takes it back. */
    after(ms: number, run: () => void): () => void;
    /** Opens a socket. */
    socket(url: string, protocols: string[]): Socket;
    fetch: typeof fetch;
    uuid(): string;
}

/** The browser, or a Node that has `WebSocket`. */
export function ambient(): World {
    return {
        now: () => Date.now(),
        random: () => Math.random(),
        after: (ms, run) => {
            const timer = setTimeout(run, ms);
            return () => clearTimeout(timer);
        },
        socket: (url, protocols) => new WebSocket(url, protocols) as unknown as Socket,
        fetch: (input, init) => fetch(input, init),
        uuid: () => crypto.randomUUID(),
    };
}
