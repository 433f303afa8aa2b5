// A browser without network opens the page that lies in a proof folder, and checks folders with it. Prints what it says of each, a JSON
// text a line. Usage: node verify_page.mjs CHROMIUM PROFILE PAGE FOLDER...
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [program, profile, page_path, ...folders] = process.argv.slice(2);

const browser = await chromium.launchPersistentContext(profile, {
  executablePath: program,
  headless: true,
  offline: true,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});
try {
  for (const folder of folders) {
    const page = await browser.newPage();
    const broken = [];
    page.on("pageerror", (error) => broken.push(String(error)));
    page.on("request", (request) => {
      if (!request.url().startsWith("file:")) broken.push(`asked for ${request.url()}`);
    });
    await page.goto(pathToFileURL(page_path).href);
    await page.locator("#folder").setInputFiles(folder);
    const verdict = page.locator("#verdict.good, #verdict.bad");
    await verdict.waitFor({ timeout: 60_000 });
    if (broken.length) throw new Error(broken.join("; "));
    console.log(JSON.stringify(await verdict.textContent()));
    await page.close();
  }
} finally {
  await browser.close();
}
