// What takes a record out, or stands for it, wants the password anew. It is done in a session of its own that begins with the password
// and ends with the deed: the cookie and the line of the page stay as they are, and what was begun on the page stays too.
import { type Data, type OpName, type Refusal, Refused, type Reply, ambient, endSession, openSession } from "carethread";
import { session } from "./session.svelte.ts";

const apart = { ...ambient(), fetch: (to: string | URL | Request, init?: RequestInit) => fetch(to, { ...init, credentials: "omit" as const }) };

async function refusal(answer: Response): Promise<Refused> {
    const problem = (await answer.json().catch(() => ({}))) as Partial<Refusal>;
    return new Refused({ code: "busy", title: String(answer.status), ...problem } as Refusal);
}

/** What can be asked while the password counts. */
export class Deed {
    readonly #headers: Record<string, string>;

    constructor(token: string) {
        this.#headers = { Authorization: `Bearer ${token}` };
    }

    async ask<Op extends OpName>(op: Op, data: Data<Op>): Promise<Reply<Op>> {
        const answer = await this.post("/v1/ops", { op, data });
        const frame = (await answer.json()) as { data?: Reply<Op>; error?: Refusal };
        if (frame.error) throw new Refused(frame.error);
        return frame.data as Reply<Op>;
    }

    async post(path: string, body: unknown): Promise<Response> {
        const headers = { ...this.#headers, "Content-Type": "application/json" };
        const answer = await apart.fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
        if (!answer.ok) throw await refusal(answer);
        return answer;
    }

    async file(path: string): Promise<Blob> {
        const answer = await apart.fetch(path, { headers: this.#headers });
        if (!answer.ok) throw await refusal(answer);
        return answer.blob();
    }
}

/** Runs what wants the password; `Refused` with `unauthenticated` if it is wrong. */
export async function withPassword<T>(password: string, code: string, run: (deed: Deed) => Promise<T>): Promise<T> {
    const { token } = await openSession(apart, "", { handle: session.handle, password, ...(code ? { code } : {}) });
    try {
        return await run(new Deed(token));
    } finally {
        await endSession(apart, "", token).catch(() => undefined);
    }
}
