// What was spent and asked, how fast and how well it was answered. Aggregates only, in intervals that rollups can answer.
import { filtered, interval, query, seconds, write } from "./address.js";
import { get } from "./api.js";
import { withBar } from "./bars.js";
import { buckets, byBucket, chart } from "./chart.js";
import { h, known, titled, unknown } from "./dom.js";
import { approximate, compact, count, digitsFor, duration, exact, money, percent, pico, share, sum, time } from "./format.js";
import { choice, firstSteps, panel } from "./panels.js";
import { table } from "./table.js";

const SHOWN = 6;
const AUDIT_HOLDS_MS = 120_000;
const OUTCOMES = ["completed", "rejected", "failed", "interrupted", "cancelled"];
const BY = [["model", "Model"], ["client", "Client"], ["provider", "Provider"], ["client,model", "Client and model"]];
const MEASURES = [["ttft_ms", "First content"], ["duration_ms", "Whole answer"], ["output_tokens_per_second", "Tokens per second"]];
/** What /v1/providers can be filtered by: it counts candidates, which know no model and no outcome. */
const OF_CANDIDATES = ["provider", "endpoint", "key", "client"];

const total = (rows, column) => rows.reduce((all, row) => (row[column] === null ? all : (all ?? 0) + row[column]), null);
const called = (value) => value ?? "(none)";
const titleOf = (by) => BY.find(([value]) => value === by)?.[1] ?? by;
/** The names that a row is grouped by, one or several. */
const namesOf = (row, by) => by.split(",").map((name) => row[name] ?? null);
const keyOf = (row, by) => JSON.stringify(namesOf(row, by));
/** The names of a row, each a link to what it filters. */
const naming = (row, state) =>
  state.by.split(",").flatMap((name, place) => [place ? " / " : null, h("a", { href: write(filtered(state, name, row[name])), class: row[name] === null ? "unknown" : undefined }, called(row[name]))]);

let lastAudit = { at: -Infinity, state: null };

/** What the audit of the last minutes says. It reads more than the rest of the page, so one answer serves for a while. */
function audited() {
  if (performance.now() - lastAudit.at > AUDIT_HOLDS_MS) {
    const state = get("v1/audit?from=-15m").then((report) => report.state, () => "unknown");
    lastAudit = { at: performance.now(), state };
  }
  return lastAudit.state;
}

/** An amount, with what is missing in it. */
export function amount(value, { unpriced = 0, unknownUsage = 0, estimated = 0 } = {}, digits) {
  const gaps = [];
  if (unpriced) gaps.push(`${count(unpriced)} without a price`);
  if (unknownUsage) gaps.push(`${count(unknownUsage)} with unknown usage`);
  const marks = [];
  if (estimated) marks.push(h("abbr", { title: `The usage of ${count(estimated)} requests was estimated` }, "≈"));
  if (value === null && gaps.length === 0) return nothing();
  const shown = value === null ? unknown(gaps.join(", ")) : titled(money(value, digits), exact(value));
  if (gaps.length && value !== null) marks.push(h("abbr", { title: `Not in this sum: ${gaps.join(", ")}` }, "+?"));
  // Marks come first, so that digits stand under digits.
  return h("span", { class: "amount" }, marks, shown);
}

/** Where there is nothing to know, as opposed to what nobody knows. */
const nothing = () => h("span", { class: "unknown", title: "Nothing was sent to a provider" }, "–");

export function gaps(rows) {
  return {
    unpriced: total(rows, "unpriced_requests") ?? 0,
    unknownUsage: total(rows, "unknown_usage_requests") ?? 0,
    estimated: total(rows, "estimated_usage_requests") ?? 0,
  };
}

