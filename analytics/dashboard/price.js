// What the cost of a request is made of: tokens times price, kind by kind, exactly.
import { h } from "./dom.js";
import { count, exact, money, pico, sum, time } from "./format.js";
import { table } from "./table.js";

const NANO = 1_000_000_000n;
const KINDS = [
  ["fresh_input_tokens", "input_usd_per_token", "Fresh input"],
  ["cache_read_tokens", "cache_read_usd_per_token", "Read from cache"],
  ["cache_write_5m_tokens", "cache_write_5m_usd_per_token", "Written to cache, 5 min"],
  ["cache_write_1h_tokens", "cache_write_1h_usd_per_token", "Written to cache, 1 h"],
  ["output_tokens", "output_usd_per_token", "Output"],
];

/** The tier that the whole request is priced at: the last whose bound its input exceeds. */
export function tierOf(tiers, input) {
  const ordered = tiers.toSorted((a, b) => a.over_input_tokens - b.over_input_tokens);
  return ordered.findLast((tier) => tier.over_input_tokens === 0 || (input !== null && input > tier.over_input_tokens)) ?? null;
}

/** Lines of the bill; the amount is null where a count or a price is not known. */
export function lines(request, tier) {
  const amounts = KINDS.filter(([tokens]) => request[tokens] !== null || tokens === "output_tokens" || tokens === "fresh_input_tokens").map(([tokens, price, name]) => {
    const [used, each] = [request[tokens], pico(tier[price])];
    return { name, used, each, amount: used === null ? null : used === 0 ? 0n : each === null ? null : BigInt(used) * each };
  });
  const fee = pico(tier.per_request_usd);
  return fee ? [...amounts, { name: "Per request", used: null, each: fee, amount: fee }] : amounts;
}

/** Nano-units of a multiplier like "0.85". */
function nano(text) {
  const [whole, part = ""] = text.split(".");
  return BigInt(whole) * NANO + BigInt(part.padEnd(9, "0").slice(0, 9));
}

const perMillion = (each) => (each === null ? "no such price" : money(each * 1_000_000n, 4));

/** The bill of a request. */
export function bill(request, tiers) {
  const cost = pico(request.cost_usd);
  if (tiers.length === 0) {
    const why = request.attempts === 0 ? "It was not sent to a provider, so it cost nothing that anybody charges." : "The price book has no entry for this model at this provider. Add one ([prices] file) and price the time again: weir reprice.";
    return h("p", { class: "empty" }, cost === null ? `The cost is unknown. ${why}` : exact(cost));
  }
  const tier = tierOf(tiers, request.input_tokens);
  const rows = lines(request, tier);
  const [listed, factor] = [sum(rows.map((row) => row.amount)), nano(request.cost_multiplier)];
  const complete = rows.every((row) => row.amount !== null);
  const columns = [
    { name: "", cell: (row) => row.name },
    { name: "Tokens", number: true, cell: (row) => (row.used === null ? "–" : count(row.used)) },
    { name: "Per million", number: true, cell: (row) => (row.name === "Per request" ? "–" : perMillion(row.each)) },
    { name: "Amount", number: true, cell: (row) => exact(row.amount) },
  ];
  const footer = [h("th", { scope: "row", colspan: 3 }, factor === NANO ? "Cost" : `Cost, times ${request.cost_multiplier}`), h("td", { class: "number" }, exact(cost))];
  const source = h("p", { class: "note" }, `Price ${tier.price_id}, as of ${tier.valid_from.slice(0, 10)}, from ${tier.source}`);
  const agrees = !complete || cost === null || (listed * factor + NANO / 2n) / NANO === cost || (listed * factor) / NANO === cost;
  return [
    table({ caption: "What the cost is made of", columns, rows, footer }),
    request.usage_source === "estimated" ? h("p", { class: "note" }, "≈ The provider reported no usage: the gateway has counted what it saw.") : null,
    cost === null ? h("p", { class: "note" }, "The cost is unknown because a count that it needs is unknown.") : null,
    agrees ? null : h("p", { class: "note" }, "The lines do not come to the cost: the price book was changed after this was recorded."),
    source,
  ].filter(Boolean);
}

/** What later repricings have made of the cost. The last one counts in all sums; the bill above is as recorded. */
export function repriced(adjustments) {
  if (adjustments.length === 0) return [];
  const columns = [
    { name: "Priced again (UTC)", cell: (one) => time(one.adjusted_at) },
    { name: "Before", number: true, cell: (one) => exact(pico(one.cost_before_usd)) },
    { name: "Since then", number: true, cell: (one) => exact(pico(one.cost_usd)) },
    { name: "Price", wide: true, cell: (one) => one.price_id ?? "none" },
  ];
  return [table({ caption: "Repricings: the last one counts in all sums", columns, rows: adjustments, shown: true })];
}
