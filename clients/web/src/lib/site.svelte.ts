// What the site tells its people: how messages begin that are written again and again, and whom to call in an emergency.
import type { Reply } from "carethread";
import { session } from "./session.svelte.ts";

type Told = Reply<"site.get">;

class Site {
    #told = $state.raw<Told | undefined>(undefined);

    constructor() {
        session.onClient(({ connection }) => {
            this.#told = undefined;
            connection.on("state", ({ name }) => {
                if (name !== "live") return;
                // An older server knows no such question; then there is nothing to tell.
                session.ask("site.get", {}, "ahead").then((told) => (this.#told = told), () => undefined);
            });
        });
    }

    get templates(): Told["templates"] {
        return this.#told?.templates ?? [];
    }

    get emergencyNumber(): string | null {
        return this.#told?.emergency_number ?? null;
    }

    get organization(): string | null {
        return this.#told?.organization ?? null;
    }
}

export const site = new Site();