export function overview(go) {
  const panels = {
    spend: panel("Spend", { wide: true, id: "spend" }),
    requests: panel("Requests by outcome", { id: "by-outcome" }),
    latency: panel("Latency", { id: "latency" }),
    breakdown: panel("Where it goes", { wide: true, id: "breakdown" }),
    failures: panel("Failures by cause", { wide: true, id: "failures" }),
    providers: panel("Providers", { wide: true, id: "providers", note: "Every try counts, also those that another provider made good." }),
    cache: panel("Prompt cache", { wide: true, id: "cache" }),
  };
  let state_ = null;
  const pickers = [
    [panels.spend, "Split the spend by", BY, "by"],
    [panels.breakdown, "Group by", BY, "by"],
    [panels.latency, "Measure", MEASURES, "measure"],
  ].map(([one, label, options, name]) => {
    const picker = choice(label, options, (value) => go({ ...state_, [name]: value }));
    one.tools(picker.element);
    return [picker, name];
  });
  const glance = panel("At a glance", { wide: true, id: "glance" });
  const element = h("div", { class: "grid" }, glance.element, Object.values(panels).map((one) => one.element));

  async function update(state, signal) {
    state_ = state;
    for (const [picker, name] of pickers) picker.mark(state[name]);
    const ask = (path, more) => get(`v1/${path}?${query(state, more)}`, signal);
    const step = interval(state);
    const costs = ask("costs", { interval: step });
    const usage = ask("usage", { interval: step });
    const latency = ask("latency", {});
    const books = audited();
    const groups = Promise.all([ask("costs", { group_by: state.by }), ask("usage", { group_by: state.by }), ask("latency", { group_by: state.by })]);
    // Each panel tells its own failure; here nobody may be left unheard.
    for (const one of [costs, usage, latency, groups]) one.catch(() => {});
    const loads = [
      glance.load(signal, async () => figures(await costs, await usage, await latency, books, state)),
      panels.spend.load(signal, async () => spend(await costs, (await groups)[0], state, step, signal)),
      panels.requests.load(signal, async () => outcomes(await usage)),
      panels.latency.load(signal, async () => latencies(await ask("latency", { interval: step }), state)),
      panels.breakdown.load(signal, async () => breakdown(...(await groups), state)),
      panels.failures.load(signal, async () => failures(await ask("failures", {}), state)),
      panels.providers.load(signal, async () => providers(state, signal)),
      panels.cache.load(signal, async () => cache(...(await groups), state)),
    ];
    return (await Promise.all(loads)).filter(Boolean);
  }
  return { title: "Overview", element, update };
}

function figure(name, value, note) {
  return h("div", { class: "figure" }, h("dt", {}, name), h("dd", {}, value), h("dd", { class: "note" }, note ?? ""));
}

function figures(costs, usage, latency, books, state) {
  const [money_, used, fast] = [costs.rows, usage.rows, latency.rows[0]];
  const requests = total(used, "requests") ?? 0;
  if (requests === 0) return firstSteps();
  const spent = sum(money_.map((row) => pico(row.cost_usd)));
  const wasted = sum(money_.map((row) => pico(row.wasted_cost_usd)));
  const completed = total(used, "completed");
  const [input, output] = [total(used, "input_tokens"), total(used, "output_tokens")];
  const cached = total(used, "cache_read_tokens");
  const missing = gaps(money_);
  const told = [missing.unpriced && `${count(missing.unpriced)} unpriced`, missing.unknownUsage && `${count(missing.unknownUsage)} of unknown usage`];
  const audit = h("a", { href: write({ ...state, view: "audit", from: "-1h" }) }, "…");
  // The audit asks the gateways too, and takes longer: the rest does not wait for it.
  books.then((judged) => {
    audit.textContent = judged;
    if (judged === "unclean") audit.closest(".figure")?.classList.add("bad");
  });
  return h(
    "dl",
    { class: "figures" },
    figure("Spent", amount(spent, missing), told.filter(Boolean).join(", ") || "every request priced"),
    figure("Of it wasted", amount(wasted, {}), "on answers nobody got whole"),
    figure("Requests", titled(compact(requests), count(requests)), perSecond(requests, state)),
    figure("Completed", percent(share(completed, requests)), `${count(requests - completed)} not completed`),
    figure("Input tokens", titled(compact(input), count(input)), `${percent(share(cached, input))} from cache`),
    figure("Output tokens", titled(compact(output), count(output)), missing.estimated ? `≈ ${count(missing.estimated)} estimated` : "as providers report"),
    figure("First content, p50", duration(fast?.ttft_ms_p50), `p95 ${duration(fast?.ttft_ms_p95)}`),
    figure("Books, last 15 min", audit, "events emitted and stored"),
  );
}

