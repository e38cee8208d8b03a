// Tables: the plainest way to show many numbers, and the one that everybody can read.
import { h } from "./dom.js";

/**
 * Columns: name, cell(row), and number (right-aligned), title, wide. Scrolls by itself where it is too wide, with the
 * keyboard too.
 */
export function table({ caption, columns, rows, empty, footer, shown }) {
  if (rows.length === 0) return h("p", { class: "empty" }, empty ?? "Nothing in this time.");
  const kind = (column) => (column.number ? "number" : column.wide ? "wide" : undefined);
  const head = columns.map((column) => h("th", { scope: "col", class: kind(column), title: column.title }, column.name));
  const line = (row) =>
    columns.map((column, place) => h(place === 0 ? "th" : "td", { scope: place === 0 ? "row" : undefined, class: kind(column) }, column.cell(row)));
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("caption", { class: shown ? undefined : "aside" }, caption),
      h("thead", {}, h("tr", {}, head)),
      h("tbody", {}, rows.map((row) => h("tr", {}, line(row)))),
      footer ? h("tfoot", {}, h("tr", {}, footer)) : null,
    ),
  );
}

/** Names and what they are, as a list. */
export function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== undefined);
  return h("dl", { class: "facts" }, known.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}
