// A panel: a heading, what it shows, and what it says while there is nothing to show.
import { append, fill, h } from "./dom.js";

const HINTS = {
  clickhouse_unavailable: "Gateways keep what happens until it is back. This page asks again by itself.",
  clickhouse_not_migrated: "Start the recorder (weir-recorder, or weir up): it creates the tables.",
  unreachable: "This page asks again by itself.",
  busy: "This page asks again by itself.",
  query_too_slow: "Choose a shorter time range above, or fewer groups.",
  query_too_large: "Choose a shorter time range above, or fewer groups.",
};

/** Troubles of everything, told once and above all panels. */
export const DOWN = ["clickhouse_unavailable", "clickhouse_not_migrated", "clickhouse_refused", "unreachable", "busy"];

/** What went wrong, and what to do. */
export function problem(error) {
  const hint = HINTS[error.code];
  return h("div", { class: "problem" }, h("p", {}, h("strong", {}, "Not shown. "), error.message), hint ? h("p", {}, hint) : null);
}

export function panel(title, { note, wide, id } = {}) {
  const tools = h("div", { class: "tools" });
  const body = h("div", { class: "body" }, h("p", { class: "empty" }, "Loading…"));
  const element = h(
    "section",
    { class: wide ? "panel wide" : "panel", "aria-labelledby": id, "aria-busy": "true" },
    h("header", {}, h("h2", { id }, title), tools),
    note ? h("p", { class: "note" }, note) : null,
    body,
  );
  return {
    element,
    /** What stands beside the heading. Built once and then only marked, so that the focus stays where it is. */
    tools(...nodes) {
      fill(tools, nodes);
    },
    /** Shows what `ask` brings; what was there before stays until then. Gives the error, if there is one. */
    async load(signal, ask) {
      element.setAttribute("aria-busy", "true");
      try {
        const shown = [await ask()].flat();
        if (signal.aborted) return null;
        fill(body, shown);
        return null;
      } catch (error) {
        if (signal.aborted) return null;
        if (!error.code) console.error(error);
        fill(body, DOWN.includes(error.code) ? h("p", { class: "empty" }, "Waiting for an answer.") : problem(error));
        return error;
      } finally {
        if (!signal.aborted) element.setAttribute("aria-busy", "false");
      }
    },
  };
}

/** Buttons of which one is chosen; `mark` says which. */
export function choice(label, options, choose) {
  const buttons = options.map(([value, name]) => h("button", { type: "button", onclick: () => choose(value), value }, name));
  const element = h("div", { class: "choice", role: "group", "aria-label": label }, buttons);
  const mark = (chosen) => buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(options[at][0] === chosen)));
  return { element, mark };
}

/** What to do when nothing has ever been sent. */
export function firstSteps() {
  const command = `curl -N http://127.0.0.1:8080/v1/messages \\
  -H 'x-api-key: YOUR-CLIENT-KEY' -H 'anthropic-version: 2023-06-01' -H 'content-type: application/json' \\
  -d '{"model": "YOUR-MODEL", "max_tokens": 200, "stream": true, "messages": [{"role": "user", "content": "Hello"}]}'`;
  const box = h("div", { class: "first" });
  append(box, [
    h("p", {}, h("strong", {}, "No requests in this time."), " Choose a longer range or fewer filters, or send one through the gateway (its address is [gateway] listen, the key one of [[clients]]):"),
    h("pre", { tabindex: "0", "aria-label": "A command that sends a request" }, command),
    h("p", {}, "It is here within a second or two of its end."),
  ]);
  return box;
}