function perSecond(requests, state) {
  const rate = requests / seconds(state);
  return rate >= 1 ? `${rate.toFixed(1)} a second` : rate * 60 >= 1 ? `${(rate * 60).toFixed(1)} a minute` : `${(rate * 3600).toFixed(1)} an hour`;
}

async function spend(costs, groups, state, step, signal) {
  if (costs.rows.length === 0) return h("p", { class: "empty" }, "Nothing was asked for in this time.");
  const ranked = groups.rows.map((row) => ({ row, key: keyOf(row, state.by), spent: pico(row.cost_usd) })).filter((one) => one.spent !== null);
  ranked.sort((a, b) => compareAmounts(b.spent, a.spent));
  if (ranked.length === 0) return h("p", { class: "empty" }, "No cost is known of anything in this time.");
  const first = ranked.slice(0, SHOWN);
  const dimensions = state.by.split(",");
  const others = state.filters.filter(([name]) => !dimensions.includes(name));
  const mine = dimensions.flatMap((name) => [...new Set(first.map(({ row }) => row[name] ?? ""))].map((value) => [name, value]));
  const detail = await get(`v1/costs?${query({ ...state, filters: [...others, ...mine] }, { interval: step, group_by: state.by })}`, signal);
  const starts = buckets(costs);
  const whole = byBucket(costs.rows);
  const spentIn = (row) => (row ? pico(row.cost_usd) : 0n);
  const wholes = starts.map((start) => spentIn(whole.get(start)));
  const digits = digitsFor(wholes);
  const left = [...wholes];
  const series = first.map(({ row, key }, place) => {
    const rows = byBucket(detail.rows.filter((other) => keyOf(other, state.by) === key));
    const amounts = starts.map((start) => spentIn(rows.get(start)));
    amounts.forEach((one, at) => (left[at] = left[at] === null ? null : left[at] - (one ?? 0n)));
    return line(namesOf(row, state.by).map(called).join(" / "), `--series-${place + 1}`, amounts, digits);
  });
  if (ranked.length > SHOWN) series.push(line(`${ranked.length - SHOWN} more`, "--series-rest", left, digits));
  const label = `Spend over time by ${titleOf(state.by).toLowerCase()}`;
  const axis = (value) => (value === 0 ? "$0" : `$${value >= 1000 ? compact(Math.round(value)) : Number(value.toPrecision(3))}`);
  return chart({ label, starts, interval: step, series, kind: "stack", axis, height: 230, total: wholes.map((one) => money(one, digits)) });
}

function line(name, color, amounts, digits) {
  return {
    name,
    color,
    heights: amounts.map(approximate),
    texts: amounts.map((one) => money(one, digits)),
    sum: money(sum(amounts)),
  };
}

function compareAmounts(a, b) {
  if (a === b) return 0;
  if (a === null) return -1;
  return b === null || a > b ? 1 : -1;
}

function outcomes(usage) {
  if (usage.rows.length === 0) return h("p", { class: "empty" }, "Nothing was asked for in this time.");
  const starts = buckets(usage);
  const rows = byBucket(usage.rows);
  const series = OUTCOMES.map((name) => {
    const counts = starts.map((start) => rows.get(start)?.[name] ?? 0);
    return { name, color: `--${name}`, heights: counts, texts: counts.map(count), sum: compact(total(usage.rows, name)) };
  });
  const totals = starts.map((start) => count(rows.get(start)?.requests ?? 0));
  return chart({ label: "Requests over time by outcome", starts, interval: usage.interval, series, kind: "stack", axis: compact, total: totals });
}

