// Charts over time: uPlot draws, this file gives it data, colours and a table for those who do not see it.
import { fill, h } from "./dom.js";
import { time } from "./format.js";
import { table } from "./table.js";

const STEPS = { minute: 60, hour: 3600, day: 86_400 };
const charts = new Set();

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Starts of all buckets of an answer, in seconds since 1970: also of those in which nothing happened. */
export function buckets({ from, to, interval }) {
  const [begin, end] = [new Date(from), new Date(to)];
  if (interval === "month") {
    const starts = [];
    for (let at = Date.UTC(begin.getUTCFullYear(), begin.getUTCMonth()); at < end; ) {
      starts.push(at / 1000);
      const month = new Date(at);
      at = Date.UTC(month.getUTCFullYear(), month.getUTCMonth() + 1);
    }
    return starts;
  }
  const step = STEPS[interval];
  const first = Math.floor(begin / 1000 / step) * step;
  return Array.from({ length: Math.max(1, Math.ceil((end / 1000 - first) / step)) }, (_, place) => first + place * step);
}

/** Rows of an answer by the start of their bucket. */
export function byBucket(rows) {
  return new Map(rows.map((row) => [Date.parse(row.bucket) / 1000, row]));
}

/** Times of an axis: the clock, and the day where it begins; the day alone where steps are that long. */
function ticks(splits, step) {
  let day = null;
  return splits.map((seconds) => {
    const text = time(seconds * 1000, "minute");
    const [date, clock] = [text.slice(5, 10), text.slice(11)];
    if (step >= STEPS.day) return step >= 28 * STEPS.day ? text.slice(0, 7) : date;
    const isNew = date !== day;
    day = date;
    return isNew ? `${clock}\n${date}` : clock;
  });
}

/** Where a line is a single point, which would not be seen. */
function alone(drawing, series) {
  const values = drawing.data[series];
  const is = (at) => values[at] !== null && values[at] !== undefined;
  return values.flatMap((_, at) => (is(at) && !is(at - 1) && !is(at + 1) ? [at] : []));
}

/** Sizes add up: each series stands on those before it. The last is drawn first and the others over it. */
function stacked(series) {
  const sums = [];
  let below = series[0].heights.map(() => 0);
  for (const { heights } of series) {
    below = below.map((sum, at) => sum + (heights[at] ?? 0));
    sums.unshift(below);
  }
  return sums;
}

