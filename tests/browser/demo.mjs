// The dashboard of a running demo, as its readers use it: with the mouse, with the keyboard only, on a phone, in the dark.
import assert from "node:assert/strict";
import { accessible, fits, newPage, run, settled } from "./driving.mjs";

const [, , , , base, first, gateway, key, model, totalExact] = process.argv;

await run([
  ["what the last hour cost, by client and model, to the last digit", async (browser) => {
    const { page, wrong } = await newPage(browser, base);
    await page.goto(first);
    await settled(page);
    const breakdown = page.getByRole("region", { name: "Spend and use by client and model" });
    const total = breakdown.locator("tfoot .amount > span").first();
    assert.equal(await total.getAttribute("title"), `$${totalExact}`);
    assert.ok((await breakdown.locator("tbody tr").count()) > 5);
    await page.waitForSelector(".plot canvas");
    await accessible(page, "overview");
    await page.setViewportSize({ width: 390, height: 844 });
    await fits(page, "overview on a phone");
    await page.emulateMedia({ colorScheme: "dark" });
    await accessible(page, "overview on a phone in the dark");
    assert.deepEqual(wrong, []);
    await page.context().close();
  }],

  ["filters are in the address, by keyboard alone", async (browser) => {
    const { page, wrong } = await newPage(browser, base);
    await page.goto(`${base}/?from=-1h`);
    await settled(page);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    await page.locator("#dimension").focus();
    await page.keyboard.type("outc");
    await page.locator("#value").focus();
    await page.keyboard.type("failed");
    await page.keyboard.press("Enter");
    await page.waitForURL(/outcome=failed/);
    await page.getByRole("button", { name: "Remove the filter outcome: failed" }).waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.id), "value", "the focus stays in the filters");
    await page.getByRole("link", { name: "Requests", exact: true }).focus();
    await page.keyboard.press("Enter");
    await page.waitForURL(/view=requests/);
    await settled(page);
    const outcomes = await page.locator("tbody .outcome").allTextContents();
    assert.ok(outcomes.length > 0 && outcomes.every((outcome) => outcome === "failed"), outcomes.join());
    await page.reload();
    await settled(page);
    assert.deepEqual(await page.locator("tbody .outcome").allTextContents(), outcomes, "a link carries its filters");
    await page.getByRole("button", { name: "Remove the filter outcome: failed" }).focus();
    await page.keyboard.press("Enter");
    await page.waitForURL((url) => !url.search.includes("outcome"));
    await page.goBack();
    await page.waitForURL(/outcome=failed/);
    assert.deepEqual(wrong, []);
    await page.context().close();
  }],

  ["a request is told candidate by candidate", async (browser) => {
    const { page, wrong } = await newPage(browser, base);
    await page.goto(`${base}/?view=requests&from=-1h`);
    await settled(page);
    await accessible(page, "requests");
    // One that the first provider failed and the second answered.
    const twice = page.locator("tbody tr", { has: page.locator("td:nth-child(6)", { hasText: /^2$/ }) });
    while ((await twice.count()) === 0) await page.getByRole("button", { name: "Show older" }).click();
    await twice.first().getByRole("link").focus();
    await page.keyboard.press("Enter");
    await page.waitForURL(/request=/);
    await settled(page);
    assert.equal(await page.evaluate(() => document.activeElement.id), "main", "who follows a link begins at the top");
    const verdicts = await page.getByRole("region", { name: "Candidates of this request" }).locator(".outcome").allTextContents();
    assert.deepEqual(verdicts.filter((verdict) => verdict !== "skipped"), ["failed", "succeeded"]);
    const bill = page.getByRole("region", { name: "What the cost is made of" });
    const amounts = (await bill.locator("tbody td:last-child").allTextContents()).map(whole);
    assert.equal(amounts.reduce((sum, one) => sum + one, 0n), whole(await bill.locator("tfoot td").textContent()));
    await accessible(page, "request");
    await page.setViewportSize({ width: 390, height: 844 });
    await fits(page, "request on a phone");
    await page.goBack();
    await page.waitForURL(/view=requests/);
    assert.deepEqual(wrong, []);
    await page.context().close();
  }],

  ["charts are read with arrow keys and as tables", async (browser) => {
    const { page, wrong } = await newPage(browser, base);
    await page.goto(first);
    await settled(page);
    const chart = page.locator("section", { has: page.getByRole("heading", { name: "Requests by outcome" }) });
    await chart.locator(".plot canvas").waitFor();
    await chart.locator(".plot").focus();
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    assert.match(await chart.locator("[aria-live]").textContent(), /^\d{4}-\d\d-\d\d \d\d:\d\d: completed \d+, .*Total \d+$/);
    await chart.getByText("Show as a table").click();
    const rows = chart.locator("details tbody tr");
    await rows.first().waitFor();
    const totals = await rows.locator("td:last-child").allTextContents();
    const shown = await page.locator(".figure", { hasText: "Requests" }).locator("dd").first().textContent();
    assert.equal(totals.reduce((sum, one) => sum + Number(one.replaceAll(",", "")), 0), Number(shown.replaceAll(",", "")));
    assert.deepEqual(wrong, []);
    await page.context().close();
  }],

  ["requests are shown as they end", async (browser) => {
    const { page, wrong } = await newPage(browser, base);
    await page.goto(`${base}/?view=live&model=${encodeURIComponent(model)}`);
    await page.getByText("Listening.", { exact: true }).waitFor();
    const answer = await fetch(`${gateway}/v1/messages`, {
      method: "POST",
      headers: { "x-api-key": key, "anthropic-version": "2023-06-01", "content-type": "application/json" },
      body: JSON.stringify({ model, max_tokens: 20, messages: [{ role: "user", content: "Is it there?" }] }),
    });
    assert.equal(answer.status, 200, await answer.text());
    const link = page.locator(`main a[href*="${answer.headers.get("x-weir-request-id")}"]`);
    await link.waitFor();
    await accessible(page, "live");
    assert.deepEqual(wrong, []);
    await page.context().close();
  }],

  ["the audit is clean, and the theme is kept", async (browser) => {
    const { page, wrong } = await newPage(browser, base);
    await page.goto(`${base}/?view=audit&from=-1h`);
    await settled(page);
    await page.locator(".verdict.clean").or(page.locator(".verdict.pending")).waitFor();
    await accessible(page, "audit");
    const colour = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await colour();
    await page.locator("#theme").selectOption("dark");
    const dark = await colour();
    assert.notEqual(dark, light);
    await accessible(page, "audit in the dark");
    await page.reload();
    await settled(page);
    assert.equal(await colour(), dark);
    assert.deepEqual(wrong, []);
    await page.context().close();
  }],
]);

/** Pico-dollars of "$0.001234000000". */
function whole(text) {
  return BigInt(text.replace(/[$.,]/g, ""));
}
