// The whole story of one request, candidate by candidate.
import { write } from "./address.js";
import { get } from "./api.js";
import { h, titled, unknown } from "./dom.js";
import { bytes, count, duration, exact, money, pico, time } from "./format.js";
import { panel } from "./panels.js";
import { bill, repriced } from "./price.js";
import { tokens } from "./requests.js";
import { facts, table } from "./table.js";

export function request() {
  const head = panel("Request", { wide: true, id: "request" });
  const tries = panel("Candidates", { wide: true, id: "candidates", note: "Every place that was considered, in this order, and what became of it." });
  const price = panel("Cost", { id: "cost" });
  const usage = panel("Usage", { id: "usage" });
  const rest = panel("Everything that is recorded", { wide: true, id: "everything" });
  const element = h("div", { class: "grid" }, [head, tries, price, usage, rest].map((one) => one.element));

  async function update(state, signal) {
    const story = get(`v1/requests/${encodeURIComponent(state.request)}`, signal);
    story.catch(() => {});
    const loads = [
      head.load(signal, async () => summary(await story, state)),
      tries.load(signal, async () => candidates(await story)),
      price.load(signal, async () => cost(await story)),
      usage.load(signal, async () => used(await story)),
      rest.load(signal, async () => everything(await story)),
    ];
    return (await Promise.all(loads)).filter(Boolean);
  }
  return { title: "Request", element, update };
}

const code = (text) => (text === null || text === undefined ? "–" : h("code", {}, text));

function summary(story, state) {
  const row = story.request ?? story.opened ?? {};
  const back = h("p", {}, h("a", { href: write({ ...state, request: null, view: "requests" }) }, "← All requests"));
  const title = h("p", { class: "id" }, code(story.request_id));
  if (story.state === "open") {
    const open = facts([["State", "open: it has not ended yet, or its end is not stored yet"], ["Client", row.client ?? "–"], ["Model", row.model ?? "–"], ["Received (UTC)", row.received_at ? time(row.received_at) : "–"]]);
    return [back, title, open];
  }
  const error = row.error_class ? h("div", { class: "problem" }, h("p", {}, h("strong", {}, `${row.error_class}. `), row.error_message ?? "")) : null;
  const list = facts([
    ["Outcome", h("span", { class: `outcome ${row.outcome}` }, row.outcome)],
    ["Status", row.upstream_status && row.upstream_status !== row.status ? `${row.status} (the provider said ${row.upstream_status})` : String(row.status)],
    ["Client", row.client ?? "–"],
    ["User", row.user ?? "–"],
    ["Model asked for", row.model_requested ?? "–"],
    ["Model", row.model ?? "–"],
    ["Asked of the provider", row.model_upstream ?? "–"],
    ["Answered by", row.endpoint ? `${row.provider} / ${row.endpoint}${row.key ? ` / ${row.key}` : ""}` : "nobody"],
    ["Format", `${row.format}${row.is_stream ? ", stream" : ""}`],
    ["Received (UTC)", time(row.received_at)],
    ["First content", row.ttft_ms === null ? "–" : duration(row.ttft_ms)],
    ["Whole answer", duration(row.duration_ms)],
    ["Stop reason", row.stop_reason ?? "–"],
    ["Sent and received", `${bytes(row.request_bytes)} in, ${bytes(row.response_bytes)} out`],
  ]);
  return [back, title, list, error].filter(Boolean);
}

/** When a try ran, beside the others. */
function lane(candidate, begin, length) {
  const start = Date.parse(candidate.started_at) - begin;
  const part = (ms) => `${Math.max(0, Math.min(100, (ms / length) * 100))}%`;
  const run = h("i", { class: candidate.verdict });
  run.style.left = part(start);
  run.style.width = part(candidate.duration_ms);
  const lane = h("span", { class: "lane", "aria-hidden": "true" }, run);
  if (candidate.first_content_ms !== null) {
    const first = h("b", {});
    first.style.left = part(start + candidate.first_content_ms);
    lane.append(first);
  }
  return lane;
}

