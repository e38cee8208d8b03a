// Requests as they end.
import { query } from "./address.js";
import { events } from "./api.js";
import { fill, h } from "./dom.js";
import { count, duration } from "./format.js";
import { columns } from "./requests.js";
import { problem } from "./panels.js";
import { table } from "./table.js";

const KEPT = 100;
const REDRAW_MS = 300;
const AGAIN_MS = 3000;

export function live() {
  const status = h("p", { class: "note", role: "status" }, "Connecting…");
  const box = h("div", {}, h("p", { class: "empty" }, "Waiting for the first request to end."));
  const pause = h("button", { type: "button", "aria-pressed": "false" }, "Pause");
  const clear = h("button", { type: "button" }, "Clear");
  const element = h(
    "div",
    { class: "grid" },
    h("section", { class: "panel wide", "aria-labelledby": "live" }, h("header", {}, h("h2", { id: "live" }, "Live"), h("div", { class: "choice", role: "group", "aria-label": "The list" }, pause, clear)), h("p", { class: "note" }, "Requests as they end, straight from the gateways, newest first. The time range above does not apply; the other filters do."), status, box),
  );
  let [rows, seen, dropped, paused, dirty, state] = [[], 0, 0, false, false, null];

  const draw = () => {
    if (!dirty || paused || !element.isConnected) return;
    dirty = false;
    // What somebody is reading with the keyboard stays where it is.
    if (box.contains(document.activeElement) && document.activeElement.tagName === "A") return void (dirty = true);
    const caption = `The last ${rows.length} of ${count(seen)} requests${dropped ? `; ${count(dropped)} were too many to show` : ""}`;
    fill(box, rows.length ? table({ caption, columns: columns(state, rows), rows, shown: true }) : h("p", { class: "empty" }, "Waiting for the next request to end."));
  };
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    draw();
  });
  clear.addEventListener("click", () => {
    [rows, seen, dropped, dirty] = [[], 0, 0, true];
    draw();
  });

  const on = {
    listening: () => (status.textContent = "Listening."),
    interrupted: () => (status.textContent = "NATS is away: nothing is lost, but nothing can be shown here until it is back."),
    resumed: ({ away_ms }) => (status.textContent = `Listening again. NATS was away for ${duration(away_ms)}: what ended meanwhile is in the list of requests.`),
    dropped: ({ events }) => (dropped += events ?? 0),
    request: (row) => {
      seen += 1;
      rows.unshift(row);
      rows.length = Math.min(rows.length, KEPT);
    },
  };

  async function follow(signal) {
    const filters = new URLSearchParams(query(state));
    for (const range of ["from", "to"]) filters.delete(range);
    while (!signal.aborted) {
      try {
        for await (const [name, data] of events(`v1/live?${filters}`, signal)) {
          on[name]?.(data);
          dirty ||= name === "request" || name === "dropped";
        }
        status.textContent = "The service has ended the stream; trying again.";
      } catch (error) {
        if (signal.aborted) return;
        fill(status, problem(error));
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  /** Once per address: a refresh leaves the stream alone. */
  async function update(next, signal) {
    state = next;
    [rows, seen, dropped, dirty] = [[], 0, 0, true];
    const timer = setInterval(draw, REDRAW_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
    follow(signal);
    return [];
  }
  return { title: "Live", element, update, streams: true };
}
