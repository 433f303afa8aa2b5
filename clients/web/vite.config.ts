import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

const protocol = (path: string) => fileURLToPath(new URL(`../typescript/src/${path}`, import.meta.url));

export default defineConfig({
    plugins: [svelte()],
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
            output: {
                // Names stay the same from build to build; the server tells versions apart by ETag.
                entryFileNames: "assets/[name].js",
                chunkFileNames: "assets/[name].js",
                assetFileNames: "assets/[name][extname]",
            },
        },
    },
});
