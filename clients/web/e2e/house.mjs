// A server of the real program, people with passwords, a patient with a plan, and browsers in front of it. CARETHREAD_BIN names the program.
import assert from "node:assert/strict";
import { execFile, spawn, spawnSync } from "node:child_process";
import { createWriteStream, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before } from "node:test";
import { promisify } from "node:util";
import { chromium } from "playwright-core";
import { serve } from "./serve.mjs";

const PROGRAM = process.env.CARETHREAD_BIN ?? "";
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
export const ROOMY = "[files]\ndisk_percent_max = 100\n[limits]\ncommands_per_second = 100000\ncommands_burst = 100000\nsockets_per_user = 500\nsockets_per_address = 1000\n";
export const PASSWORD = "slow rivers carry stones";

export class House {
    folder = mkdtempSync(join(tmpdir(), "carethread-web-"));
    people = {};
    faults = [];

    static async open(config = ROOMY) {
        const house = new House();
        await house.begin(config);
        return house;
    }

    /** One for all tests of a file, with Ruth and what `ready` adds; no page of theirs may have had a fault. */
    static forAll({ config = ROOMY, ready = () => undefined, over = () => undefined } = {}) {
        const house = new House();
        before(async () => {
            await house.begin(typeof config === "function" ? await config(house) : config);
            await ready(house, await house.ruth());
        });
        after(async () => {
            await house.close();
            await over();
            assert.deepEqual(house.faults, [], "no page had a fault");
        });
        return house;
    }

    async begin(config) {
        if (PROGRAM === "") throw new Error("CARETHREAD_BIN: the program to test against");
        writeFileSync(join(this.folder, "config.toml"), config);
        await this.cli("init");
        await this.start();
        this.page = await serve({ serverPort: this.port, tls: join(this.folder, "data/tls") });
        this.browser = await chromium.launch({
            executablePath: CHROMIUM,
            args: ["--no-sandbox", "--disable-gpu", "--ignore-certificate-errors", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        });
    }

    #arguments() {
        return ["--data", join(this.folder, "data"), "--config", join(this.folder, "config.toml")];
    }

