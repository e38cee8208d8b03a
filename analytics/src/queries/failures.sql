-- Requests that did not complete, by cause: how many, what they cost all the same, and one to look at.
SELECT
    {{bucket}} AS bucket,
    {{groups}} AS groups,
    toString(outcome) AS outcome,
    toString(error_class) AS error_class,
    upstream_status,
    count() AS requests,
    sum(output_tokens) AS output_tokens,
    sum(cost_usd) AS cost_usd,
    max(received_at) AS last_received_at,
    argMax(request_id, received_at) AS last_request_id,
    argMax(error_message, received_at) AS last_error_message
FROM requests FINAL
WHERE {{scope}}
  AND outcome != 'completed'
GROUP BY {{group_by}}, outcome, error_class, upstream_status
HAVING requests > 0
ORDER BY bucket, groups, requests DESC, outcome, error_class, upstream_status
LIMIT {row_limit:UInt64}
