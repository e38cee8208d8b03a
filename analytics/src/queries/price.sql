-- One entry of the price book with its tiers.
SELECT {{columns}}
FROM prices FINAL
WHERE price_id = {price_id:String}
ORDER BY over_input_tokens
LIMIT {row_limit:UInt64}
