// Numbers for people. Money is never made a float: amounts are whole pico-dollars, as BigInt.

const SCALE = 12;
const ONE = 10n ** BigInt(SCALE);

/** Pico-dollars of a decimal string as the API writes it; null stays null. */
export function pico(text) {
  if (text === null || text === undefined) return null;
  const match = /^(-?)(\d+)(?:\.(\d{1,12}))?$/.exec(text);
  if (!match) throw new Error(`${text} is not an amount`);
  const [, sign, whole, part = ""] = match;
  const amount = BigInt(whole) * ONE + BigInt(part.padEnd(SCALE, "0"));
  return sign ? -amount : amount;
}

/** The sum of those that are known; null if none is. */
export function sum(amounts) {
  let total = null;
  for (const amount of amounts) if (amount !== null && amount !== undefined) total = (total ?? 0n) + amount;
  return total;
}

/** Digits behind the point that suit the largest of some amounts. */
export function digitsFor(amounts) {
  let largest = 0n;
  for (const amount of amounts) {
    if (amount === null || amount === undefined) continue;
    const size = amount < 0n ? -amount : amount;
    if (size > largest) largest = size;
  }
  if (largest >= 1000n * ONE || largest === 0n) return 2;
  if (largest >= ONE) return 4;
  return largest >= ONE / 1000n ? 6 : 9;
}

/** "$1,234.5678", rounded half up to that many digits. */
export function money(amount, digits = digitsFor([amount])) {
  if (amount === null || amount === undefined) return "unknown";
  const size = amount < 0n ? -amount : amount;
  const step = 10n ** BigInt(SCALE - digits);
  const rounded = (size + step / 2n) / step;
  const text = rounded.toString().padStart(digits + 1, "0");
  const whole = text.slice(0, text.length - digits).replace(/\B(?=(\d{3})+$)/g, ",");
  const part = digits ? `.${text.slice(text.length - digits)}` : "";
  const below = rounded === 0n && size > 0n;
  if (below) return `<$0${part.slice(0, -1)}1`;
  return `${amount < 0n && rounded > 0n ? "−" : ""}$${whole}${part}`;
}

/** All twelve digits. */
export const exact = (amount) => (amount === null || amount === undefined ? "unknown" : money(amount, SCALE));

/** For the height of a bar only, never to be shown. */
export const approximate = (amount) => (amount === null || amount === undefined ? null : Number(amount) / 1e12);

const grouped = new Intl.NumberFormat("en-US");
const compacted = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 3 });

export const count = (number) => (number === null || number === undefined ? "unknown" : grouped.format(number));
export const compact = (number) =>
  number === null || number === undefined ? "unknown" : number < 10000 ? grouped.format(number) : compacted.format(number);

/** A share of a whole; null where there is no whole. */
export function share(part, whole) {
  return part === null || part === undefined || !whole ? null : part / whole;
}

export function percent(value) {
  if (value === null || value === undefined) return "unknown";
  const hundredths = value * 100;
  if (value > 0 && value < 1 && (hundredths < 0.1 || hundredths > 99.9)) return hundredths < 1 ? "<0.1 %" : ">99.9 %";
  return `${hundredths.toFixed(hundredths === 0 || hundredths === 100 ? 0 : 1)} %`;
}

/** Milliseconds, in the unit that reads best. */
export function duration(ms) {
  if (ms === null || ms === undefined) return "unknown";
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
}

export function bytes(number) {
  if (number === null || number === undefined) return "unknown";
  const units = ["B", "KiB", "MiB", "GiB"];
  let [size, unit] = [number, 0];
  while (size >= 1024 && unit < units.length - 1) [size, unit] = [size / 1024, unit + 1];
  return `${unit === 0 ? size : size.toFixed(1)} ${units[unit]}`;
}

const two = (number) => String(number).padStart(2, "0");
const day = (date) => `${date.getUTCFullYear()}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}`;

/** UTC, like everything else in Weir: logs, SQL and this page tell the same time. */
export function time(text, interval) {
  const date = new Date(text);
  if (interval === "month") return day(date).slice(0, 7);
  if (interval === "day") return day(date);
  const clock = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`;
  return interval ? `${day(date)} ${clock}` : `${day(date)} ${clock}:${two(date.getUTCSeconds())}`;
}
