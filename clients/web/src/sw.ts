// The worker that lets the page open without a network. It knows the files of one build and nothing else: what the
// server says of anybody passes it by, and is kept nowhere. The network comes first, so no browser goes on with the
// page of yesterday while there is one.

interface Waits extends Event {
    waitUntil(done: Promise<unknown>): void;
}
interface Asked extends Waits {
    readonly request: Request;
    respondWith(answer: Promise<Response>): void;
}
interface Clicked extends Waits {
    readonly notification: Notification;
}
interface Page {
    readonly focused: boolean;
    focus(): Promise<unknown>;
}
interface Worker {
    readonly registration: { readonly scope: string };
    readonly clients: {
        claim(): Promise<void>;
        matchAll(which: { type: "window"; includeUncontrolled: boolean }): Promise<Page[]>;
        openWindow(address: string): Promise<unknown>;
    };
    skipWaiting(): Promise<void>;
    addEventListener(name: "install" | "activate", run: (event: Waits) => void): void;
    addEventListener(name: "fetch", run: (event: Asked) => void): void;
    addEventListener(name: "notificationclick", run: (event: Clicked) => void): void;
}
declare const self: Worker;

/** Filled in when the page is built: its files with their SHA-256, and a name that changes with any of them. */
declare const SHELL: Record<string, string>;
declare const BUILD: string;

const OURS = "carethread-shell-";
const NAME = OURS + BUILD;
/** A network that has not answered by now is as good as none: people wait in front of the screen. */
const PATIENCE_MS = 4_000;

const addressOf = (path: string): string => new URL(path, self.registration.scope).href;
const FILES = new Map(Object.entries(SHELL).map(([path, sum]) => [addressOf(path), sum]));
const ROOT = addressOf("");
const INDEX = addressOf("index.html");

async function install(): Promise<void> {
    const cache = await caches.open(NAME);
    // By its sum: a server that changes in the middle gives no mixture of two builds.
    const get = async ([address, integrity]: [string, string]): Promise<void> => {
        const answer = await fetch(address, { cache: "no-cache", credentials: "omit", integrity });
        if (!answer.ok) throw new Error(`${answer.status}`);
        await cache.put(address, answer);
    };
    await Promise.all([...FILES].map(get));
    await self.skipWaiting();
}

async function activate(): Promise<void> {
    const old = (await caches.keys()).filter((name) => name.startsWith(OURS) && name !== NAME);
    await Promise.all(old.map((name) => caches.delete(name)));
    await self.clients.claim();
}

async function answer(request: Request, address: string): Promise<Response> {
    const kept = async (): Promise<Response | undefined> => (await caches.open(NAME)).match(address);
    const network = fetch(request, { cache: "no-cache" });
    const late = new Promise<undefined>((passed) => setTimeout(() => passed(undefined), PATIENCE_MS));
    try {
        const first = await Promise.race([network, late]);
        if (first && first.status < 500) return first;
        return (await kept()) ?? first ?? (await network);
    } catch (why) {
        const stored = await kept();
        if (stored) return stored;
        throw why;
    }
}

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("fetch", (event) => {
    const { request } = event;
    if (request.method !== "GET") return;
    const { origin, pathname } = new URL(request.url);
    const address = origin + pathname;
    const file = address === ROOT ? INDEX : address;
    if (FILES.has(file)) event.respondWith(answer(request, file));
});
self.addEventListener("notificationclick", (event) => {
    event.notification.close();
    const show = async (): Promise<void> => {
        const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
        const page = pages.find(({ focused }) => focused) ?? pages[0];
        // Never an address with anything of a record in it; a page that cannot be brought to the front is opened anew.
        const open = () => self.clients.openWindow(ROOT);
        await (page ? page.focus().catch(open) : open());
    };
    event.waitUntil(show());
});

export {};
