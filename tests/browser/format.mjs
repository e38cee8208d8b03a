// Amounts are exact whatever their size, and what is not known is never shown as zero.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

// The file is a module for browsers: there is no package.json that would tell Node so.
const source = readFileSync(new URL("../../analytics/dashboard/format.js", import.meta.url)).toString("base64");
const { compact, count, digitsFor, duration, exact, money, percent, pico, share, sum } = await import(`data:text/javascript;base64,${source}`);

test("amounts keep every digit", () => {
  // More than a double can tell from its neighbours.
  assert.equal(exact(pico("9007199254740993.000000000001")), "$9,007,199,254,740,993.000000000001");
  assert.equal(exact(sum([pico("0.1"), pico("0.2")])), "$0.300000000000");
  assert.equal(exact(pico("-12.5")), "−$12.500000000000");
  assert.throws(() => pico("1e3"));
  assert.throws(() => pico(""));
});

test("rounding is half up and never to nothing", () => {
  assert.equal(money(pico("1234567.125000000000")), "$1,234,567.13");
  assert.equal(money(pico("999.99995"), 4), "$1,000.0000");
  assert.equal(money(pico("0.000000000004"), 2), "<$0.01");
  assert.equal(money(0n), "$0.00");
  assert.equal(digitsFor([pico("12.5"), null]), 4);
  assert.equal(digitsFor([pico("0.0004")]), 9);
});

test("what is not known is not zero", () => {
  assert.equal(pico(null), null);
  assert.equal(sum([null, null]), null);
  assert.equal(exact(sum([null, pico("1")])), "$1.000000000000");
  for (const text of [money(null), exact(null), count(null), compact(null), duration(null), percent(null)]) assert.equal(text, "unknown");
  assert.equal(share(null, 5), null);
  assert.equal(share(1, 0), null);
});

test("shares and times read well", () => {
  assert.equal(percent(1), "100 %");
  assert.equal(percent(0.9996), ">99.9 %");
  assert.equal(percent(0.0001), "<0.1 %");
  assert.equal(percent(0.1234), "12.3 %");
  assert.equal(duration(0.4), "0.40 ms");
  assert.equal(duration(1234), "1.23 s");
  assert.equal(duration(61_000), "1 min 01 s");
  assert.equal(compact(9999), "9,999");
  assert.equal(compact(1_234_567), "1.23M");
});
