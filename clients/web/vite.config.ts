import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { type Plugin, defineConfig } from "vite";

const protocol = (path: string) => fileURLToPath(new URL(`../typescript/src/${path}`, import.meta.url));

/** Tells the service worker which files belong to this build: the same files give the same worker, byte for byte. */
function shell(): Plugin {
    const sum = (bytes: Buffer | string) => createHash("sha256").update(bytes).digest("base64");
    return {
        name: "shell",
        apply: "build",
        writeBundle({ dir = "dist" }) {
            const paths = readdirSync(dir, { recursive: true, withFileTypes: true })
                .filter((one) => one.isFile())
                .map((one) => relative(dir, join(one.parentPath, one.name)).split(sep).join("/"))
                .filter((path) => path !== "sw.js")
                .sort();
            const files = Object.fromEntries(paths.map((path) => [path, `sha256-${sum(readFileSync(join(dir, path)))}`]));
            const build = sum(JSON.stringify(files)).replace(/[^A-Za-z0-9]/g, "").slice(0, 16);
            const worker = readFileSync(join(dir, "sw.js"), "utf8");
            const head = `const SHELL=${JSON.stringify(files)},BUILD=${JSON.stringify(build)};\n`;
            writeFileSync(join(dir, "sw.js"), head + worker);
        },
    };
}

/** The page that lies beside each proof checks it without us; ours checks it by the same lines, so that the two cannot differ. */
function proof(): Plugin {
    const page = fileURLToPath(new URL("../../src/features/chart/proof/verify.html", import.meta.url));
    return {
        name: "proof",
        resolveId: (id) => (id === "virtual:proof" ? "\0proof" : undefined),
        load(id) {
            if (id !== "\0proof") return undefined;
            this.addWatchFile(page);
            const [, script] = /<script>([^]*)<\/script>/.exec(readFileSync(page, "utf8")) ?? [];
            // What touches the document of that page is not ours.
            const [lines, rest] = script?.split("\nconst show = ") ?? [];
            if (!lines || !rest) throw new Error("verify.html does not look as it did");
            return `${lines}\nexport { Wrong, check };`;
        },
    };
}

export default defineConfig({
    plugins: [svelte(), shell(), proof()],
    base: "./",
    resolve: {
        alias: [
            { find: /^carethread\/indexeddb$/, replacement: protocol("storage/indexeddb.ts") },
            { find: /^carethread$/, replacement: protocol("index.ts") },
        ],
        // The protocol layer brings its own copy where it is developed: one is enough on a page.
        dedupe: ["idb"],
    },
    build: {
        target: "es2022",
        // What is in a style or script tag of a page is refused by its policy (CSP), so nothing is put there.
        assetsInlineLimit: 0,
        modulePreload: { polyfill: false },
        rollupOptions: {
            input: { index: "index.html", sw: "src/sw.ts" },
            output: {
                // Names stay the same from build to build; the server tells versions apart by ETag.
                entryFileNames: ({ name }) => (name === "sw" ? "sw.js" : "assets/[name].js"),
                chunkFileNames: "assets/[name].js",
                assetFileNames: "assets/[name][extname]",
            },
        },
    },
});
