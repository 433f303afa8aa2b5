// What goes over the wire, as types, and the one place where a text becomes a frame. Knows no socket.
import type {
    Error as Refusal,
    ErrorFrame,
    EventFrame,
    HelloFrame,
    NoticeFrame,
    Ops,
    OwnEvents,
    PassingEvents,
    RecordEvents,
    WRITES,
} from "./generated.ts";

export type { EventFrame } from "./generated.ts";

export type OpName = keyof Ops;
/** The commands that write: they carry a `key`. */
export type WriteName = (typeof WRITES)[number];
export type Data<Op extends OpName> = Ops[Op]["data"];
export type Reply<Op extends OpName> = Ops[Op]["reply"];

/** One entry of that name. */
export type Entry<Name extends keyof RecordEvents = keyof RecordEvents> = Extract<EventFrame, { event: Name }>;

/** A fact on one's own channel `me`. */
export type OwnEvent = {
    [Name in keyof OwnEvents]: {
        type: "event";
        event: Name;
        channel: "me";
        seq: number;
        at: string;
        data: OwnEvents[Name];
    };
}[keyof OwnEvents];

/** What is not kept: it has no `seq`, and nobody misses it. */
export type PassingEvent = {
    [Name in keyof PassingEvents]: {
        type: "event";
        event: Name;
        channel: string;
        at: string;
        by?: string;
        data: PassingEvents[Name];
    };
}[keyof PassingEvents];

/** Anything with a place in a channel. */
export type KeptEvent = EventFrame | OwnEvent;
export type AnyEvent = KeptEvent | PassingEvent;

export interface ReplyFrame {
    type: "reply";
    id: number | string | null;
    data: unknown;
}
export type ServerFrame = HelloFrame | ReplyFrame | ErrorFrame | AnyEvent | NoticeFrame;
export type { ErrorFrame, HelloFrame, NoticeFrame, Refusal };

const isObject = (value: unknown): value is Record<string, unknown> =>
    typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * Reads a frame; none where it is of a type that a later version of the protocol brought, or no frame at all.
 * Only the envelope is looked at: the server is trusted to keep its own schemas, and is tested for that.
 */
export function parseFrame(text: string): ServerFrame | undefined {
    let frame: unknown;
    try {
        frame = JSON.parse(text);
    } catch {
        return undefined;
    }
    if (!isObject(frame)) return undefined;
    switch (frame.type) {
        case "hello":
            return typeof frame.auth === "string" && isObject(frame.limits)
                ? (frame as unknown as HelloFrame)
                : undefined;
        case "reply":
            return "id" in frame ? (frame as unknown as ReplyFrame) : undefined;
        case "error":
            return isObject(frame.error) && typeof frame.error.code === "string"
                ? (frame as unknown as ErrorFrame)
                : undefined;
        case "event":
            return typeof frame.event === "string" && typeof frame.channel === "string" && isObject(frame.data)
                ? (frame as unknown as AnyEvent)
                : undefined;
        case "notice":
            return typeof frame.code === "string" ? (frame as unknown as NoticeFrame) : undefined;
        default:
            return undefined;
    }
}

/** Whether it has a place in its channel. */
export const isKept = (event: AnyEvent): event is KeptEvent => "seq" in event && typeof event.seq === "number";

/** Whether it is on one's own channel. */
export const isOwn = (event: KeptEvent): event is OwnEvent => event.channel === "me";

/** For the end of a `switch` that has to know every case. */
export function unreachable(value: never): never {
    throw new Error(`not foreseen: ${JSON.stringify(value)}`);
}
