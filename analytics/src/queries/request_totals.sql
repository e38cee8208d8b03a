-- What some days add to the totals of requests. Names outside the configuration share one label.
WITH
    attempts > 0 AND (outcome IN ('completed', 'interrupted', 'cancelled')
        OR input_tokens IS NOT NULL OR output_tokens IS NOT NULL) AS charged,
    multiIf(client = '', 'none', has({clients:Array(String)}, client), toString(client), 'unlisted') AS client_label,
    multiIf(provider = '', 'none', has({providers:Array(String)}, provider), toString(provider), 'unlisted') AS provider_label,
    multiIf(model = '', 'none', has({models:Array(String)}, model), toString(model), 'unlisted') AS model_label
SELECT
    _partition_id AS partition_id,
    toString(outcome) AS outcome,
    client_label,
    provider_label,
    model_label,
    count() AS requests,
    countIf(charged AND cost_usd IS NULL AND input_tokens IS NOT NULL AND output_tokens IS NOT NULL) AS unpriced_requests,
    countIf(charged AND (input_tokens IS NULL OR output_tokens IS NULL)) AS unknown_usage_requests,
    ifNull(sum(fresh_input_tokens), 0) AS fresh_input_tokens,
    ifNull(sum(cache_read_tokens), 0) AS cache_read_tokens,
    ifNull(sum(cache_write_5m_tokens), 0) AS cache_write_5m_tokens,
    ifNull(sum(cache_write_1h_tokens), 0) AS cache_write_1h_tokens,
    ifNull(sum(output_tokens), 0) AS output_tokens,
    ifNull(sum(reasoning_tokens), 0) AS reasoning_tokens,
    countIf(cost_usd IS NOT NULL) AS priced_requests,
    ifNull(sum(cost_usd), toDecimal128(0, 12)) AS cost_usd,
    max(recorded_at) AS last_recorded_at
FROM requests FINAL
WHERE _partition_id IN {partitions:Array(String)}
GROUP BY partition_id, outcome, client_label, provider_label, model_label
LIMIT {row_limit:UInt64}
