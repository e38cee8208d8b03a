-- What requests cost, exactly. Requests whose cost is not known are not in the sum and counted beside it, by reason.
WITH
    attempts > 0 AND (outcome IN ('completed', 'interrupted', 'cancelled')
        OR input_tokens IS NOT NULL OR output_tokens IS NOT NULL) AS charged
SELECT
    {{bucket}} AS bucket,
    {{groups}} AS groups,
    count() AS requests,
    countIf(cost_usd IS NOT NULL) AS priced_requests,
    countIf(charged AND cost_usd IS NULL AND input_tokens IS NOT NULL AND output_tokens IS NOT NULL) AS unpriced_requests,
    countIf(charged AND (input_tokens IS NULL OR output_tokens IS NULL)) AS unknown_usage_requests,
    countIf(cost_usd IS NOT NULL AND usage_source = 'estimated') AS estimated_usage_requests,
    sum(cost_usd) AS cost_usd,
    if(countIf(charged AND outcome != 'completed') = 0, toDecimal128(0, 12), sumIf(cost_usd, outcome != 'completed')) AS wasted_cost_usd
FROM requests FINAL
WHERE {{scope}}
GROUP BY {{group_by}}
HAVING requests > 0
ORDER BY bucket, groups
LIMIT {row_limit:UInt64}
