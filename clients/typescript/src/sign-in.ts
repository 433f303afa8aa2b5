// Ways to be somebody on a socket, and the sessions behind them.
import type { Refusal } from "./frames.ts";
import type { World } from "./world.ts";

/** What the server says no with. `code` is stable; `title` and `detail` are for people. */
export class Refused extends Error {
    readonly code: string;
    readonly refusal: Refusal;

    constructor(refusal: Refusal) {
        super(`${refusal.title}${refusal.detail ? `: ${refusal.detail}` : ""}`);
        this.name = "Refused";
        this.code = refusal.code;
        this.refusal = refusal;
    }
}

/** The connection ended before the answer came: what was asked may have been done or not. */
export class Lost extends Error {
    constructor() {
        super("The connection ended before the answer came");
        this.name = "Lost";
    }
}

/**
 * How a connection signs in. `token`: a personal access token or a session's, in a first frame `login`. `ticket`: a
 * function that gets a one-use ticket, asked anew for each attempt, since browsers cannot set a header on a WebSocket;
 * a `Refused` from it ends the connection where it is about who one is.
 */
export type SignIn = { token: string } | { ticket: () => Promise<string> };

/** A session, as `POST /v1/sessions` answers. */
export interface Session {
    token: string;
    user: string;
    session: string;
    expires_at: string;
    /** What seals the outbox of this person, base64: see `sealingKey`. */
    outbox_key: string;
}

const JSON_BODY = { "Content-Type": "application/json" };

async function answered<T>(response: Response): Promise<T> {
    const body: unknown = await response.json().catch(() => undefined);
    if (response.ok) return body as T;
    const problem = (body ?? {}) as Partial<Refusal>;
    const code =
        problem.code ??
        (response.status === 401 ? "unauthenticated" : response.status === 429 ? "rate_limited" : "busy");
    throw new Refused({
        ...problem,
        code,
        title: problem.title ?? "The server did not answer as it should",
        retry: response.status >= 429,
    } as Refusal);
}

/**
 * Signs in by password; the browser keeps the cookie that comes with it. `base` is the address of the server, `""` for
 * a page's own.
 */
export async function openSession(
    world: World,
    base: string,
    given: { handle: string; password: string; code?: string },
): Promise<Session> {
    return answered(
        await world.fetch(`${base}/v1/sessions`, { method: "POST", headers: JSON_BODY, body: JSON.stringify(given) }),
    );
}

/** Ends the session of the cookie, or of the token. */
export async function endSession(world: World, base: string, token?: string): Promise<void> {
    const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {};
    const response = await world.fetch(`${base}/v1/sessions/current`, { method: "DELETE", headers });
    // One that is over already is as good.
    if (!response.ok && response.status !== 401) await answered(response);
}

/** Tickets from the session of the cookie, or of the token. */
export function byTicket(world: World, base: string, token?: string): { ticket: () => Promise<string> } {
    const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {};
    return {
        ticket: async () => {
            const response = await world.fetch(`${base}/v1/ws-tickets`, { method: "POST", headers });
            return (await answered<{ ticket: string }>(response)).ticket;
        },
    };
}
