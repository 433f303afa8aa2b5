import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Client, PatientStore, type Reply, type Sight, client, readRecord, reckon } from "../src/index.ts";
import { House, type Person, type Ward, until, ward } from "./house.ts";
import { Chance, Work } from "./people-at-work.ts";

const PARTS = 4,
    STEPS = 120;
/** What has to come about before the law counts as tried; chance decides in which part. */
const TOLD = [
    "task.created",
    "task.changed",
    "note.opened",
    "note.dismissed",
    "handoff.offered",
    "handoff.declined",
    "plan_item.changed",
    "channel.opened",
];

const sorted = <T>(map: ReadonlyMap<string, T>): [string, T][] => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
const byId = <T extends { id: string }>(list: readonly T[]): T[] => [...list].sort((a, b) => (a.id < b.id ? -1 : 1));
const clean = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

/** What there is to compare; names of people are looked up, and muting is no event of the patient's. */
function shown(sight: Sight, board?: Reply<"board.get">) {
    const reckoned = reckon(sight, Date.now());
    if (!reckoned) throw new Error("the record is not whole");
    return clean({
        channels: sorted(reckoned.channels).map(([, { muted: _, muted_until: __, ...channel }]) => channel),
        items: sorted(board ? sight.items : reckoned.items),
        members: sorted(sight.members).map(([, { name: _, handle: __, ...member }]) => member),
        lines: sorted(sight.lines).map(([id, line]) => [id, line.first, line.entries]),
        board: Object.fromEntries((board ?? reckoned.board).columns.map(({ state, tasks }) => [state, tasks])),
        notes: byId((board ?? reckoned.board).notes),
        handoffs: byId((board ?? reckoned.board).handoffs),
        unsorted: (board ?? reckoned.board).unsorted.count,
    });
}

describe("law 2, against a server", () => {
    let house: House, place: Ward;
    let people: Record<"lead" | "nurse" | "relative", Person> & { visitors: Person[] };
    const clients: Client[] = [];

    beforeAll(async () => {
        house = await House.serve();
        const [lead, nurse, relative] = [
            await house.person("lead"),
            await house.person("nurse"),
            await house.person("relative", "--kind", "patient"),
        ];
        place = await ward(house, lead);
        for (const [person, responsibilities] of [
            [nurse, ["plan"]],
            [relative, []],
        ] as const) {
            await house.run(lead, "team.add", {
                patient: place.patient,
                user: person.id,
                role: "Member",
                responsibilities: [...responsibilities],
            });
        }
        people = {
            lead,
            nurse,
            relative,
            visitors: [await house.person("visitor-1"), await house.person("visitor-2")],
        };
    });
    afterAll(async () => {
        for (const { connection } of clients) connection.stop();
        await house.end();
    });

    it("a snapshot with the events that came later is a later snapshot, for staff and for family", async () => {
        const chance = new Chance();
        console.log(`CARETHREAD_TEST_SEED=${chance.seed}`);
        const work = new Work(house, place, people, chance);
        for (let step = 0; step < 40; step += 1) await work.step();
        const stores = [];
        for (const [person, family] of [
            [people.nurse, false],
            [people.relative, true],
        ] as const) {
            const own = client({ url: house.url, signIn: { token: person.token }, world: house.world() });
            clients.push(own);
            own.connection.start();
            await until("the client is live", () => own.connection.state.name === "live");
            const who = { user: person.id, family, patient: place.patient };
            const store = new PatientStore(own.connection, who);
            await store.refresh();
            await until("the record is whole", () => store.whole);
            stores.push({ person, who, store, own });
        }
        const told = new Set<string>();
        for (let part = 0; part < PARTS || TOLD.some((name) => !told.has(name)); part += 1) {
            expect(part, `what never came about: ${TOLD.filter((name) => !told.has(name)).join(" ")}`).toBeLessThan(
                4 * PARTS,
            );
            for (let step = 0; step < STEPS; step += 1) await work.step();
            await work.declined();
            for (const { person, who, store, own } of stores) {
                const ask = ((op: never, data: never) => house.run(person, op, data)) as never;
                const later = await readRecord(ask, who);
                // Behind every event that was published before it.
                await own.connection.ask("ping", {});
                await until("everything was laid", () =>
                    [...later.lines].every(
                        ([id, line]) => (store.sight.lines.get(id)?.entries.length ?? 0) >= line.entries.length,
                    ),
                );
                await new Promise((passed) => setTimeout(passed, 50));
                const board = await house.run(person, "board.get", { patient: place.patient });
                expect(shown(store.sight), `${person.handle}, part ${part}`).toEqual(shown(later, board));
                for (const line of store.sight.lines.values()) for (const { event } of line.entries) told.add(event);
            }
        }
    }, 300_000);
});
