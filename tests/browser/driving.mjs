// A headless Chromium, and what every check needs: nothing from elsewhere, nothing refused, nobody shut out.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const PATIENCE_MS = 20_000;
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** The packages lie where the tests have installed them. */
const [, , modules, chromiumPath] = process.argv;
const require = createRequire(`${modules}/package.json`);
const { chromium } = require("playwright-core");
const axe = require.resolve("axe-core/axe.min.js");

/** A page that notes whatever should not happen. */
export async function newPage(browser, base, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // The browser itself notes every answer that is no success; the page tells those to its reader.
    const isAnswer = message.text().startsWith("Failed to load resource");
    if (message.type() === "error" && !isAnswer) wrong.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(base) && !url.startsWith("blob:")) wrong.push(`asked elsewhere: ${url}`);
    if (/token|secret|read-only/i.test(new URL(url).search)) wrong.push(`a secret in an address: ${url}`);
  });
  return { page, wrong };
}

/** Until nothing loads any more. */
export async function settled(page) {
  await page.waitForSelector("main .panel");
  await page.waitForFunction(() => !document.querySelector('main [aria-busy="true"]'));
}

/** Nothing that keeps somebody out: axe finds no serious or critical problem. */
export async function accessible(page, name) {
  await page.evaluate(await readAxe());
  const { violations } = await page.evaluate((values) => globalThis.axe.run(document, { runOnly: { type: "tag", values } }), RULES);
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const told = grave.map(({ id, help, nodes }) => `${id}: ${help}\n    ${nodes.slice(0, 3).map((node) => `${node.html} ${node.failureSummary}`).join("\n    ")}`);
  assert.equal(grave.length, 0, `${name}:\n  ${told.join("\n  ")}`);
}

let source = null;
async function readAxe() {
  source ??= (await import("node:fs")).readFileSync(axe, "utf8");
  return source;
}

/** The page itself never scrolls sideways. */
export async function fits(page, name) {
  const [needed, has] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(needed <= has, `${name}: ${needed} pixels wide on a screen of ${has}`);
}

/** Runs named checks one after the other, and tells of each. */
export async function run(checks) {
  const browser = await chromium.launch({ executablePath: chromiumPath, args: FLAGS });
  try {
    for (const [name, check] of checks) {
      const began = Date.now();
      await check(browser).catch((error) => {
        error.message = `${name}: ${error.message}`;
        throw error;
      });
      console.log(`ok ${name} (${Date.now() - began} ms)`);
    }
  } finally {
    await browser.close();
  }
}
