// The golden frames of `clients/contract`, as files.
import { readFileSync, readdirSync } from "node:fs";
import type { AnyEvent, EventFrame, ReplyFrame } from "../src/index.ts";

const folder = new URL("../../contract/", import.meta.url);
const read = <T>(path: string): T => JSON.parse(readFileSync(new URL(path, folder), "utf8")) as T;

/** Everything in a folder of it, by name. */
export function all<T>(name: string): [string, T][] {
    const files = readdirSync(new URL(`${name}/`, folder)).filter((file) => file.endsWith(".json"));
    return files.map((file) => [file.slice(0, -".json".length), read<T>(`${name}/${file}`)]);
}

export interface GoldenOp {
    request: { id: number; op: string; data: Record<string, unknown> };
    reply: ReplyFrame;
    events: AnyEvent[];
}

export const ops = () => all<GoldenOp>("ops");
export const events = () => all<{ frame: EventFrame } | EventFrame>("events");
export const closeCodes = () => read<{ code: number; come_back: boolean }[]>("close_codes.json");