function plotOf(options, tip) {
  const { starts, interval, series, kind, axis } = options;
  const last = starts.at(-1) + (STEPS[interval] ?? 28 * 86_400);
  const drawn = kind === "stack" ? series.toReversed() : series;
  const line = (one) => ({ stroke: () => css(one.color), width: 1.5, points: { show: true, size: 5, fill: () => css(one.color), filter: alone }, spanGaps: false });
  const bar = (one) => ({
    fill: () => css(one.color),
    stroke: () => css(one.color),
    width: 0,
    points: { show: false },
    paths: uPlot.paths.bars({ size: [0.86, 48], align: 1 }),
  });
  const grid = { stroke: () => css("--grid"), width: 1 };
  const quiet = { stroke: () => css("--muted"), grid, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  return {
    height: options.height ?? 200,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    legend: { show: false },
    cursor: { y: false, points: { show: kind !== "stack" }, drag: { x: false, y: false } },
    scales: { x: { range: () => [starts[0], last] }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
    axes: [
      { ...quiet, grid: { show: false }, size: 38, space: 60, values: (_, splits, __, ___, step) => ticks(splits, step) },
      { ...quiet, size: 64, values: (_, values) => values.map((value) => axis(value)) },
    ],
    series: [{}, ...drawn.map(kind === "stack" ? bar : line)],
    hooks: { setCursor: [tip] },
  };
}

/**
 * A chart with its legend and table. `series`: name, color (a custom property), heights (numbers to draw), texts (what
 * is said of each bucket). `total`, where given, says what a whole bucket comes to.
 */
export function chart(options) {
  const { label, starts, interval, series, kind, total } = options;
  const tip = h("div", { class: "tip", hidden: true });
  const told = h("div", { class: "aside", "aria-live": "polite" });
  const plot = h("div", { class: "plot", role: "img", tabindex: "0", "aria-label": `${label}. Left and right arrows read the values; the table below has all of them.` });
  const when = (at) => time(starts[at] * 1000, interval);
  const lines = (at) => [...series.map((one) => [one, one.texts[at]]), ...(total ? [[{ name: "Total" }, total[at]]] : [])];
  const show = (drawing) => {
    const at = drawing.cursor.idx;
    tip.hidden = at === null || at === undefined;
    if (tip.hidden) return;
    const entries = lines(at).map(([one, text]) => h("li", {}, swatch(one), h("span", {}, one.name), h("b", {}, text)));
    fill(tip, h("p", {}, when(at)), h("ul", {}, entries));
    const [width, left] = [plot.clientWidth, drawing.cursor.left + 64];
    tip.style.left = `${left > width / 2 ? Math.max(0, left - tip.offsetWidth - 12) : left + 12}px`;
  };
  let drawing = null;
  const draw = (width) => {
    const heights = kind === "stack" ? stacked(series) : series.map((one) => one.heights);
    drawing = new uPlot({ ...plotOf(options, show), width }, [starts, ...heights], plot);
    charts.add({ plot, drawing });
  };
  new ResizeObserver(([{ contentRect }]) => {
    const width = Math.floor(contentRect.width);
    if (width === 0) return;
    if (!drawing) draw(width);
    else if (drawing.width !== width) drawing.setSize({ width, height: drawing.height });
  }).observe(plot);
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !drawing) return;
    event.preventDefault();
    const at = Math.min(starts.length - 1, Math.max(0, (drawing.cursor.idx ?? (step > 0 ? -1 : starts.length)) + step));
    drawing.setCursor({ left: drawing.valToPos(starts[at], "x") + 1, top: 10 });
    told.textContent = `${when(at)}: ${lines(at).map(([one, text]) => `${one.name} ${text}`).join(", ")}`;
  });
  plot.addEventListener("blur", () => drawing?.setCursor({ left: -10, top: -10 }));
  sweep();
  return h("figure", { class: "chart" }, h("div", { class: "canvas" }, plot, tip), legend(series), told, asTable(options, when));
}

const swatch = (one) => (one.color ? h("i", { class: `swatch ${one.color.slice(2)}` }) : h("i", {}));

function legend(series) {
  return h("ul", { class: "legend" }, series.map((one) => h("li", {}, swatch(one), one.name, one.sum ? h("b", {}, one.sum) : null)));
}

function asTable({ label, starts, series, total }, when) {
  const details = h("details", {}, h("summary", {}, "Show as a table"));
  details.addEventListener("toggle", () => {
    if (!details.open || details.childElementCount > 1) return;
    const columns = [
      { name: "Time (UTC)", cell: (at) => when(at) },
      ...series.map((one) => ({ name: one.name, number: true, cell: (at) => one.texts[at] })),
      ...(total ? [{ name: "Total", number: true, cell: (at) => total[at] }] : []),
    ];
    const some = starts.map((_, at) => at).filter((at) => series.some((one) => one.heights[at] || one.heights[at] === null));
    details.append(table({ caption: label, columns, rows: some.reverse(), empty: "Nothing in this time." }));
  });
  return details;
}

/** Lets go of charts that are no longer on the page. */
function sweep() {
  for (const one of charts) {
    if (one.plot.isConnected) continue;
    one.drawing.destroy();
    charts.delete(one);
  }
}

document.addEventListener("weir-theme", () => charts.forEach(({ drawing }) => drawing.redraw(false, true)));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("weir-theme")));
