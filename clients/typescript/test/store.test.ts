import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
    type EventFrame,
    type KeptEvent,
    type Sight,
    isKept,
    isWhole,
    later,
    nothing,
    parseFrame,
    reckon,
    reduce,
    stands,
    withPast,
    without,
} from "../src/index.ts";
import { all, ops } from "./contract.ts";
import { PATIENT, beginning, record } from "./made-record.ts";

/** Sights as plain values, so that they can be compared. */
const plain = (sight: Sight): unknown =>
    JSON.parse(JSON.stringify(sight, (_, value: unknown) => (value instanceof Map ? [...value].sort() : value)));
const pages = (events: readonly EventFrame[]) => {
    const byChannel = new Map<string, { events: EventFrame[]; gaps: [number, number][] }[]>();
    for (const event of events) {
        const [page] = byChannel.get(event.channel) ?? [{ events: [], gaps: [] }];
        page?.events.push(event);
        if (page) byChannel.set(event.channel, [page]);
    }
    return byChannel;
};
const deepFreeze = <T>(value: T): T => {
    if (typeof value === "object" && value !== null && !(value instanceof Map))
        Object.values(Object.freeze(value)).forEach(deepFreeze);
    return value;
};

describe("laws of the store", () => {
    it("a sight with later events is the later sight, however they are divided", () => {
        fc.assert(
            fc.property(record, fc.array(fc.nat(80), { maxLength: 5 }), (events, cuts) => {
                const together = reduce(beginning(), events);
                let divided = beginning();
                const at = [0, ...cuts.map((cut) => Math.min(cut, events.length)).sort((a, b) => a - b), events.length];
                for (let part = 1; part < at.length; part += 1)
                    divided = reduce(divided, events.slice(at[part - 1], at[part]));
                expect(plain(divided)).toEqual(plain(together));
                expect(reckon(divided, 0)).toEqual(reckon(together, 0));
            }),
        );
    });

    it("what comes twice changes nothing", () => {
        fc.assert(
            fc.property(record, fc.nat(80), (events, from) => {
                const once = reduce(beginning(), events);
                expect(plain(reduce(once, events.slice(from)))).toEqual(plain(once));
            }),
        );
    });

    it("the past read backwards is what came forwards", () => {
        fc.assert(
            fc.property(record, fc.nat(80), (events, cut) => {
                const forwards = reduce(beginning(), events);
                // The newest came live; the older ones are read page by page. Team and plan are asked for, not
                // reckoned, so they are laid on as asked.
                const live = reduce(beginning(), events.slice(cut));
                const { items, members } = forwards;
                const backwards = withPast({ ...live, items, members }, pages(events.slice(0, cut)));
                expect(plain({ ...backwards, reads: new Map() })).toEqual(plain({ ...forwards, reads: new Map() }));
                expect(isWhole(backwards)).toBe(true);
            }),
        );
    });

    it("channels are in no order among each other", () => {
        fc.assert(
            fc.property(record, (events) => {
                const byChannel = [...events].sort((a, b) =>
                    a.channel < b.channel ? -1 : a.channel > b.channel ? 1 : a.seq - b.seq,
                );
                const [one, other] = [reduce(beginning(), events), reduce(beginning(), byChannel)];
                expect(plain({ ...one, members: new Map(), items: new Map() })).toEqual(
                    plain({ ...other, members: new Map(), items: new Map() }),
                );
            }),
        );
    });

    it("a sight that was handed out is never changed", () => {
        fc.assert(
            fc.property(record, record, (events, more) => {
                const sight = reduce(beginning(), events.map(deepFreeze));
                const before = plain(sight);
                reduce(sight, more);
                withPast(sight, pages(more));
                without(sight, "staff", true);
                expect(plain(sight)).toEqual(before);
            }),
            { numRuns: 40 },
        );
    });

    it("counts are what counting gives", () => {
        fc.assert(
            fc.property(record, (events) => {
                const sight = reduce(beginning(), events);
                const reckoned = reckon(sight, Date.UTC(2026, 0, 2));
                for (const [id, item] of reckoned?.items ?? []) {
                    expect(item.messages).toBe(
                        [...sight.said.values()].filter((one) => one.item === id && stands(one)).length,
                    );
                }
                const tasks = reckoned?.board.columns.flatMap((column) => column.tasks) ?? [];
                expect(tasks.map(({ id }) => id).sort()).toEqual([...sight.work.tasks.keys()].sort());
            }),
        );
    });
});

