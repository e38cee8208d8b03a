// The dashboard without its token, without data, and without ClickHouse: it says what to do.
import assert from "node:assert/strict";
import { accessible, fits, newPage, run, settled } from "./driving.mjs";

const [, , , , empty, down, token] = process.argv;

await run([
  ["the token is asked for, kept in the tab, and in no address", async (browser) => {
    const { page, wrong } = await newPage(browser, empty);
    await page.goto(`${empty}/?from=-1h`);
    const dialog = page.getByRole("dialog", { name: "This service asks for a token" });
    await dialog.waitFor();
    await accessible(page, "the question for the token");
    await page.keyboard.type("wrong");
    await page.keyboard.press("Enter");
    await page.getByText("That was not it.").waitFor();
    await page.keyboard.type(token);
    await page.keyboard.press("Enter");
    await settled(page);
    assert.equal(await dialog.isVisible(), false);
    assert.ok(!page.url().includes(token));
    assert.equal(await page.evaluate(() => sessionStorage.getItem("weir-token")), token);
    assert.equal(await page.evaluate(() => localStorage.length), 0);
    await page.reload();
    await settled(page);
    // While the recorder has not made all tables yet, the page asks again by itself.
    const isShown = () => !document.querySelector('#banner .problem, main [aria-busy="true"]');
    await page.waitForFunction(isShown, null, { timeout: 60_000 });
    assert.equal(await dialog.isVisible(), false, "asked once for a tab");

    const glance = page.locator("section", { has: page.getByRole("heading", { name: "At a glance" }) });
    await glance.getByText("No requests in this time.").waitFor();
    assert.match(await glance.locator("pre").textContent(), /^curl -N http/);
    await accessible(page, "without data");
    await page.setViewportSize({ width: 390, height: 844 });
    await fits(page, "without data on a phone");
    await page.goto(`${empty}/?request=00000000-0000-7000-8000-000000000000`);
    await settled(page);
    await page.getByText("there is no request").first().waitFor();
    await page.goto(`${empty}/?from=yesterday`);
    await settled(page);
    await page.getByText("is not a time").first().waitFor();
    assert.deepEqual(wrong, []);
    await page.context().close();
  }],

  ["without ClickHouse it says so and asks again by itself", async (browser) => {
    const { page, wrong } = await newPage(browser, down);
    await page.goto(`${down}/`);
    await settled(page);
    const banner = page.locator("#banner .problem");
    await banner.waitFor();
    assert.match(await banner.textContent(), /ClickHouse cannot be reached.*asks again by itself/);
    await accessible(page, "without ClickHouse");
    const again = page.waitForRequest(/v1\/costs/);
    await again;
    assert.deepEqual(wrong, []);
    await page.context().close();
  }],
]);