function candidates({ candidates: rows, request: row, opened }) {
  const begin = Date.parse((row ?? opened)?.received_at ?? rows[0]?.started_at);
  const ends = rows.map((one) => Date.parse(one.started_at) - begin + one.duration_ms);
  const length = Math.max(1, row?.duration_ms ?? 0, ...ends);
  const ms = (value) => (value === null ? "–" : duration(value));
  const columns = [
    { name: "#", number: true, cell: (one) => (one.attempt_index ? `${one.candidate_index + 1}.${one.attempt_index + 1}` : one.candidate_index + 1) },
    { name: "Endpoint", cell: (one) => `${one.provider} / ${one.endpoint}${one.key ? ` / ${one.key}` : ""}` },
    { name: "Verdict", cell: (one) => h("span", { class: `outcome ${one.verdict}` }, one.verdict) },
    { name: "Why", cell: (one) => one.reason ?? "–" },
    { name: "Status", number: true, cell: (one) => one.status ?? "–" },
    { name: "When", cell: (one) => (one.verdict === "skipped" ? "" : lane(one, begin, length)) },
    { name: "Begun after", number: true, cell: (one) => duration(Math.max(0, Date.parse(one.started_at) - begin)) },
    { name: "Headers", number: true, cell: (one) => ms(one.headers_ms) },
    { name: "First content", number: true, cell: (one) => ms(one.first_content_ms) },
    { name: "Took", number: true, cell: (one) => (one.verdict === "skipped" ? "–" : duration(one.duration_ms)) },
    { name: "Output", number: true, cell: (one) => (one.output_tokens === null ? "–" : count(one.output_tokens)) },
    ...(rows.some((one) => one.cost_usd) ? [{ name: "Cost", number: true, cell: (one) => (one.cost_usd ? titled(money(pico(one.cost_usd)), exact(pico(one.cost_usd))) : "–") }] : []),
    { name: "What was said", wide: true, cell: (one) => [one.error_class, one.error_message].filter(Boolean).join(": ") || "–" },
  ];
  return table({ caption: "Candidates of this request", columns, rows, empty: "Nobody was considered: it was refused before that, or its candidates are not stored yet." });
}

function cost({ request: row, price, adjustments = [] }) {
  if (!row) return h("p", { class: "empty" }, "Known when it has ended.");
  return [bill(row, price), repriced(adjustments)].flat();
}

function used({ request: row }) {
  if (!row) return h("p", { class: "empty" }, "Known when it has ended.");
  const list = facts([
    ["Input", tokens(row, "input_tokens")],
    ["of it fresh", tokens(row, "fresh_input_tokens")],
    ["of it read from cache", tokens(row, "cache_read_tokens")],
    ["of it written to cache", row.cache_write_5m_tokens === null && row.cache_write_1h_tokens === null ? unknown() : `${count(row.cache_write_5m_tokens ?? 0)} for 5 min, ${count(row.cache_write_1h_tokens ?? 0)} for 1 h`],
    ["Output", tokens(row, "output_tokens")],
    ["of it reasoning", tokens(row, "reasoning_tokens")],
    ["Reached the client", row.delivered_output_tokens === null ? "all of it" : count(row.delivered_output_tokens)],
    ["Counted by", { provider: "the provider", estimated: "the gateway (an estimate)", none: "nobody" }[row.usage_source] ?? row.usage_source],
  ]);
  const raw = row.raw_usage ? h("details", {}, h("summary", {}, "As the provider wrote it"), h("pre", { tabindex: "0", "aria-label": "The provider's usage" }, pretty(row.raw_usage))) : null;
  return [list, raw].filter(Boolean);
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function everything(story) {
  const { request: row, opened, bodies = [] } = story;
  const shown = Object.entries(row ?? opened ?? {}).map(([name, value]) => [name, value === null ? unknown("null") : typeof value === "object" ? code(JSON.stringify(value)) : String(value)]);
  const said = bodies.map((body) =>
    h(
      "details",
      {},
      h("summary", {}, `Captured: ${body.scope} ${body.endpoint ?? ""}`),
      ["request", "response"].filter((side) => body[`${side}_body`] !== null).map((side) =>
        h("div", {}, h("h3", {}, `${side}${body[`${side}_truncated`] ? ", cut" : ""}`), h("pre", { tabindex: "0", "aria-label": side }, pretty(body[`${side}_body`])))),
    ));
  const columns = h("details", {}, h("summary", {}, "All columns, as in the table requests"), facts(shown));
  const json = h("details", {}, h("summary", {}, "As the API tells it"), h("pre", { tabindex: "0", "aria-label": "The answer of the API" }, JSON.stringify(story, null, 2)));
  return [...said, columns, json];
}
