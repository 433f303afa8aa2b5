// A server of the real program in a folder of its own, the command line beside it, and the people who use it.
// CARETHREAD_BIN names the program.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import WebSocket from "ws";
import type { Data, OpName, Refusal, Reply, Socket, World } from "../src/index.ts";
import { Refused, ambient } from "../src/index.ts";

export const PROGRAM = process.env.CARETHREAD_BIN ?? "";

/** Limits out of the way, for tests that are about something else. */
export const ROOMY =
    "[files]\ndisk_percent_max = 100\n[limits]\ncommands_per_second = 100000\ncommands_burst = 100000\nsockets_per_user = 500\nsockets_per_address = 1000\n";

export interface Person {
    handle: string;
    id: string;
    token: string;
    password: string;
}

/** A port nobody has; a server that comes back has to have the same. */
async function freePort(): Promise<number> {
    const server = createServer();
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const address = server.address();
    await new Promise((closed) => server.close(closed));
    return typeof address === "object" && address ? address.port : 0;
}

export class House {
    readonly folder = mkdtempSync(join(tmpdir(), "carethread-ts-"));
    port = 0;
    #child: ChildProcess | undefined;
    #agent: Agent | undefined;

    static async serve(config = ROOMY): Promise<House> {
        if (PROGRAM === "") throw new Error("CARETHREAD_BIN names the program to be tried: target/debug/carethread");
        const house = new House();
        writeFileSync(join(house.folder, "config.toml"), config);
        await house.cli("init");
        house.port = await freePort();
        await house.start();
        return house;
    }

    get ca(): Buffer {
        return readFileSync(join(this.folder, "data/tls/cert.pem"));
    }

    get url(): string {
        return `wss://localhost:${this.port}/v1/ws`;
    }

    #arguments(): string[] {
        return ["--data", join(this.folder, "data"), "--config", join(this.folder, "config.toml")];
    }

    async cli(...given: string[]): Promise<Record<string, string>> {
        const { stdout } = await promisify(execFile)(PROGRAM, ["--json", ...this.#arguments(), ...given]);
        return JSON.parse(stdout) as Record<string, string>;
    }

    async start(): Promise<void> {
        const child = spawn(PROGRAM, [...this.#arguments(), "serve", "--listen", `127.0.0.1:${this.port}`], {
            stdio: ["ignore", "pipe", "pipe"],
        });
        this.#child = child;
        child.stderr.pipe(createWriteStream(join(this.folder, "server.log"), { flags: "a" }));
        const line = await new Promise<string>((heard, ended) => {
            createInterface(child.stdout).once("line", heard);
            child.once("exit", (code) =>
                ended(
                    new Error(
                        `the server ended with ${code}: ${readFileSync(join(this.folder, "server.log"), "utf8").slice(-2_000)}`,
                    ),
                ),
            );
        });
        if (!line.startsWith("listening on ")) throw new Error(line);
        this.#agent = new Agent({ keepAlive: true, ca: this.ca, maxSockets: 4 });
    }

    /** As a power loss would: nothing is said, nothing is finished. */
    async kill(): Promise<void> {
        const child = this.#child;
        this.#agent?.destroy();
        if (!child || child.exitCode !== null) return;
        const ended = new Promise((exit) => child.once("exit", exit));
        child.kill("SIGKILL");
        await ended;
    }

    async end(): Promise<void> {
        await this.kill();
        rmSync(this.folder, { recursive: true, force: true });
    }

    /** An account with a token: a practitioner unless `more` says otherwise. */
    async person(handle: string, ...more: string[]): Promise<Person> {
        const { id = "" } = await this.cli("user", "add", "--handle", handle, "--name", `${handle} Example`, ...more);
        const { token = "" } = await this.cli("token", "issue", "--user", handle);
        return { handle, id, token, password: "" };
    }

    /** An op over HTTP: the status, and the frame that answers. */
    async ask(
        person: Person,
        op: string,
        data: object,
    ): Promise<{ status: number; frame: { data?: Record<string, unknown>; error?: Refusal } }> {
        const { status, text } = await this.http(
            "POST",
            "/v1/ops",
            { Authorization: `Bearer ${person.token}`, "Content-Type": "application/json" },
            JSON.stringify({ op, data }),
        );
        return { status, frame: JSON.parse(text) as { data?: Record<string, unknown>; error?: Refusal } };
    }

    /** An op that is to succeed. */
    async run<Op extends OpName>(person: Person, op: Op, data: Data<Op>): Promise<Reply<Op>> {
        const { frame } = await this.ask(person, op, data);
        if (frame.error) throw new Refused(frame.error);
        return frame.data as Reply<Op>;
    }

    http(
        method: string,
        path: string,
        headers: Record<string, string>,
        body?: string,
    ): Promise<{ status: number; text: string; cookie: string }> {
        return new Promise((done, failed) => {
            const asked = request(
                {
                    host: "localhost",
                    port: this.port,
                    method,
                    path,
                    agent: this.#agent,
                    headers: {
                        ...headers,
                        ...(body === undefined ? {} : { "Content-Length": Buffer.byteLength(body) }),
                    },
                },
                (response) => {
                    const parts: Buffer[] = [];
                    response.on("data", (part: Buffer) => parts.push(part)).on("error", failed);
                    response.on("end", () =>
                        done({
                            status: response.statusCode ?? 0,
                            text: Buffer.concat(parts).toString(),
                            cookie: String(response.headers["set-cookie"] ?? ""),
                        }),
                    );
                },
            );
            asked.on("error", failed);
            asked.end(body);
        });
    }

    /** A world whose sockets trust this house's certificate. */
    world(): World {
        const fetched: typeof fetch = async (input, init) => {
            const { status, text } = await this.http(
                init?.method ?? "GET",
                String(input),
                (init?.headers ?? {}) as Record<string, string>,
                init?.body as string | undefined,
            );
            return new Response(text === "" ? null : text, { status });
        };
        return {
            ...ambient(),
            fetch: fetched,
            socket: (url, protocols) => new WebSocket(url, protocols, { ca: this.ca }) as unknown as Socket,
        };
    }
}

/** Waits until something is so. */
export async function until(what: string, so: () => boolean | Promise<boolean>, ms = 60_000): Promise<void> {
    const end = Date.now() + ms;
    while (!(await so())) {
        if (Date.now() > end) throw new Error(`it never came about that ${what}`);
        await new Promise((passed) => setTimeout(passed, 25));
    }
}

/** A patient with a lead, a plan and a channel of each audience. */
export interface Ward {
    patient: string;
    channels: string[];
    items: string[];
    whole: string;
    staff: string;
    shared: string;
}

export async function ward(house: House, lead: Person): Promise<Ward> {
    const { patient } = await house.run(lead, "patient.register", { name: "Ruth Okafor" });
    const standing = (await house.run(lead, "plan.items", { patient })).items;
    const items = standing.map(({ id }) => id);
    for (const shared of [false, true])
        items.push(
            (await house.run(lead, "plan_item.add", { patient, kind: "goal", title: "Walks alone", shared })).id,
        );
    const care = (await house.run(lead, "channel.list", { patient })).channels.find(({ name }) => name === "Care team");
    const opened: string[] = [];
    for (const audience of ["shared", "named"] as const)
        opened.push((await house.run(lead, "channel.open", { patient, name: audience, audience })).id);
    const staff = care?.id ?? "";
    return {
        patient,
        items,
        channels: [staff, ...opened],
        whole: standing.find(({ standing }) => standing === "whole")?.id ?? "",
        staff,
        shared: opened[0] ?? "",
    };
}
