// Steps of people at work, many of them refused: the same as in tests/it/law2.rs and law2_board.rs.
import { randomUUID } from "node:crypto";
import type { House, Person, Ward } from "./house.ts";

/** Chance that can be repeated: CARETHREAD_TEST_SEED rolls the same again. */
export class Chance {
    readonly seed = Number(process.env.CARETHREAD_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
    #state = this.seed;

    below(bound: number): number {
        this.#state = (this.#state + 0x6d2b79f5) | 0;
        let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
        mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
        return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * bound);
    }

    one<T>(of: readonly T[]): T {
        if (of.length === 0) throw new Error("one of nothing");
        return of[this.below(of.length)] as T;
    }
}

type Step = [string, Record<string, unknown>];

export class Work {
    readonly house: House;
    readonly ward: Ward;
    readonly people: { lead: Person; nurse: Person; relative: Person; visitors: Person[] };
    readonly chance: Chance;
    readonly #items: string[];
    readonly #channels: string[];
    readonly #messages: string[] = [randomUUID()];
    readonly #made: Record<string, string[]> = {};

    constructor(house: House, ward: Ward, people: Work["people"], chance: Chance) {
        this.house = house;
        this.ward = ward;
        this.people = people;
        this.chance = chance;
        this.#items = [...ward.items];
        this.#channels = [...ward.channels];
    }

    async step(): Promise<void> {
        const { chance, people } = this;
        const by = chance.below(4) === 0 ? people.relative : chance.one([people.lead, people.nurse]);
        const [op, data] = chance.below(3) === 0 ? await this.#work() : this.#talk();
        const { status, frame } = await this.house.ask(by, op, data);
        if (status !== 200) {
            const code = frame.error?.code ?? "";
            if (["internal", "bad_frame", "unknown_op"].includes(code))
                throw new Error(`${op} ${JSON.stringify(data)}: ${JSON.stringify(frame)}`);
            return;
        }
        const id = frame.data?.id as string | undefined;
        if (id === undefined) return;
        if (op === "plan_item.add") this.#items.push(id);
        else if (op === "channel.open") this.#channels.push(id);
        else if (op === "message.post") this.#messages.push(id);
        else (this.#made[op] ??= []).push(id);
    }

    /** What chance brings about too seldom: an offer to the one who then declines it. */
    async declined(): Promise<void> {
        const { lead, nurse } = this.people;
        const ipass = {
            illness_severity: "watcher",
            patient_summary: "So",
            action_list: ["Do"],
            situation_awareness: "If",
        };
        const { frame } = await this.house.ask(lead, "handoff.offer", {
            patient: this.ward.patient,
            to: nurse.id,
            ipass,
            responsibilities: [],
        });
        if (frame.data) await this.house.ask(nurse, "handoff.decline", { handoff: frame.data.id, reason: "Not today" });
    }

    #some(op: string): string {
        const of = this.#made[op] ?? [];
        return of.length === 0 ? randomUUID() : this.chance.one(of);
    }

