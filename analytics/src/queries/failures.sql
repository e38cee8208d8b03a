-- Requests that did not complete, by cause: how many, what they cost all the same, and one to look at.
SELECT
    bucket,
    {{groups}} AS groups,
    toString(s.outcome) AS outcome,
    toString(s.error_class) AS error_class,
    nullIf(s.upstream_status, 0) AS upstream_status,
    sum(s.requests) AS requests,
    sum(s.output_tokens) AS output_tokens,
    if(sum(s.priced_requests) = 0, NULL, sum(s.cost_usd)) AS cost_usd,
    max(s.last_failure).1 AS last_received_at,
    max(s.last_failure).2 AS last_request_id,
    max(s.last_failure).3 AS last_error_message
FROM (
{{source}}
) AS s
GROUP BY {{group_by}}, s.outcome, s.error_class, s.upstream_status
HAVING sum(s.requests) > 0
ORDER BY bucket, groups, sum(s.requests) DESC, outcome, error_class, upstream_status
LIMIT {row_limit:UInt64}
