-- What requests cost as it was known at a time: what was recorded until then, and the changes of cost written until then.
SELECT
    {{bucket}} AS bucket,
    {{groups}} AS groups,
    toUInt64(sum(counted)) AS requests,
    toUInt64(greatest(sum(priced), 0)) AS priced_requests,
    toUInt64(greatest(sum(unpriced), 0)) AS unpriced_requests,
    toUInt64(greatest(sum(unknown_usage), 0)) AS unknown_usage_requests,
    toUInt64(greatest(sum(estimated), 0)) AS estimated_usage_requests,
    if(sum(priced) > 0, sum(cost), NULL) AS cost_usd,
    if(sumIf(charged, outcome != 'completed') = 0, toDecimal128(0, 12),
        if(sumIf(priced, outcome != 'completed') > 0, sumIf(cost, outcome != 'completed'), NULL)) AS wasted_cost_usd
FROM
(
    SELECT
        received_at, client, `user`, tags, `format`, operation, provider, endpoint, `key`, model, outcome,
        toInt64(1) AS counted,
        toInt64(attempts > 0 AND (outcome IN ('completed', 'interrupted', 'cancelled')
            OR input_tokens IS NOT NULL OR output_tokens IS NOT NULL)) AS charged,
        toInt64(cost_usd IS NOT NULL) AS priced,
        toInt64(charged AND cost_usd IS NULL AND input_tokens IS NOT NULL AND output_tokens IS NOT NULL) AS unpriced,
        toInt64(charged AND (input_tokens IS NULL OR output_tokens IS NULL)) AS unknown_usage,
        toInt64(cost_usd IS NOT NULL AND usage_source = 'estimated') AS estimated,
        ifNull(cost_usd, toDecimal128(0, 12)) AS cost
    FROM requests FINAL
    WHERE {{scope}}
        AND recorded_at <= fromUnixTimestamp64Micro({as_of_micros:Int64}, 'UTC')
    UNION ALL
    SELECT
        received_at, client, `user`, tags, `format`, operation, provider, endpoint, `key`, model, outcome,
        toInt64(0) AS counted,
        toInt64(0) AS charged,
        toInt64(priced_delta) AS priced,
        -toInt64(priced_delta) AS unpriced,
        toInt64(0) AS unknown_usage,
        toInt64(if(usage_source = 'estimated', priced_delta, 0)) AS estimated,
        cost_delta_usd AS cost
    FROM adjustments FINAL
    WHERE {{scope}}
        AND adjusted_at <= fromUnixTimestamp64Micro({as_of_micros:Int64}, 'UTC')
)
GROUP BY {{group_by}}
HAVING requests > 0
ORDER BY bucket, groups
LIMIT {row_limit:UInt64}
