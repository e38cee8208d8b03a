// Whether what the gateways have emitted is what ClickHouse holds.
import { seconds } from "./address.js";
import { get } from "./api.js";
import { h } from "./dom.js";
import { count, exact, pico, time } from "./format.js";
import { panel } from "./panels.js";
import { facts, table } from "./table.js";

const DAYS_MAX = 28;
const words = (name) => (name[0].toUpperCase() + name.slice(1)).replaceAll("_", " ").replace(" usd", ", US dollars");
const WORDS = {
  clean: "Everything adds up.",
  pending: "Something is on its way, and nothing speaks against its arrival.",
  unknown: "Not everything could be asked.",
  unclean: "Something does not add up.",
};

export function audit() {
  const verdict = panel("Do the books agree?", { wide: true, id: "verdict", note: "What gateways have numbered and told against what is stored, event by event, and sums read in several ways. Filters do not apply." });
  const ledgers = panel("Ledgers of the gateways", { wide: true, id: "ledgers" });
  const minutes = panel("Minutes that do not add up", { wide: true, id: "minutes" });
  const rollups = panel("Rollups that differ from their rows", { wide: true, id: "rollups" });
  const sums = panel("The same sums, read in different ways", { wide: true, id: "sums" });
  const element = h("div", { class: "grid" }, [verdict, ledgers, minutes, rollups, sums].map((one) => one.element));

  async function update(state, signal) {
    const range = seconds(state) > DAYS_MAX * 86_400 ? { from: `-${DAYS_MAX}d` } : { from: state.from, ...(state.to ? { to: state.to } : {}) };
    const report = get(`v1/audit?${new URLSearchParams(range)}`, signal);
    report.catch(() => {});
    const loads = [
      verdict.load(signal, async () => judged(await report)),
      ledgers.load(signal, async () => books(await report)),
      minutes.load(signal, async () => uneven(await report)),
      rollups.load(signal, async () => differing(await report)),
      sums.load(signal, async () => readings(await report)),
    ];
    return (await Promise.all(loads)).filter(Boolean);
  }
  return { title: "Audit", element, update };
}

function judged({ state, reasons, checks, from, to }) {
  const names = Object.entries(checks).map(([name, value]) => [words(name), typeof value === "number" ? count(value) : String(value)]);
  return [
    h("p", { class: `verdict ${state}` }, h("strong", {}, state), ` ${WORDS[state] ?? ""}`),
    reasons.length ? h("ul", {}, reasons.map((reason) => h("li", {}, reason))) : null,
    facts([["Requests from (UTC)", time(from)], ["to", time(to)], ...names]),
  ].filter(Boolean);
}

const number = (name) => ({ name: words(name), number: true, cell: (row) => (row[name] === null || row[name] === undefined ? "unknown" : count(row[name])) });

function books({ ledgers }) {
  const columns = [
    { name: "Gateway", cell: (row) => row.gateway ?? "–" },
    { name: "Ledger", cell: (row) => h("code", {}, row.epoch) },
    { name: "State", cell: (row) => h("span", { class: `outcome ${row.state}` }, row.state) },
    ...["partition", "emitted", "stored", "pending", "missing"].filter((name) => ledgers.some((row) => name in row)).map(number),
    { name: "What to do", wide: true, cell: (row) => row.reason || "nothing" },
  ];
  return table({ caption: "Ledgers", columns, rows: ledgers, empty: "No ledger has emitted or stored anything in this time." });
}

function uneven({ minutes }) {
  const columns = [
    { name: "Minute (UTC)", cell: (row) => (row.until === row.minute ? time(row.minute) : `${time(row.minute)} to ${time(row.until)}`) },
    { name: "Gateway", cell: (row) => row.gateway },
    { name: "Ledger", cell: (row) => h("code", {}, row.epoch) },
    { name: "State", cell: (row) => h("span", { class: `outcome ${row.state}` }, row.state) },
    ...["partition", "emitted", "stored", "pending", "missing", "duplicate", "dead_letters"].map(number),
  ];
  return table({ caption: "Minutes", columns, rows: minutes, empty: "In every minute of this time all that was emitted is stored, once." });
}

function differing({ rollups }) {
  const pair = (name, cell) => ({ name: words(name), number: true, cell: (row) => `${cell(row[`found_${name}`])} of ${cell(row[`expected_${name}`])}` });
  const columns = [
    { name: "Rollup", cell: (row) => h("code", {}, row.rollup) },
    { name: "From (UTC)", cell: (row) => time(row.bucket) },
    ...["count", "input_tokens", "output_tokens"].map((name) => pair(name, count)),
    pair("cost_usd", (cost) => exact(pico(cost))),
  ];
  return table({ caption: "Rollups", columns, rows: rollups, empty: "Every rollup of this time holds what its rows add up to." });
}

function readings({ sums }) {
  if (sums.length === 0) return h("p", { class: "empty" }, "Nothing to sum in this time.");
  const names = Object.keys(sums[0]);
  const columns = names.map((name, place) => ({
    name: words(name),
    number: place > 0,
    cell: (row) => (row[name] === null ? "unknown" : name.endsWith("_usd") ? exact(pico(row[name])) : typeof row[name] === "number" ? count(row[name]) : String(row[name])),
  }));
  return table({ caption: "Sums of requests", columns, rows: sums });
}
