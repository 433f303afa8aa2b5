// Whether the page is being put on paper: then a list shows all of its rows, not only those on the screen.
import { flushSync } from "svelte";

class Paper {
    on = $state(false);

    constructor() {
        // The picture for the printer is taken as soon as the event is over.
        const set = (on: boolean) => () => flushSync(() => (this.on = on));
        addEventListener("beforeprint", set(true));
        addEventListener("afterprint", set(false));
        matchMedia("print").addEventListener("change", ({ matches }) => set(matches)());
    }
}

export const paper = new Paper();
