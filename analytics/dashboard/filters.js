// The time range and the filters, which belong to every view.
import { CLOSED, DIMENSIONS, RANGES, filtered, query } from "./address.js";
import { get } from "./api.js";
import { fill, h } from "./dom.js";

const SUGGESTED = 100;

/** Shows the filters of a state; `go` is called with the next one. */
export function filters(root, state, go) {
  const custom = !RANGES.some(([from]) => from === state.from) || state.to;
  const range = h(
    "select",
    { id: "range", onchange: () => (range.value === "custom" ? exactRange(true) : go({ ...state, from: range.value, to: "" })) },
    RANGES.map(([value, name]) => h("option", { value, selected: value === state.from && !custom }, name)),
    h("option", { value: "custom", selected: Boolean(custom) }, custom ? named(state) : "Exact times…"),
  );
  for (const option of range.options) option.value = option.getAttribute("value");
  range.value = custom ? "custom" : state.from;

  const [from, to] = ["from", "to"].map((name) => h("input", { id: name, size: "20", autocomplete: "off", spellcheck: "false", value: state[name] }));
  const exact = h(
    "form",
    {
      class: "exact",
      hidden: !custom,
      onsubmit: (event) => {
        event.preventDefault();
        go({ ...state, from: from.value.trim() || "-24h", to: to.value.trim() });
      },
    },
    h("label", { for: "from" }, "From"),
    from,
    h("label", { for: "to" }, "to"),
    to,
    h("button", { type: "submit" }, "Show"),
    h("span", { class: "quiet" }, "2026-11-21, 2026-11-21T09:30:00Z or -90m; empty is now"),
  );
  const exactRange = (shown) => {
    exact.hidden = !shown;
    if (shown) from.focus();
  };
  fill(root, h("div", { class: "row" }, h("label", { for: "range" }, "Time"), range, chips(state, go), adder(state, go)), exact);
}

const named = ({ from, to }) => `${from} to ${to || "now"}`;

function chips(state, go) {
  if (state.filters.length === 0) return null;
  const items = state.filters.map(([name, value], place) => {
    const without = () => go({ ...state, filters: state.filters.filter((_, other) => other !== place) });
    const text = `${name}: ${value === "" ? "(none)" : value}`;
    return h("li", {}, text, h("button", { type: "button", class: "remove", "aria-label": `Remove the filter ${text}`, onclick: without }, "×"));
  });
  return h("ul", { class: "chips", "aria-label": "Filters" }, items);
}

function adder(state, go) {
  const list = h("datalist", { id: "values" });
  const value = h("input", { id: "value", list: "values", size: "18", autocomplete: "off", "aria-label": "Value of the filter", placeholder: "value" });
  const tag = h("input", { id: "tag", size: "10", autocomplete: "off", "aria-label": "Name of the tag", placeholder: "tag", hidden: true });
  const name = h("select", { id: "dimension", "aria-label": "Filter by" }, [...DIMENSIONS, "tag"].map((one) => h("option", { value: one }, one)));
  name.addEventListener("change", () => {
    tag.hidden = name.value !== "tag";
    list.replaceChildren();
  });
  value.addEventListener("focus", () => suggest(state, name.value, list));
  return h(
    "form",
    {
      class: "add",
      onsubmit: (event) => {
        event.preventDefault();
        const dimension = name.value === "tag" ? `tag:${tag.value.trim()}` : name.value;
        if (dimension !== "tag:") go(filtered(state, dimension, value.value.trim()));
      },
    },
    name,
    tag,
    value,
    list,
    h("button", { type: "submit" }, "Add filter"),
  );
}

/** Values that occur in the time range, for the field. In vain without an answer: anything can be typed. */
async function suggest(state, dimension, list) {
  if (list.childElementCount > 0 || dimension === "tag") return;
  let values = CLOSED[dimension];
  if (!values) {
    const others = { ...state, filters: state.filters.filter(([name]) => name !== dimension) };
    const answer = await get(`v1/usage?${query(others, { group_by: dimension })}`).catch(() => ({ rows: [] }));
    const rows = answer.rows.toSorted((a, b) => b.requests - a.requests).slice(0, SUGGESTED);
    values = rows.map((row) => row[dimension]).filter((value) => value !== null);
  }
  list.replaceChildren(...values.map((value) => h("option", { value })));
}