function latencies(latency, state) {
  if (latency.rows.length === 0) return h("p", { class: "empty" }, "No request was sent to a provider in this time.");
  const starts = buckets(latency);
  const rows = byBucket(latency.rows);
  const isSpeed = state.measure === "output_tokens_per_second";
  const text = (value) => (value === null ? "–" : isSpeed ? `${value.toFixed(0)}/s` : duration(value));
  const series = ["p50", "p90", "p95", "p99"].map((name, place) => {
    const values = starts.map((start) => rows.get(start)?.[`${state.measure}_${name}`] ?? null);
    return { name, color: `--line-${place + 1}`, heights: values, texts: values.map(text) };
  });
  const axis = isSpeed ? (value) => compact(value) : (value) => (value >= 1000 ? `${value / 1000} s` : `${value} ms`);
  const label = `${MEASURES.find(([value]) => value === state.measure)?.[1] ?? state.measure} over time`;
  return chart({ label, starts, interval: latency.interval, series, kind: "lines", axis });
}

function breakdown(costs, usage, latency, state) {
  const find = (answer, row) => answer.rows.find((other) => keyOf(other, state.by) === keyOf(row, state.by));
  const rows = costs.rows
    .map((cost) => ({ cost, amount: pico(cost.cost_usd), used: find(usage, cost), fast: find(latency, cost) }))
    .sort((a, b) => compareAmounts(b.amount, a.amount) || b.cost.requests - a.cost.requests);
  const whole = sum(rows.map((row) => row.amount));
  const digits = digitsFor(rows.map((row) => row.amount));
  const part = (amount) => (amount === null || !whole ? null : Number((amount * 1_000_000n) / whole) / 1e6);
  const isSent = (row) => row.used?.upstream_attempts !== 0;
  const tokens = (column) => (row) => (!isSent(row) ? nothing() : row.used?.[column] === null ? unknown() : titled(compact(row.used?.[column]), count(row.used?.[column])));
  const columns = [
    { name: titleOf(state.by), cell: (row) => naming(row.cost, state) },
    { name: "Spent", number: true, cell: (row) => amount(row.amount, gaps([row.cost]), digits) },
    { name: "Share", cell: (row) => (isSent(row) ? withBar(part(row.amount)) : nothing()) },
    { name: "Requests", number: true, cell: (row) => count(row.cost.requests) },
    { name: "Completed", number: true, cell: (row) => known(percent, share(row.used?.completed, row.used?.requests)) },
    { name: "Input", number: true, cell: tokens("input_tokens") },
    { name: "Cached", number: true, title: "Share of the input that was read from the provider's cache", cell: (row) => (isSent(row) ? known(percent, share(row.used?.cache_read_tokens, row.used?.input_tokens)) : nothing()) },
    { name: "Output", number: true, cell: tokens("output_tokens") },
    { name: "First content p50", number: true, cell: (row) => (row.fast ? duration(row.fast.ttft_ms_p50) : "–") },
    { name: "p95", number: true, cell: (row) => (row.fast ? duration(row.fast.ttft_ms_p95) : "–") },
  ];
  const missing = gaps(costs.rows);
  const footer = [h("th", { scope: "row" }, "Total"), h("td", { class: "number" }, amount(whole, missing, digits)), h("td", {}), h("td", { class: "number" }, count(total(costs.rows, "requests") ?? 0)), h("td", { colspan: 6 })];
  return table({ caption: `Spend and use by ${titleOf(state.by).toLowerCase()}`, columns, rows, footer: rows.length ? footer : null });
}

