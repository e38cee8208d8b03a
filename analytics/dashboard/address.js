// The state of the page is its address: what can be seen can be linked to, and nothing secret is in it.

/** What rows can be filtered by, as the API names it; tags are `tag:<name>`. */
export const DIMENSIONS = ["client", "model", "provider", "outcome", "format", "endpoint", "key", "user", "operation"];
export const CLOSED = {
  outcome: ["completed", "rejected", "failed", "interrupted", "cancelled"],
  format: ["anthropic", "openai_chat", "openai_responses", "gemini"],
  operation: ["generate", "count_tokens"],
};
export const RANGES = [
  ["-15m", "Last 15 minutes"],
  ["-1h", "Last hour"],
  ["-6h", "Last 6 hours"],
  ["-24h", "Last 24 hours"],
  ["-7d", "Last 7 days"],
  ["-30d", "Last 30 days"],
  ["-90d", "Last 90 days"],
];
export const VIEWS = [
  ["overview", "Overview"],
  ["requests", "Requests"],
  ["live", "Live"],
  ["audit", "Audit"],
];

export const GROUPINGS = ["model", "client", "provider", "client,model"];
export const MEASURES = ["ttft_ms", "duration_ms", "output_tokens_per_second"];
const among = (known, value) => (known.includes(value) ? value : known[0]);

const UNITS = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };
const isFilter = (name) => DIMENSIONS.includes(name) || name.startsWith("tag:");

/** Reads an address: view, time range, filters as [name, value] pairs, and what single views keep. */
export function read(search = location.search) {
  const parameters = new URLSearchParams(search);
  const known = VIEWS.map(([view]) => view);
  const request = parameters.get("request");
  const view = request ? "request" : known.includes(parameters.get("view")) ? parameters.get("view") : "overview";
  return {
    view,
    request,
    from: parameters.get("from") || "-24h",
    to: parameters.get("to") || "",
    filters: [...parameters].filter(([name]) => isFilter(name)),
    by: among(GROUPINGS, parameters.get("by")),
    measure: among(MEASURES, parameters.get("measure")),
  };
}

/** The address of a state. What is as usual is left out. */
export function write(state) {
  const parameters = new URLSearchParams();
  if (state.request) parameters.set("request", state.request);
  else if (state.view && state.view !== "overview") parameters.set("view", state.view);
  if (state.from && state.from !== "-24h") parameters.set("from", state.from);
  if (state.to) parameters.set("to", state.to);
  for (const [name, value] of state.filters) parameters.append(name, value);
  if (state.by && state.by !== "model") parameters.set("by", state.by);
  if (state.measure && state.measure !== "ttft_ms") parameters.set("measure", state.measure);
  const text = parameters.toString();
  return text ? `?${text}` : "?";
}

/** The same state with one filter more. */
export function filtered(state, name, value) {
  const rest = state.filters.filter(([other, old]) => other !== name || old !== value);
  return { ...state, filters: [...rest, [name, value ?? ""]] };
}

/** Length of the range in seconds, as of now. */
export function seconds({ from, to }) {
  const end = to ? Date.parse(to) : Date.now();
  const span = /^-(\d+)([smhdw])$/.exec(from);
  const begin = span ? end - Number(span[1]) * UNITS[span[2]] * 1000 : Date.parse(from);
  return Number.isFinite(begin) && Number.isFinite(end) ? Math.max(1, (end - begin) / 1000) : 86_400;
}

/** Buckets that a chart can show and rollups can answer: never more than some hundreds. */
export function interval(state) {
  const length = seconds(state);
  if (length <= 6 * 3600) return "minute";
  if (length <= 15 * 86_400) return "hour";
  return length <= 3 * 366 * 86_400 ? "day" : "month";
}

/** The query of an API call: range, filters, and more pairs. */
export function query(state, more = {}) {
  const parameters = new URLSearchParams({ from: state.from });
  if (state.to) parameters.set("to", state.to);
  for (const [name, value] of state.filters) parameters.append(name, value);
  for (const [name, value] of Object.entries(more)) for (const one of [value].flat()) parameters.append(name, one);
  return parameters.toString();
}