    async cli(...given) {
        const { stdout } = await promisify(execFile)(PROGRAM, ["--json", ...this.#arguments(), ...given]);
        return JSON.parse(stdout);
    }

    async start() {
        this.child = spawn(PROGRAM, [...this.#arguments(), "serve", "--listen", `127.0.0.1:${this.port ?? 0}`], { stdio: ["ignore", "pipe", "pipe"] });
        this.child.stderr.pipe(createWriteStream(join(this.folder, "server.log"), { flags: "a" }));
        const line = await new Promise((heard, ended) => {
            createInterface(this.child.stdout).once("line", heard);
            this.child.once("exit", (code) => ended(new Error(`the server ended with ${code}`)));
        });
        if (!line.startsWith("listening on ")) throw new Error(line);
        // The first start takes any port that is free; one that comes back has the one it had.
        this.port ??= Number(new URL(line.slice("listening on ".length)).port);
    }

    async kill() {
        const ended = new Promise((exit) => this.child.once("exit", exit));
        this.child.kill("SIGKILL");
        await ended;
    }

    async close() {
        await this.browser?.close();
        this.page?.close();
        await this.kill();
        rmSync(this.folder, { recursive: true, force: true });
    }

    async person(handle, name, ...more) {
        const made = spawnSync(PROGRAM, ["--json", ...this.#arguments(), "user", "add", "--handle", handle, "--name", name, "--password-stdin", ...more], { input: `${PASSWORD}\n` });
        if (made.status !== 0) throw new Error(made.stderr.toString());
        const { token } = await this.cli("token", "issue", "--user", handle);
        return (this.people[handle] = { handle, name, id: JSON.parse(made.stdout.toString()).id, token });
    }

    run(handle, op, data) {
        const body = JSON.stringify({ op, data });
        const headers = { Authorization: `Bearer ${this.people[handle].token}`, "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) };
        return new Promise((done, failed) => {
            const asked = request({ host: "localhost", port: this.port, method: "POST", path: "/v1/ops", headers, rejectUnauthorized: false, agent: false }, (response) => {
                let text = "";
                response.on("data", (part) => (text += part)).on("end", () => {
                    const frame = JSON.parse(text);
                    if (frame.error) failed(new Error(`${op}: ${text}`));
                    else done(frame.data);
                });
            });
            asked.on("error", failed);
            asked.end(body);
        });
    }

    /** Ruth Okafor, with Maja who leads, Tomasz who nurses, and Ada, her daughter. */
    async ruth() {
        await this.person("maja", "Maja Lindqvist");
        await this.person("tomasz", "Tomasz Nowak");
        await this.person("ada", "Ada Okafor", "--kind", "related_person");
        const { patient } = await this.run("maja", "patient.register", { name: "Ruth Okafor", birth_date: "1951-08-14", identifiers: [{ system: "https://hospital.example/mrn", value: "MRN-004711" }] });
        await this.run("maja", "team.add", { patient, user: this.people.tomasz.id, role: "Ward nurse", responsibilities: ["plan"] });
        await this.run("maja", "team.add", { patient, user: this.people.ada.id, role: "Daughter", family: true });
        const items = {};
        const add = async (name, kind, title, shared) => (items[name] = (await this.run("maja", "plan_item.add", { patient, kind, title, shared, owner: this.people.tomasz.id })).id);
        await add("ride", "barrier", "No ride to appointments", true);
        await add("sugar", "goal", "Sugar before meals 80–130", false);
        await add("pills", "activity", "Medicines at home", false);
        const { channels } = await this.run("maja", "channel.list", { patient });
        const staff = channels.find(({ kind }) => kind === "conversation").id;
        const shared = (await this.run("maja", "channel.open", { patient, name: "With Ruth and Ada", audience: "shared" })).id;
        return (this.ward = { patient, items, staff, shared });
    }

    /** What was posted to the staff, oldest first. */
    async texts() {
        const all = [];
        for (let after = 0; ; ) {
            const page = await this.run("maja", "history", { channel: this.ward.staff, after, limit: 200 });
            all.push(...page.events.flatMap(({ event, data }) => (event === "message.posted" ? [data.text] : [])));
            after = page.events.at(-1)?.seq ?? after;
            if (!page.more) return all;
        }
    }

    /** A browser of its own, on the sign-in page; what goes wrong in it is kept. */
    async visit({ width = 1280, height = 800, ...more } = {}) {
        const context = await this.browser.newContext({ ignoreHTTPSErrors: true, viewport: { width, height }, locale: "en-GB", ...more });
        await context.addInitScript(() => {
            window.__faults = [];
            document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => window.__faults.push(`policy ${violatedDirective} ${blockedURI}`));
        });
        context.setDefaultTimeout(15_000);
        const page = await context.newPage();
        page.on("pageerror", (error) => this.faults.push(String(error.stack ?? error)));
        page.on("console", (message) => message.type() === "error" && !/net::ERR|status of (401|403|409|502|503)|WebSocket connection|favicon/.test(message.text()) && this.faults.push(message.text()));
        await page.goto(`https://localhost:${this.page.port}/`);
        return page;
    }

    async signIn(handle, more) {
        const page = await this.visit(more);
        await this.enter(page, handle);
        return page;
    }

    async enter(page, handle, password = PASSWORD) {
        const name = page.getByLabel("User name");
        if (await name.isVisible().catch(() => false)) await name.fill(handle);
        else if (await page.getByLabel("User name").waitFor({ timeout: 4_000 }).then(() => true, () => false)) await name.fill(handle);
        await page.locator("#password").fill(password);
        await page.getByRole("button", { name: "Sign in", exact: true }).click();
    }

    at(hash) {
        return `https://localhost:${this.page.port}/#/${hash}`;
    }

    patient(tab = "messages", id = "") {
        return `#/patient/${this.ward.patient}/${tab}${id ? `/${id}` : ""}`;
    }

    async open(page, tab, id) {
        await page.evaluate((hash) => (location.hash = hash), this.patient(tab, id));
    }

    /** What the policy refused on a page. */
    async refused(page) {
        return page.evaluate(() => window.__faults);
    }
}
