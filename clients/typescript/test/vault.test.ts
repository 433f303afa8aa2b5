import "fake-indexeddb/auto";
import { describe, expect, it } from "vitest";
import { MemoryStorage, type Storage, Vault, sealingKey } from "../src/index.ts";
import { IndexedDbStorage } from "../src/storage/indexeddb.ts";

const key = (byte: number) => sealingKey(btoa(String.fromCharCode(...new Uint8Array(32).fill(byte))));
let database = 0;
const storages: [string, () => Storage][] = [
    ["memory", () => new MemoryStorage()],
    ["IndexedDB", () => new IndexedDbStorage(`test-${(database += 1)}`)],
];

describe.each(storages)("a vault over %s", (_, storage) => {
    it("gives back what was kept, in order, and of each kind apart", async () => {
        const vault = new Vault("u", await key(1), storage());
        await vault.keep("write", "b", 2, { text: "second" });
        await vault.keep("write", "a", 1, { text: "first" });
        await vault.keep("draft", "a", 1, "half a sen");
        expect((await vault.all("write")).values.map(({ value }) => value)).toEqual([
            { text: "first" },
            { text: "second" },
        ]);
        await vault.keep("write", "a", 1, { text: "changed" });
        await vault.drop("write", "b");
        expect((await vault.all("write")).values.map(({ value }) => value)).toEqual([{ text: "changed" }]);
        expect((await vault.all("draft")).values.map(({ value }) => value)).toEqual(["half a sen"]);
    });

    it("stores nothing that can be read", async () => {
        const below = storage();
        await new Vault("u", await key(1), below).keep("write", "a", 1, { text: "Glucose 9.1 after lunch" });
        const [stored] = await below.all("u", "write");
        expect(new TextDecoder().decode(stored?.bytes)).not.toContain("Glucose");
    });

    it("opens for nobody else, nor in another place", async () => {
        const below = storage();
        const vault = new Vault("u", await key(1), below);
        await vault.keep("write", "a", 1, "secret");
        expect(await new Vault("u", await key(2), below).all("write")).toEqual({ values: [], lost: 1 });
        expect(await new Vault("v", await key(1), below).all("write")).toEqual({ values: [], lost: 0 });
        const [stored] = await below.all("u", "write");
        if (!stored) throw new Error("nothing was stored");
        await below.put({ ...stored, user: "v" });
        await below.put({ ...stored, id: "b" });
        expect((await new Vault("v", await key(1), below).all("write")).lost).toBe(1);
        expect((await vault.all("write")).lost).toBe(1);
    });

    it("wipes one person, or everybody", async () => {
        const below = storage();
        const [mine, other] = [new Vault("u", await key(1), below), new Vault("v", await key(2), below)];
        for (const vault of [mine, other]) await vault.keep("draft", "a", 1, "x");
        await mine.wipe();
        expect([(await below.all("u", "draft")).length, (await below.all("v", "draft")).length]).toEqual([0, 1]);
        await below.wipe();
        expect((await below.all("v", "draft")).length).toBe(0);
    });
});

describe("the key that the server hands out", () => {
    it("opens again what it sealed, and cannot be read out", async () => {
        const below = new MemoryStorage();
        await new Vault("u", await key(7), below).keep("write", "a", 1, "x");
        expect((await new Vault("u", await key(7), below).all("write")).values).toEqual([{ id: "a", order: 1, value: "x" }]);
        await expect(crypto.subtle.exportKey("raw", await key(7))).rejects.toThrow();
    });

    it("is refused where it is no key", async () => {
        await expect(sealingKey("AAAA")).rejects.toThrow();
    });
});
