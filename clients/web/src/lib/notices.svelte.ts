// What reaches somebody who looks elsewhere: a notice of the system and, for stat, one soft tone. Who walks past a locked
// screen reads it too, so it names no patient and nobody else.
import type { AnyEvent, EventFrame } from "carethread";
import { isKept } from "carethread";
import { t } from "./i18n/index.svelte.ts";
import { patients } from "./patients.svelte.ts";
import { session } from "./session.svelte.ts";
import { settings } from "./settings.svelte.ts";

type Weight = "some" | "urgent" | "stat";

/** Several at once are one notice. */
const TAG = "carethread";
const TONE_HZ = 528;
const TONE_S = 0.6;
/** Far below speech. */
const TONE_LOUD = 0.08;

/** What is on `me` and asks for something. */
const ASKS: ReadonlySet<string> = new Set(["mentioned", "assigned", "escalated", "reminder"]);

function weightOf(event: AnyEvent, user: string): Weight | undefined {
    if (!isKept(event)) return undefined;
    if (event.channel === "me") {
        const { quiet } = event.data as { quiet?: boolean };
        return ASKS.has(event.event) && !quiet ? (event.event === "escalated" ? "urgent" : "some") : undefined;
    }
    const { event: name, by, data } = event as EventFrame;
    const { priority } = data as { priority?: string };
    if (name !== "message.posted" || by === user) return undefined;
    return priority === "stat" ? "stat" : priority === "urgent" ? "urgent" : undefined;
}

class Notices {
    /** The browser's word; `none` where it has no notices. */
    permission = $state<NotificationPermission | "none">(typeof Notification === "undefined" ? "none" : Notification.permission);

    /** Whether it is time to ask: something has come that a notice would have told of. */
    get offered(): boolean {
        return this.permission === "default" && settings.notices === "due";
    }

    listen(): void {
        session.onClient(({ connection }) => {
            connection.on("event", (event) => {
                // The past that is caught up with is on the start page; nobody is called for it.
                const weight = connection.state.name === "live" ? weightOf(event, session.user) : undefined;
                if (weight) this.#tell(weight);
            });
        });
    }

    async ask(): Promise<void> {
        this.permission = await Notification.requestPermission();
        settings.set({ notices: this.permission === "granted" ? "on" : "off" });
    }

    later(): void {
        settings.set({ notices: "off" });
    }

    /** Sounds it once, for who turns it on. */
    tone(): void {
        const sound = new AudioContext();
        const [from, loud] = [sound.createOscillator(), sound.createGain()];
        const [begin, end] = [sound.currentTime, sound.currentTime + TONE_S];
        from.frequency.value = TONE_HZ;
        loud.gain.setValueAtTime(0, begin);
        loud.gain.linearRampToValueAtTime(TONE_LOUD, begin + 0.05);
        loud.gain.linearRampToValueAtTime(0, end);
        from.connect(loud).connect(sound.destination);
        from.start(begin);
        from.stop(end);
        from.onended = () => void sound.close();
    }

    #tell(weight: Weight): void {
        if (settings.notices === "first") settings.set({ notices: "due" });
        if (weight === "stat" && settings.tone && !patients.family) this.tone();
        if (this.permission !== "granted" || settings.notices !== "on" || (document.visibilityState === "visible" && document.hasFocus())) return;
        void this.#show(t(weight === "some" ? "notice.some" : "notice.urgent"));
    }

    async #show(words: string): Promise<void> {
        try {
            const shown = new Notification(words, { tag: TAG });
            shown.onclick = () => (window.focus(), shown.close());
        } catch {
            // Phones show notices through the worker only.
            const worker = await navigator.serviceWorker?.ready;
            await worker?.showNotification(words, { tag: TAG }).catch(() => undefined);
        }
    }
}

export const notices = new Notices();
