// Numbers of the built page in front of the real program: first paint from a cold start, memory with ten thousand entries, how long a key takes to
// show while fifty messages a second arrive. Usage: CARETHREAD_BIN=... node e2e/measure.mjs [ENTRIES]
import { gzipSync } from "node:zlib";
import { readFileSync, readdirSync } from "node:fs";
import { House } from "./house.mjs";

const ENTRIES = Number(process.argv[2] ?? 10_000);
const house = await House.open();
const { staff, items } = await house.ruth();
const post = (text) => house.run("tomasz", "message.post", { channel: staff, item: Math.random() < 0.5 ? items.ride : items.pills, text });

const scripts = readdirSync(new URL("../dist/assets/", import.meta.url)).filter((name) => name.endsWith(".js"));
const size = scripts.reduce((sum, name) => sum + gzipSync(readFileSync(new URL(`../dist/assets/${name}`, import.meta.url))).length, 0);
const first = gzipSync(readFileSync(new URL("../dist/assets/index.js", import.meta.url))).length;
console.log(`script: ${(first / 1024).toFixed(1)} KiB gzip at first, ${(size / 1024).toFixed(1)} KiB in all ${scripts.length} files`);

const cold = await house.visit();
const paint = await cold.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
console.log(`first contentful paint, cold: ${Math.round(paint)} ms`);
await cold.context().close();

for (let at = 0; at < ENTRIES; at += 100) await Promise.all(Array.from({ length: Math.min(100, ENTRIES - at) }, (_, one) => post(`Line ${at + one}: walked to the door and back with the frame, pain 3 of 10`)));

const page = await house.signIn("maja");
await page.getByRole("heading", { name: /Good/ }).waitFor();
const asked = Date.now();
await house.open(page, "messages", staff);
await page.locator("article.msg").first().waitFor();
console.log(`conversation shown: ${Date.now() - asked} ms`);
await page.waitForTimeout(15_000);
const session = await page.context().newCDPSession(page);
await session.send("HeapProfiler.collectGarbage");
const { usedSize } = await session.send("Runtime.getHeapUsage");
console.log(`script heap with ${ENTRIES} entries: ${(usedSize / 2 ** 20).toFixed(1)} MiB; ${await page.locator("article").count()} articles drawn`);

let going = true;
let sent = 0;
const flood = (async () => {
    const begun = Date.now();
    while (going) {
        await Promise.all([post("More"), post("More")]);
        sent += 2;
        await new Promise((passed) => setTimeout(passed, Math.max(0, begun + sent * 20 - Date.now())));
    }
    return sent / ((Date.now() - begun) / 1_000);
})();
const area = page.locator(".compose textarea");
await area.click();
await page.evaluate(() => {
    window.__keys = [];
    const area = document.querySelector(".compose textarea");
    area.addEventListener("keydown", () => (window.__at = performance.now()));
    area.addEventListener("input", () => requestAnimationFrame(() => setTimeout(() => window.__keys.push(performance.now() - window.__at))));
});
await page.keyboard.type("Sugar is better today and she has slept, says Ada on the phone", { delay: 120 });
going = false;
const rate = await flood;
const keys = (await page.evaluate(() => window.__keys)).sort((a, b) => a - b);
console.log(`key to picture with ${rate.toFixed(0)} messages/s: median ${keys[keys.length >> 1].toFixed(0)} ms, 95th of 100 ${keys[Math.floor(keys.length * 0.95)].toFixed(0)} ms, worst ${keys.at(-1).toFixed(0)} ms`);
console.log(house.faults);
await house.close();
