-- Requests by outcome and tokens by kind. A sum of counts that nobody knows is NULL, and the requests that a provider
-- has answered without telling its counts are counted beside the sums.
WITH
    attempts > 0 AND (outcome IN ('completed', 'interrupted', 'cancelled')
        OR input_tokens IS NOT NULL OR output_tokens IS NOT NULL) AS charged
SELECT
    {{bucket}} AS bucket,
    {{groups}} AS groups,
    count() AS requests,
    countIf(outcome = 'completed') AS completed,
    countIf(outcome = 'rejected') AS rejected,
    countIf(outcome = 'failed') AS failed,
    countIf(outcome = 'interrupted') AS interrupted,
    countIf(outcome = 'cancelled') AS cancelled,
    sum(attempts) AS upstream_attempts,
    sum(input_tokens) AS input_tokens,
    sum(fresh_input_tokens) AS fresh_input_tokens,
    sum(cache_read_tokens) AS cache_read_tokens,
    sum(cache_write_5m_tokens) AS cache_write_5m_tokens,
    sum(cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(output_tokens) AS output_tokens,
    sum(ifNull(delivered_output_tokens, output_tokens)) AS delivered_output_tokens,
    sum(reasoning_tokens) AS reasoning_tokens,
    countIf(usage_source = 'estimated') AS estimated_usage_requests,
    countIf(charged AND (input_tokens IS NULL OR output_tokens IS NULL)) AS unknown_usage_requests
FROM requests FINAL
WHERE {{scope}}
GROUP BY {{group_by}}
HAVING requests > 0
ORDER BY bucket, groups
LIMIT {row_limit:UInt64}
