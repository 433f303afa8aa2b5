// When nobody is at the page any more. The server ends a session that nobody uses; but a page that shows what others write asks
// it all the time, and what it asks looks like use. So the page counts by what a person does at it: keys, clicks, touches.

const LOOK_MS = 5_000;
/** As long before the end as the server's own notice. */
const WARNING_MS = 120_000;
const DEEDS = ["keydown", "pointerdown", "pointermove", "wheel", "touchstart"] as const;

const STAYED = "carethread-stayed";

interface Watched {
    /** How long nobody may be at it; undefined until the server has said so. */
    minutes: () => number | undefined;
    warn: () => void;
    over: () => void;
}

/** Watches until it is told to stop. */
export function watchIdle({ minutes, warn, over }: Watched): () => void {
    let last = Date.now();
    let warned = false;
    const deed = (): void => {
        // Whoever was warned says that they stay: a sleeve on a mouse is nobody.
        if (!warned) last = Date.now();
    };
    const timer = setInterval(() => {
        const limit = minutes();
        if (limit === undefined) return;
        const idle = Date.now() - last;
        if (idle >= limit * 60_000) over();
        else if (!warned && idle >= limit * 60_000 - WARNING_MS) {
            warned = true;
            warn();
        }
    }, LOOK_MS);
    const stay = (): void => {
        warned = false;
        last = Date.now();
    };
    for (const name of DEEDS) addEventListener(name, deed, { capture: true, passive: true });
    addEventListener(STAYED, stay);
    return () => {
        clearInterval(timer);
        for (const name of DEEDS) removeEventListener(name, deed, { capture: true });
        removeEventListener(STAYED, stay);
    };
}

/** Somebody who was warned is there after all. */
export function stayed(): void {
    dispatchEvent(new Event(STAYED));
}
