// A browser: Chromium, on the server's own page. Usage: node chromium.mjs CHROMIUM PORT PROFILE HANDLE PASSWORD CHANNEL ITEM
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const [program, port, profile, handle, password, channel, item] = process.argv.slice(2);

/** Runs in the page, beside `play`: the browser's own `fetch`, cookie and `WebSocket`. */
async function inPage({ handle, password, channel, item }) {
  // The person signs in: from here on the cookie is sent by the browser, and no script can read it.
  const headers = { "Content-Type": "application/json" };
  const session = await fetch("/v1/sessions", { method: "POST", headers, body: JSON.stringify({ handle, password }) });
  if (session.status !== 201) throw new Error(await session.text());
  async function open(heard) {
    const { ticket } = await (await fetch("/v1/ws-tickets", { method: "POST" })).json();
    const socket = new WebSocket(`wss://${location.host}/v1/ws`, ["carethread.v1", `ticket.${ticket}`]);
    socket.onmessage = ({ data }) => heard(JSON.parse(data));
    await new Promise((opened, failed) => ((socket.onopen = opened), (socket.onerror = failed)));
    return socket;
  }
  const sleep = (ms) => new Promise((passed) => setTimeout(passed, ms));
  await play({ name: "chromium", open, channel, item, key: crypto.randomUUID(), sleep });
}

const browser = await chromium.launchPersistentContext(profile, {
  executablePath: program,
  headless: true,
  ignoreHTTPSErrors: true,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--ignore-certificate-errors",
  ],
});
try {
  const page = await browser.newPage();
  await page.goto(`https://localhost:${port}/`);
  const play = readFileSync(new URL("play.mjs", import.meta.url), "utf8").replace("export async", "async");
  const given = JSON.stringify({ handle, password, channel, item });
  await page.evaluate(`(() => { ${play}\n ${inPage}\n return inPage(${given}); })()`);
  console.log("spoken with");
} finally {
  await browser.close();
}
