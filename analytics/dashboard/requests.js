// The list of requests, newest first, page by page.
import { query, write } from "./address.js";
import { get } from "./api.js";
import { append, h, titled, unknown } from "./dom.js";
import { compact, count, digitsFor, duration, exact, money, pico, time } from "./format.js";
import { firstSteps, panel, problem } from "./panels.js";
import { table } from "./table.js";

const PAGE = 50;
const ID = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i;

/** An amount of one request. */
function cost(row, digits) {
  const amount = pico(row.cost_usd);
  if (amount === null) return row.attempts === 0 ? "–" : unknown("No price, or no usage");
  const text = titled(money(amount, digits), exact(amount));
  return row.usage_source === "estimated" ? [h("abbr", { title: "Estimated: the provider reported no usage" }, "≈"), text] : text;
}

/** Tokens, which may be unknown or estimated. */
export function tokens(row, column) {
  if (row[column] === null) return row.attempts === 0 ? "–" : unknown();
  const text = titled(compact(row[column]), count(row[column]));
  return row.usage_source === "estimated" ? [h("abbr", { title: "Estimated: the provider reported no usage" }, "≈"), text] : text;
}

export function columns(state, rows) {
  const digits = digitsFor(rows.map((row) => pico(row.cost_usd)));
  return [
    { name: "Received (UTC)", cell: (row) => h("a", { href: write({ ...state, request: row.request_id }) }, time(row.received_at)) },
    { name: "Outcome", cell: (row) => h("span", { class: `outcome ${row.outcome}` }, row.outcome) },
    { name: "Client", cell: (row) => row.client ?? "–" },
    { name: "Model", cell: (row) => titled(row.model ?? row.model_requested ?? "–", row.model_upstream ?? "") },
    { name: "Answered by", cell: (row) => (row.endpoint ? titled(row.endpoint, row.provider) : "–") },
    { name: "Tries", number: true, cell: (row) => row.attempts },
    { name: "Status", number: true, cell: (row) => row.status },
    { name: "Cause", cell: (row) => row.error_class ?? "" },
    { name: "First content", number: true, cell: (row) => (row.ttft_ms === null ? "–" : duration(row.ttft_ms)) },
    { name: "Whole", number: true, cell: (row) => duration(row.duration_ms) },
    { name: "Input", number: true, cell: (row) => tokens(row, "input_tokens") },
    { name: "Output", number: true, cell: (row) => tokens(row, "output_tokens") },
    { name: "Cost", number: true, cell: (row) => cost(row, digits) },
  ];
}

export function requests(go) {
  const list = panel("Requests", { wide: true, id: "requests" });
  let state = null;
  const field = h("input", { id: "request-id", autocomplete: "off", spellcheck: "false", placeholder: "x-weir-request-id" });
  const wrong = h("span", { class: "wrong", role: "alert" });
  const find = h(
    "form",
    {
      class: "find",
      onsubmit: (event) => {
        event.preventDefault();
        const id = field.value.trim();
        if (ID.test(id)) go({ ...state, request: id });
        else wrong.textContent = "That is not a request id: it is the x-weir-request-id header of an answer.";
      },
    },
    h("label", { for: "request-id" }, "Open by id"),
    field,
    h("button", { type: "submit" }, "Open"),
    wrong,
  );

  async function update(next, signal) {
    state = next;
    const page = (cursor) => get(`v1/requests?${query(state, { limit: PAGE, ...(cursor ? { cursor } : {}) })}`, signal);
    const error = await list.load(signal, async () => show(await page(), page));
    return error ? [error] : [];
  }

  function show(first, page) {
    if (first.rows.length === 0) return firstSteps();
    const rows = [...first.rows];
    const caption = () => `${rows.length} requests, newest first`;
    const box = h("div", {});
    const draw = () => box.replaceChildren(table({ caption: caption(), columns: columns(state, rows), rows, shown: true }));
    draw();
    let cursor = first.next_cursor;
    const more = h("button", { type: "button", hidden: !cursor }, "Show older");
    more.addEventListener("click", async () => {
      more.disabled = true;
      try {
        const next = await page(cursor);
        rows.push(...next.rows);
        cursor = next.next_cursor;
        draw();
        more.hidden = !cursor;
      } catch (error) {
        if (error.name !== "AbortError") append(box, [problem(error)]);
      }
      more.disabled = false;
    });
    const files = ["csv", "parquet"].map((format) => h("button", { type: "button", onclick: () => download(format) }, format.toUpperCase()));
    return [box, h("p", { class: "actions" }, more, h("span", { class: "quiet" }, "All of them as a file:"), files)];
  }

  /** Through fetch, because a link could not carry the token. */
  async function download(format) {
    const { open } = await import("./api.js");
    const response = await open(`v1/requests?${query(state, { format })}`, undefined, "*/*");
    const link = h("a", { href: URL.createObjectURL(await response.blob()), download: `weir-requests.${format}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  return { title: "Requests", element: h("div", { class: "grid" }, find, list.element), update };
}
