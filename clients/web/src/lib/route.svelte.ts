// Where on the page somebody is, kept in the part of the address that no server sees: ids, never words.

export type Tab = "messages" | "plan" | "board" | "team" | "note" | "handoff" | "checkin" | "chart" | "drift" | "conflicts" | "mails";

export type Route =
    | { page: "start" }
    | { page: "mine" }
    | { page: "search" }
    | { page: "settings" }
    | { page: "print" }
    | { page: "misplaced" }
    | { page: "verify" }
    | { page: "patient"; patient: string; tab: Tab; id: string | undefined };

const TABS: readonly string[] = ["messages", "plan", "board", "team", "note", "handoff", "checkin", "chart", "drift", "conflicts", "mails"] satisfies Tab[];

function read(hash: string): Route {
    const [page, patient, tab = "", id] = hash.replace(/^#\/?/, "").split("/");
    if (page === "patient" && patient) {
        return { page, patient, tab: TABS.includes(tab) ? (tab as Tab) : "messages", id: id || undefined };
    }
    if (page === "mine" || page === "search" || page === "settings" || page === "print" || page === "misplaced" || page === "verify") return { page };
    return { page: "start" };
}

class Here {
    now = $state.raw<Route>(read(location.hash));
    /** The message or note that is to be brought onto the screen, once its space is there. */
    goal = $state<string | undefined>(undefined);

    constructor() {
        addEventListener("hashchange", () => (this.now = read(location.hash)));
    }
}

export const here = new Here();

export function to(route: Route): string {
    switch (route.page) {
        case "start":
            return "#/";
        case "patient":
            return `#/patient/${route.patient}/${route.tab}${route.id ? `/${route.id}` : ""}`;
        default:
            return `#/${route.page}`;
    }
}

export const toPatient = (patient: string, tab: Tab = "messages", id?: string): string =>
    to({ page: "patient", patient, tab, id });

export function go(address: string): void {
    location.hash = address;
}
