// What somebody likes, on this browser: nothing of it says anything of a patient.

type Theme = "system" | "light" | "dark";
interface Liked {
    theme: Theme;
    keys: boolean;
    enterSends: boolean;
    /** Notices of the system: nothing came yet that one would have told of, it is time to offer them, on, not wanted. */
    notices: "first" | "due" | "on" | "off";
    /** One soft tone for stat. */
    tone: boolean;
}

const NAME = "carethread.settings";
const FIRST: Liked = { theme: "system", keys: true, enterSends: false, notices: "first", tone: false };

function read(): Liked {
    try {
        return { ...FIRST, ...(JSON.parse(localStorage.getItem(NAME) ?? "{}") as Partial<Liked>) };
    } catch {
        return FIRST;
    }
}

class Settings {
    #liked = $state.raw<Liked>(read());

    constructor() {
        this.#show();
    }

    get theme(): Theme {
        return this.#liked.theme;
    }

    get keys(): boolean {
        return this.#liked.keys;
    }

    get enterSends(): boolean {
        return this.#liked.enterSends;
    }

    get notices(): Liked["notices"] {
        return this.#liked.notices;
    }

    get tone(): boolean {
        return this.#liked.tone;
    }

    set(change: Partial<Liked>): void {
        this.#liked = { ...this.#liked, ...change };
        localStorage.setItem(NAME, JSON.stringify(this.#liked));
        this.#show();
    }

    #show(): void {
        const { theme } = this.#liked;
        if (theme === "system") delete document.documentElement.dataset.theme;
        else document.documentElement.dataset.theme = theme;
    }
}

export const settings = new Settings();
