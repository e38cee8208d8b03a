-- Requests by outcome and tokens by kind. A sum of counts that nobody knows is NULL, and the requests that a provider
-- has answered without telling its counts are counted beside the sums.
SELECT
    bucket,
    {{groups}} AS groups,
    sum(s.requests) AS requests,
    sumIf(s.requests, s.outcome = 'completed') AS completed,
    sumIf(s.requests, s.outcome = 'rejected') AS rejected,
    sumIf(s.requests, s.outcome = 'failed') AS failed,
    sumIf(s.requests, s.outcome = 'interrupted') AS interrupted,
    sumIf(s.requests, s.outcome = 'cancelled') AS cancelled,
    sum(s.upstream_attempts) AS upstream_attempts,
    sum(s.input_tokens) AS input_tokens,
    sum(s.fresh_input_tokens) AS fresh_input_tokens,
    sum(s.cache_read_tokens) AS cache_read_tokens,
    sum(s.cache_write_5m_tokens) AS cache_write_5m_tokens,
    sum(s.cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(s.cache_read_tokens) / nullIf(sum(s.input_tokens), 0) AS cache_read_share,
    sum(s.output_tokens) AS output_tokens,
    sum(s.delivered_output_tokens) AS delivered_output_tokens,
    sum(s.reasoning_tokens) AS reasoning_tokens,
    sum(s.estimated_usage_requests) AS estimated_usage_requests,
    sum(s.unknown_usage_requests) AS unknown_usage_requests
FROM (
{{source}}
) AS s
GROUP BY {{group_by}}
HAVING sum(s.requests) > 0
ORDER BY bucket, groups
LIMIT {row_limit:UInt64}