describe("the store", () => {
    it("takes every golden event, in whatever record it finds it, and passes over what it does not know", () => {
        const frames = [
            ...all<{ frame: object }>("events").map(([, { frame }]) => frame),
            ...ops().flatMap(([, { events }]) => events),
        ];
        for (const frame of frames) {
            const event = parseFrame(JSON.stringify(frame));
            if (event?.type !== "event" || !isKept(event)) continue;
            const sight = beginning();
            const there =
                event.channel === "me"
                    ? sight
                    : {
                          ...sight,
                          channels: new Map([
                              ...sight.channels,
                              [
                                  event.channel,
                                  { ...(sight.channels.get("staff") as never as object), id: event.channel } as never,
                              ],
                          ]),
                      };
            const after = reduce(there, [{ ...event, seq: 1 } as KeptEvent]);
            if (event.channel !== "me") expect(after.lines.get(event.channel)?.entries).toHaveLength(1);
        }
        const unknown = {
            type: "event",
            event: "weather.changed",
            channel: "staff",
            seq: 1,
            at: "",
            by: "u1",
            data: {},
        } as unknown as EventFrame;
        expect(reduce(beginning(), [unknown]).lines.get("staff")?.entries).toEqual([unknown]);
    });

    it("shows golden messages with what came of them", () => {
        const frame = (name: string) => ops().find(([op]) => op === name)?.[1].events[0] as EventFrame;
        const [posted, amended] = [frame("message.post"), frame("message.amend")];
        const channels = new Map([
            [
                posted.channel,
                { ...(beginning().channels.get("staff") as never as object), id: posted.channel } as never,
            ],
        ]);
        const sight = reduce({ ...beginning(), channels }, [
            posted,
            {
                ...amended,
                seq: posted.seq + 1,
                data: { ...amended.data, message: (posted.data as { id: string }).id },
            } as EventFrame,
        ]);
        const [one] = sight.said.values();
        expect(one?.versions.map(({ text }) => text)).toEqual([
            "Glucose 9.1 after lunch",
            (amended.data as { text: string }).text,
        ]);
    });

    it("is of one patient: what happens at another's record changes nothing", () => {
        const sight = beginning();
        const event = {
            type: "event",
            event: "message.posted",
            channel: "elsewhere",
            seq: 1,
            at: "",
            by: "u1",
            data: { id: "m", item: "i", text: "x" },
        } as EventFrame;
        expect(plain(reduce(sight, [event]))).toEqual(plain(sight));
        expect(nothing({ user: "u", family: false, patient: PATIENT }).channels.size).toBe(0);
    });

    it("drops what went to the wrong patient, and shows that something was there", () => {
        const say = (seq: number, event: string, data: object) =>
            ({
                type: "event",
                event,
                channel: "staff",
                seq,
                at: `2026-01-02T03:04:0${seq}.000000Z`,
                by: "u1",
                data,
            }) as unknown as EventFrame;
        const sight = reduce(beginning(), [
            say(1, "message.posted", { id: "m", item: "i", text: "Another patient's", ask: "check_back" }),
            say(2, "message.amended", { id: "a", message: "m", text: "Another patient's, mended" }),
            say(3, "message.checked_back", { id: "c", message: "m", text: "Another patient's, said back" }),
            say(4, "message.retracted", { id: "r", message: "m", reason: "wrong_patient", withholds: [1, 2, 3] }),
        ]);
        expect(JSON.stringify(plain(sight))).not.toContain("Another patient's");
        expect(sight.said.get("m")).toMatchObject({
            withheld: "wrong_patient",
            retracted: { reason: "wrong_patient" },
        });
        expect(sight.lines.get("staff")?.entries.map(({ data }) => data)).toMatchObject([
            { id: "m", item: "i", withheld: "wrong_patient" },
            { id: "a", message: "m" },
            { id: "c", message: "m" },
            { id: "r" },
        ]);
    });

    it("knows that it is short of its past when something is missing", () => {
        const say = (seq: number) =>
            ({
                type: "event",
                event: "message.posted",
                channel: "staff",
                seq,
                at: "",
                by: "u1",
                data: { id: `m${seq}`, item: "i", text: "x" },
            }) as unknown as EventFrame;
        const sight = reduce(beginning(), [say(1), say(2), say(5)]);
        expect([sight.lines.get("staff")?.first, isWhole(sight)]).toEqual([5, false]);
        const mended = withPast(sight, new Map([["staff", [{ events: [say(1), say(2), say(3), say(4)], gaps: [] }]]]));
        expect(isWhole({ ...mended, channels: new Map([...mended.channels].filter(([id]) => id === "staff")) })).toBe(
            true,
        );
        const away = withPast(
            sight,
            new Map([["staff", [{ events: [say(1), say(2)], gaps: [[3, 4]] as [number, number][] }]]]),
        );
        expect(away.lines.get("staff")?.first).toBe(1);
    });

    it("reckons times as the server writes them", () => {
        expect(later("2026-01-02T03:04:05.123456Z", 30)).toBe("2026-01-02T03:34:05.123456Z");
        expect(later("2099-01-02T03:04:05Z")).toBe("2099-01-02T03:04:05.000000Z");
        expect(later("2099-01-02")).toBe("2099-01-02");
    });

    it("lays ten thousand entries in a time nobody notices", () => {
        const events = Array.from(
            { length: 10_000 },
            (_, at) =>
                ({
                    type: "event",
                    event: "message.posted",
                    channel: "staff",
                    seq: at + 1,
                    at: "2026-01-02T03:04:05.000000Z",
                    by: "u1",
                    data: { id: `m${at}`, item: "i", text: "x" },
                }) as unknown as EventFrame,
        );
        const sight = reduce(beginning(), events);
        const start = performance.now();
        let now = sight;
        for (let more = 1; more <= 50; more += 1)
            now = reduce(now, [
                { ...events[0], seq: 10_000 + more, data: { id: `n${more}`, item: "i", text: "x" } } as EventFrame,
            ]);
        // Fifty messages, each laid alone: a second has room for them many times over.
        expect(performance.now() - start).toBeLessThan(1_000);
        expect(now.said.size).toBe(10_050);
    });
});