function failures(answer, state) {
  const rows = answer.rows.toSorted((a, b) => b.requests - a.requests).slice(0, 20);
  const columns = [
    { name: "Cause", cell: (row) => row.error_class ?? "(none)" },
    { name: "Outcome", cell: (row) => h("a", { href: write({ ...filtered(state, "outcome", row.outcome), view: "requests" }), class: `outcome ${row.outcome}` }, row.outcome) },
    { name: "Upstream", number: true, cell: (row) => row.upstream_status ?? "–" },
    { name: "Requests", number: true, cell: (row) => count(row.requests) },
    { name: "Cost all the same", number: true, cell: (row) => (row.cost_usd === null ? "–" : amount(pico(row.cost_usd))) },
    { name: "Last", cell: (row) => h("a", { href: write({ ...state, request: row.last_request_id }) }, time(row.last_received_at)) },
    { name: "What was said", wide: true, cell: (row) => row.last_error_message ?? "–" },
  ];
  return table({ caption: "Requests that did not complete, by cause", columns, rows, empty: "Nothing failed in this time." });
}

async function providers(state, signal) {
  const mine = state.filters.filter(([name]) => OF_CANDIDATES.includes(name));
  const answer = await get(`v1/providers?${query({ ...state, filters: mine }, { group_by: "provider,endpoint" })}`, signal);
  const ignored = state.filters.filter(([name]) => !OF_CANDIDATES.includes(name)).map(([name]) => name);
  const rows = answer.rows.filter((row) => row.provider !== null);
  const ms = (column) => (row) => (row[column] === null ? "–" : duration(row[column]));
  const columns = [
    { name: "Endpoint", cell: (row) => h("a", { href: write(filtered(state, "endpoint", row.endpoint)) }, `${row.provider} / ${row.endpoint ?? "–"}`) },
    { name: "Tries answered", cell: (row) => (row.success_rate === null ? "not tried" : withBar(row.success_rate, row.success_rate < 0.9 ? "bad" : "good")) },
    { name: "Tries", number: true, cell: (row) => count(row.attempts) },
    { name: "Failed", number: true, cell: (row) => count(row.failed) },
    { name: "Rate limited", number: true, cell: (row) => count(row.rate_limited) },
    { name: "Skipped", number: true, title: "Passed over: resting after failures, full, or without what the request needs", cell: (row) => count(row.skipped) },
    { name: "Headers p50", number: true, cell: ms("headers_ms_p50") },
    { name: "p95", number: true, cell: ms("headers_ms_p95") },
    { name: "First content p50", number: true, cell: ms("first_content_ms_p50") },
    { name: "p95", number: true, cell: ms("first_content_ms_p95") },
    { name: "Spent", number: true, cell: (row) => (row.requests ? amount(pico(row.cost_usd)) : "–") },
  ];
  const shown = table({ caption: "Providers and their endpoints", columns, rows, empty: "No provider was asked in this time." });
  return ignored.length ? [h("p", { class: "note" }, `Not filtered by ${[...new Set(ignored)].join(", ")}: a try that failed has none of its own.`), shown] : shown;
}

function cache(costs, usage, _, state) {
  const rows = usage.rows.filter((row) => row.input_tokens).sort((a, b) => b.input_tokens - a.input_tokens).slice(0, 20);
  const saved = (row) => pico(costs.rows.find((cost) => keyOf(cost, state.by) === keyOf(row, state.by))?.cache_saved_usd);
  const digits = digitsFor(rows.map(saved));
  const columns = [
    { name: titleOf(state.by), cell: (row) => naming(row, state) },
    { name: "Input read from cache", cell: (row) => withBar(share(row.cache_read_tokens, row.input_tokens)) },
    { name: "Input", number: true, cell: (row) => titled(compact(row.input_tokens), count(row.input_tokens)) },
    { name: "Read", number: true, cell: (row) => known(compact, row.cache_read_tokens) },
    { name: "Written, 5 min", number: true, cell: (row) => known(compact, row.cache_write_5m_tokens) },
    { name: "Written, 1 h", number: true, cell: (row) => known(compact, row.cache_write_1h_tokens) },
    { name: "Saved", number: true, title: "What it would have cost more without the cache; negative where writing cost more than reading saved", cell: (row) => known((one) => amount(one, {}, digits), saved(row)) },
  ];
  return table({ caption: "How much of the input came from providers' caches", columns, rows, empty: "No provider has told how many input tokens it counted." });
}
