// What waits for a decision of the reader at the open record: made for an older version, changed at two places, come by mail.
import { type Conflict, type Drift, type Waiting, isKept } from "carethread";
import { session } from "./session.svelte.ts";

/** A rush of events is one question. */
const AGAIN_MS = 300;
const TOUCHES = /^(plan_item|task|message|note|team)\.|^reminder$/;

class Loose {
    drifts = $state.raw<readonly Drift[]>([]);
    conflicts = $state.raw<readonly Conflict[]>([]);
    mails = $state.raw<readonly Waiting[]>([]);
    asked = $state(false);
    #patient = "";
    #timer: ReturnType<typeof setTimeout> | undefined;

    /** Keeps itself up to date until what is given back is run. */
    follow(patient: string): () => void {
        if (this.#patient !== patient) {
            this.#patient = patient;
            this.drifts = this.conflicts = this.mails = [];
            this.asked = false;
        }
        void this.ask();
        const stop = session.client.connection.on("event", (event) => {
            if (isKept(event) && TOUCHES.test(event.event)) this.#timer ??= setTimeout(() => void this.ask(), AGAIN_MS);
        });
        return () => {
            stop();
            clearTimeout(this.#timer);
            this.#timer = undefined;
        };
    }

    async ask(): Promise<void> {
        this.#timer = undefined;
        const patient = this.#patient;
        // Whoever may not settle something is refused the list of it: nothing of it waits for them.
        const [drifts, conflicts, mails] = await Promise.all([
            session.ask("drift.list", { patient }, "ahead").then(({ drifts }) => drifts, () => []),
            session.ask("plan.conflicts", { patient }, "ahead").then(({ conflicts }) => conflicts, () => []),
            session.ask("intake.list", { patient }, "ahead").then(({ mails }) => mails, () => []),
        ]);
        if (patient !== this.#patient) return;
        this.drifts = drifts;
        this.conflicts = conflicts;
        this.mails = mails;
        this.asked = true;
    }
}

export const loose = new Loose();