    async #rev(task: string): Promise<{ rev: number; channel: string }> {
        const { frame } = await this.house.ask(this.people.lead, "task.get", { task });
        const known = frame.data?.task as { rev: number; channel: string } | undefined;
        return known ?? { rev: 1, channel: randomUUID() };
    }

    async #work(): Promise<Step> {
        const {
            chance,
            people,
            ward: { patient },
        } = this;
        const { lead, nurse, visitors } = people;
        const channel = chance.one(this.#channels),
            item = chance.one(this.#items);
        const person = chance.one([lead.id, nurse.id, chance.one(visitors).id]);
        const [note, handoff, task] = [this.#some("note.open"), this.#some("handoff.offer"), this.#some("task.create")];
        const ipass = {
            illness_severity: chance.one(["stable", "watcher", "unstable"]),
            patient_summary: "So",
            action_list: ["Do"],
            situation_awareness: "If",
        };
        switch (chance.below(18)) {
            case 0:
            case 1:
            case 2:
                return [
                    "task.create",
                    {
                        channel,
                        item,
                        title: "Do",
                        owner: chance.one([null, person, { responsibility: "barriers" }]),
                        priority: chance.one(["routine", "urgent", "stat"]),
                        due: chance.one([null, "2099-01-02T03:04:05Z"]),
                        checklist: ["This", { text: "That", done: true }],
                    },
                ];
            case 3:
                return ["message.post", { channel: (await this.#rev(task)).channel, task, text: "Words about it" }];
            case 4:
                return [
                    "note.open",
                    { channel, item, medium: "phone", with: [{ name: "Dr. Osei", role: "nephrologist" }] },
                ];
            case 5:
                return ["note.dismiss", { note, reason: "It never took place" }];
            case 6:
                return [
                    "note.log",
                    {
                        channel,
                        note,
                        medium: "phone",
                        text: "By phone",
                        item,
                        held_at: "2026-01-02T03:04:05Z",
                        with: [{ name: "Dr. Osei" }],
                        tasks: [{ title: "So decided" }],
                    },
                ];
            case 7:
                return ["handoff.offer", { patient, to: person, ipass, responsibilities: [] }];
            case 8:
                return ["handoff.decline", { handoff, reason: "Not today" }];
            case 9:
                return chance.below(2) === 0
                    ? ["handoff.accept", { handoff, synthesis: "I do that" }]
                    : ["handoff.withdraw", { handoff, reason: "Done" }];
            case 10:
                return [
                    "team.cover",
                    {
                        patient,
                        responsibility: "plan",
                        absent: nurse.id,
                        ...(chance.below(2) ? {} : { user: person, until: "2026-12-31T00:00:00Z" }),
                    },
                ];
            default:
                return this.#task(task, person, item);
        }
    }

    async #task(task: string, person: string, item: string): Promise<Step> {
        const { chance } = this;
        const rev = (await this.#rev(task)).rev - (chance.below(8) === 0 ? 1 : 0);
        const [op, more] = chance.one<Step>([
            ["task.accept", {}],
            ["task.accept", {}],
            ["task.start", {}],
            ["task.start", {}],
            ["task.complete", {}],
            ["task.decline", { reason: "Not mine" }],
            ["task.hold", { reason: "No bed" }],
            ["task.fail", { reason: "No bed at all" }],
            ["task.cancel", { reason: "Over" }],
            ["task.assign", { owner: person }],
            ["task.assign", { owner: { responsibility: "plan" } }],
            ["task.update", { title: "Do more", description: "So", due: "2099-05-06T07:08:09Z" }],
            ["task.update", { item, due: null, priority: null, checklist: [] }],
            ["task.move", { column: "in-progress", after: null }],
            [
                "task.move",
                { column: chance.one(["requested", "ready", "completed"]), after: this.#some("task.create") },
            ],
        ]);
        return [op, { task, rev, ...more }];
    }

    #talk(): Step {
        const {
            chance,
            people,
            ward: { patient },
        } = this;
        const item = chance.one(this.#items),
            other = chance.one(this.#items),
            channel = chance.one(this.#channels);
        const message = chance.one(this.#messages),
            user = chance.one(people.visitors).id;
        const rev = 1 + chance.below(4),
            shared = chance.below(2) === 0;
        switch (chance.below(20)) {
            case 0:
                return ["plan_item.add", { patient, kind: "goal", title: "New", shared, addresses: [other] }];
            case 1:
                return ["plan_item.change", { item, rev, title: `Changed ${rev}`, detail: "More" }];
            case 2:
                return ["plan_item.change", { item, rev, shared }];
            case 3:
                return ["plan_item.change", { item, rev, detail: null, due: "2027-01-02", addresses: [other] }];
            case 4:
                return [
                    "plan_item.change",
                    { item, rev, owner: { responsibility: "plan" }, codes: [{ code: "c", display: "D" }] },
                ];
            case 5:
                if (chance.below(3) === 0) return ["plan_item.close", { item, rev, status: "stopped", reason: "over" }];
                break;
            case 6:
                return ["channel.open", { patient, name: "Aside", audience: shared ? "shared" : "staff" }];
            case 7:
                return ["channel.change", { channel, name: `Name ${rev}`, purpose: "Talk" }];
            case 8:
                if (chance.below(4) === 0) return ["channel.archive", { channel }];
                break;
            case 9:
                return ["team.add", { patient, user, role: "Visitor", family: shared }];
            case 10:
                return [
                    "team.change",
                    { patient, user, role: `Visitor ${rev}`, responsibilities: shared ? ["barriers"] : [] },
                ];
            case 11:
                return ["team.remove", { patient, user }];
            case 12:
                return ["message.amend", { message, text: "Better" }];
            case 13:
                return ["message.retract", { message, reason: "wrong" }];
            case 14:
                return ["message.relink", { message, item }];
            case 15:
                return [
                    "note.log",
                    {
                        channel,
                        item,
                        medium: "phone",
                        text: "By phone",
                        held_at: "2026-01-02T03:04:05Z",
                        with: [{ name: "Dr. Osei" }],
                    },
                ];
            case 16:
                return ["read", { channel, seq: rev }];
        }
        return ["message.post", { channel, item, text: "Words", key: randomUUID() }];
    }
}
