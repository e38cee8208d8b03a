// A share as a bar beside its number.
import { h, unknown } from "./dom.js";
import { percent } from "./format.js";

/** The bar alone: its number stands beside it, so it is not read aloud. */
export function bar(part, tone = "accent") {
  const filled = h("i", { class: tone });
  filled.style.width = `${Math.max(0, Math.min(1, part ?? 0)) * 100}%`;
  return h("span", { class: "bar", "aria-hidden": "true" }, filled);
}

export const withBar = (part, tone) => (part === null ? unknown() : h("span", { class: "barred" }, bar(part, tone), percent(part)));
