// Who is signed in, their connection and their outbox. One on a page.
import {
    type Client,
    type Data,
    type NoticeFrame,
    type OpName,
    Refused,
    type Reply,
    type State,
    Vault,
    type Write,
    ambient,
    byTicket,
    client,
    endSession,
    openSession,
    sealingKey,
} from "carethread";
import { IndexedDbStorage } from "carethread/indexeddb";
import { SvelteMap } from "svelte/reactivity";
import { watchIdle } from "./idle.ts";
import { forget, forgetPages, keep, kept } from "./keep.ts";

export type Phase = "opening" | "out" | "in";

const world = ambient();
const storage = new IndexedDbStorage();
const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/ws`;

class Session {
    phase = $state<Phase>("opening");
    user = $state("");
    handle = $state("");
    /** Somebody stepped away, or their session ended: what they had not sent is kept, sealed. */
    locked = $state(false);
    connection = $state.raw<State>({ name: "ended", why: "stopped" });
    staleSince = $state<number | null | undefined>(undefined);
    expiring = $state.raw<NoticeFrame | undefined>(undefined);
    /** Messages of earlier pages that could not be opened any more. */
    lost = $state(0);
    readonly writes = new SvelteMap<string, Write>();
    #client: Client | undefined;
    #vault: Vault | undefined;
    #unwatch: (() => void) | undefined;
    readonly #heard = new Set<(client: Client) => void>();

    /** Goes on with the session that the browser has, if it has one. */
    async open(): Promise<void> {
        const before = await kept().catch(() => undefined);
        try {
            await byTicket(world, "").ticket();
        } catch (why) {
            // A server that does not answer just now is waited for; only its no is a no.
            if (!(why instanceof Refused) || why.code !== "unauthenticated") return this.#begin(before);
            this.locked = before !== undefined;
            this.handle = before?.handle ?? "";
            await forget();
            this.phase = "out";
            return;
        }
        this.#begin(before);
    }

    /** Signs in by password; `Refused` if that is no. */
    async signIn(handle: string, password: string, code?: string): Promise<void> {
        const session = await openSession(world, "", { handle, password, ...(code ? { code } : {}) });
        const key = await sealingKey(session.outbox_key);
        await keep({ user: session.user, handle, key }).catch(() => undefined);
        this.#begin({ user: session.user, handle, key });
    }

    /** Ends the session; what is not sent stays sealed for the same person if `keeping`, and nothing stays otherwise. */
    async leave(keeping: boolean): Promise<void> {
        const vault = this.#vault;
        this.#end(keeping);
        if (!keeping) {
            await vault?.wipe();
            await forgetPages();
        }
        await forget();
        await endSession(world, "").catch(() => undefined);
        location.hash = "#/";
    }

    get client(): Client {
        if (!this.#client) throw new Error("nobody is signed in");
        return this.#client;
    }

    get vault(): Vault | undefined {
        return this.#vault;
    }

    get live(): boolean {
        return this.connection.name === "live";
    }

    get unsent(): number {
        return [...this.writes.values()].filter(({ state }) => state === "waiting" || state === "sent").length;
    }

    ask<Op extends OpName>(op: Op, data: Data<Op>, lane?: "person" | "ahead"): Promise<Reply<Op>> {
        return this.client.connection.ask(op, data, lane);
    }

    /** Runs for each client there will be: one is made at every sign-in. */
    onClient(run: (client: Client) => void): () => void {
        this.#heard.add(run);
        if (this.#client) run(this.#client);
        return () => void this.#heard.delete(run);
    }

    #begin(before: { user: string; handle: string; key: CryptoKey } | undefined): void {
        this.handle = before?.handle ?? "";
        this.user = before?.user ?? "";
        this.#vault = before && new Vault(before.user, before.key, storage);
        const made = client({ url, signIn: byTicket(world, ""), world }, this.#vault);
        this.#client = made;
        this.writes.clear();
        made.connection.on("state", (state) => {
            this.connection = state;
            this.staleSince = made.connection.staleSince;
            if (state.name === "ended" && state.why !== "stopped") this.#ended();
        });
        made.connection.on("signed_in", ({ user }) => {
            this.user = user;
        });
        made.connection.on("notice", (notice) => {
            if (notice.code === "session_expiring") this.expiring = notice;
        });
        this.#unwatch = watchIdle({
            minutes: () => made.connection.idleMinutes,
            warn: () => (this.expiring ??= { type: "notice", code: "session_expiring", text: "" }),
            over: () => void this.#idle(),
        });
        made.outbox.on("changed", (write) => this.writes.set(write.key, write));
        made.outbox.on("discarded", (write) => this.writes.delete(write.key));
        void made.outbox.open().then((lost) => (this.lost = lost));
        this.locked = false;
        this.expiring = undefined;
        this.phase = "in";
        for (const run of this.#heard) run(made);
        made.connection.start();
    }

    /** The session is over: by idle log-off, or from another device. */
    #ended(): void {
        this.#end(true);
        void forget();
    }

    /** Nobody was at the page: the session ends here and at the server, and whoever comes back finds the page where it was. */
    async #idle(): Promise<void> {
        this.#ended();
        await endSession(world, "").catch(() => undefined);
    }

    #end(keeping: boolean): void {
        this.locked = keeping;
        this.expiring = undefined;
        this.#unwatch?.();
        // Which spaces somebody has written to is theirs: the next one on this page is asked anew.
        sessionStorage.clear();
        this.#client?.outbox.close();
        this.#client?.connection.stop();
        this.#client = undefined;
        this.#vault = undefined;
        this.writes.clear();
        this.phase = "out";
    }
}

export const session = new Session();
