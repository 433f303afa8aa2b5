// The record that is open: one patient's, kept up to date, with what follows from it.
import { type PlanItem, PatientStore, type Reckoned, type ReckonedBoard, Refused, type Reply, type Sight, type TeamMember, reckon } from "carethread";
import { patients } from "./patients.svelte.ts";
import { session } from "./session.svelte.ts";

type Board = ReckonedBoard;
type Patient = Reply<"patient.get">;

/** Counts and boards follow from ten thousand entries: often enough to look live, seldom enough to leave typing alone. */
const RECKON_MS = 250;

/** How long somebody who was taken off the team may look at what they had open. */
const WATCH_MS = 20_000;

class OpenRecord {
    patient = $state.raw<Patient | undefined>(undefined);
    sight = $state.raw<Sight | undefined>(undefined);
    board = $state.raw<Board | undefined>(undefined);
    items = $state.raw<ReadonlyMap<string, PlanItem>>(new Map());
    unread = $state.raw<ReadonlyMap<string, number>>(new Map());
    gone = $state(false);
    whole = $state(false);
    #store: PatientStore | undefined;
    #timer: ReturnType<typeof setTimeout> | undefined;
    #watch: ReturnType<typeof setInterval> | undefined;
    #asked = "";

    /** Opens that record, unless it is open. */
    async open(patient: string): Promise<void> {
        if (this.#asked === patient) return;
        this.close();
        this.#asked = patient;
        const found = await session.ask("patient.get", { patient }).catch(() => undefined);
        if (this.#asked !== patient) return;
        if (!found) {
            this.gone = true;
            return;
        }
        this.patient = found;
        const family = !("channel" in found) || !found.channel;
        const store = new PatientStore(session.client.connection, { user: session.user, family, patient });
        this.#store = store;
        store.on("changed", (sight) => {
            if (this.#store !== store) return;
            this.sight = sight;
            this.#timer ??= setTimeout(() => this.#reckon(), this.whole ? RECKON_MS : 0);
        });
        store.on("gone", () => this.#ended(store));
        this.#watch = setInterval(() => void this.#mayStillRead(store), WATCH_MS);
        await store.refresh();
        if (this.#store === store) await this.#snapshot();
    }

    close(): void {
        this.#store?.close();
        clearInterval(this.#watch);
        clearTimeout(this.#timer);
        this.#store = this.#timer = this.patient = this.sight = this.board = undefined;
        this.items = new Map();
        this.unread = new Map();
        this.gone = this.whole = false;
        this.#asked = "";
    }

    /** Nothing of it stays on the screen. */
    #ended(store: PatientStore): void {
        if (this.#store !== store) return;
        const asked = this.#asked;
        this.close();
        this.#asked = asked;
        this.gone = true;
        void patients.again();
    }

    /** Whoever is taken off a team hears nothing of it: their channels fall silent. So it is asked, which keeps no session. */
    async #mayStillRead(store: PatientStore): Promise<void> {
        const [channel] = store.sight.channels.keys();
        if (!channel || !session.live || !this.patient) return;
        const refused = (why: unknown) => why instanceof Refused && why.code === "not_found";
        const silent = await session.ask("presence", { channel }, "ahead").then(() => false, refused);
        // It may be the one channel only.
        if (silent && (await session.ask("patient.get", { patient: store.sight.patient }).then(() => false, refused))) this.#ended(store);
    }

    get family(): boolean {
        return this.sight?.family ?? false;
    }

    item(id: string): PlanItem | undefined {
        return this.items.get(id);
    }

    member(user: string): TeamMember | undefined {
        return this.sight?.members.get(user);
    }

    /** Until all of the record is here, the server counts. */
    async #snapshot(): Promise<void> {
        if (this.whole || !this.patient) return;
        const board = await session.ask("board.get", { patient: this.patient.id }).catch(() => undefined);
        if (!this.whole) this.board = board;
    }

    #reckon(): void {
        this.#timer = undefined;
        const sight = this.sight;
        if (!sight) return;
        const reckoned: Reckoned | undefined = this.#store?.whole ? reckon(sight, Date.now()) : undefined;
        this.whole = reckoned !== undefined;
        this.items = reckoned?.items ?? sight.items;
        if (reckoned) this.board = reckoned.board;
        const channels = reckoned?.channels ?? sight.channels;
        this.unread = new Map([...channels].map(([id, { unread }]) => [id, unread]));
    }
}

export const record = new OpenRecord();
