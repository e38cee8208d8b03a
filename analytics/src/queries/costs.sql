-- What requests cost, exactly, by the latest repricing. Requests whose cost is not known are not in the sum and counted
-- beside it, by reason.
SELECT
    bucket,
    {{groups}} AS groups,
    sum(s.requests) AS requests,
    sum(s.priced_requests) AS priced_requests,
    sum(s.unpriced_requests) AS unpriced_requests,
    sum(s.unknown_usage_requests) AS unknown_usage_requests,
    sum(s.estimated_cost_requests) AS estimated_usage_requests,
    if(sum(s.priced_requests) = 0, NULL, sum(s.cost_usd)) AS cost_usd,
    multiIf(
        sumIf(s.charged_requests, s.outcome != 'completed') = 0, toDecimal128(0, 12),
        sumIf(s.priced_requests, s.outcome != 'completed') = 0, NULL,
        sumIf(s.cost_usd, s.outcome != 'completed')
    ) AS wasted_cost_usd,
    if(sum(s.priced_requests) = 0 OR sum(s.cache_saved_requests) = 0, NULL, sum(s.cache_saved_usd)) AS cache_saved_usd
FROM (
{{source}}
) AS s
GROUP BY {{group_by}}
HAVING sum(s.requests) > 0
ORDER BY bucket, groups
LIMIT {row_limit:UInt64}
