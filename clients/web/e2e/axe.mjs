// What axe-core finds on a page as it stands (WCAG 2.0 to 2.2, A and AA).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"];

export async function judge(page, name) {
    // Colours on their way from one to the other have no contrast of their own.
    await page.waitForTimeout(250);
    await page.evaluate(AXE);
    const { violations } = await page.evaluate((tags) => window.axe.run(document, { runOnly: tags }), TAGS);
    const said = violations.map(({ id, nodes }) => `${name}: ${id}: ${nodes.slice(0, 3).map(({ target, failureSummary }) => `${target} ${failureSummary}`).join(" | ")}`);
    assert.deepEqual(said, []);
}

/** Whether a page is wider than its window. */
export async function sideways(page, name) {
    const [wide, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    assert.ok(wide <= screen, `${name}: ${wide} > ${screen}`);
}
