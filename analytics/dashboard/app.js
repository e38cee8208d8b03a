// The address decides what is shown: here it is read, written and followed.
import { VIEWS, read, write } from "./address.js";
import { audit } from "./audit.js";
import { fill, h } from "./dom.js";
import { filters } from "./filters.js";
import { live } from "./live.js";
import { overview } from "./overview.js";
import { DOWN, problem } from "./panels.js";
import { request } from "./request.js";
import { requests } from "./requests.js";

const MAKE = { overview, requests, request, live, audit };
const REFRESH_MS = 10_000;
const RETRY_MS = 5000;

const main = document.getElementById("main");
const banner = document.getElementById("banner");
let [state, view, control, timer] = [null, null, null, null];

function go(next) {
  history.pushState(null, "", write(next));
  show(false);
}

/** Shows what the address says. `arrived`: the reader came here by a link and wants to begin at the top. */
function show(arrived) {
  const before = state?.view;
  state = read();
  control?.abort();
  control = new AbortController();
  clearTimeout(timer);
  const links = VIEWS.map(([name, title]) =>
    h("a", { href: write({ ...state, request: null, view: name }), "aria-current": state.view === name ? "page" : undefined }, title));
  fill(document.getElementById("views"), links);
  const bar = document.getElementById("filters");
  // Who changes a filter goes on from there, also with the keyboard.
  const focused = bar.contains(document.activeElement) ? document.activeElement.id || "dimension" : null;
  filters(bar, state, go);
  bar.hidden = state.view === "request";
  if (focused) document.getElementById(focused)?.focus();
  if (before !== state.view || !view) {
    view = MAKE[state.view](go);
    fill(main, h("h1", { class: "aside" }, view.title), view.element);
  }
  document.title = `${view.title} · Weir`;
  if (arrived && before) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  load();
}

async function load() {
  const { signal } = control;
  const errors = await view.update(state, signal);
  if (signal.aborted) return;
  const down = errors.find((error) => DOWN.includes(error.code));
  fill(banner, down ? problem(down) : null);
  clearTimeout(timer);
  const again = down ? RETRY_MS : document.getElementById("refresh").checked && !view.streams ? REFRESH_MS : null;
  if (again) timer = setTimeout(() => (document.hidden ? wait() : load()), again);
}

/** A page that nobody sees asks nothing. */
function wait() {
  document.addEventListener("visibilitychange", load, { once: true });
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='?']");
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  history.pushState(null, "", link.getAttribute("href"));
  show(true);
});
addEventListener("popstate", () => show(true));
document.getElementById("refresh").addEventListener("change", () => load());

const theme = document.getElementById("theme");
theme.value = document.documentElement.dataset.theme ?? "system";
theme.addEventListener("change", () => {
  if (theme.value === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
  try {
    localStorage.setItem("weir-theme", theme.value);
  } catch {
    // Storage is switched off: the choice holds until the page is left.
  }
  document.dispatchEvent(new Event("weir-theme"));
});

show(false);
