WITH
    r.attempts > 0 AND (r.outcome IN ('completed', 'interrupted', 'cancelled')
        OR r.input_tokens IS NOT NULL OR r.output_tokens IS NOT NULL) AS charged,
    if(r.attempts > 0, r.ttft_ms, NULL) AS sent_ttft_ms,
    if(r.attempts > 0, r.duration_ms, NULL) AS sent_duration_ms,
    if(r.attempts > 0 AND r.outcome = 'completed' AND r.is_stream AND r.output_tokens > 1 AND r.duration_ms > r.ttft_ms,
        (r.output_tokens - 1) * 1000 / (r.duration_ms - r.ttft_ms), NULL) AS speed
SELECT
    {{keys}},
    count() AS requests,
    countIf(r.attempts > 0) AS sent_requests,
    countIf(charged) AS charged_requests,
    countIf(charged AND (r.input_tokens IS NULL OR r.output_tokens IS NULL)) AS unknown_usage_requests,
    countIf(r.usage_source = 'estimated') AS estimated_usage_requests,
    toInt64(countIf(r.cost_usd IS NOT NULL)) AS priced_requests,
    toInt64(countIf(r.cost_usd IS NOT NULL AND r.usage_source = 'estimated')) AS estimated_cost_requests,
    toInt64(countIf(charged AND r.cost_usd IS NULL
        AND r.input_tokens IS NOT NULL AND r.output_tokens IS NOT NULL)) AS unpriced_requests,
    sum(r.attempts) AS upstream_attempts,
    sum(r.input_tokens) AS input_tokens,
    sum(r.fresh_input_tokens) AS fresh_input_tokens,
    sum(r.cache_read_tokens) AS cache_read_tokens,
    sum(r.cache_write_5m_tokens) AS cache_write_5m_tokens,
    sum(r.cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(r.output_tokens) AS output_tokens,
    sum(ifNull(r.delivered_output_tokens, r.output_tokens)) AS delivered_output_tokens,
    sum(r.reasoning_tokens) AS reasoning_tokens,
    sum(r.cost_usd) AS cost_usd,
    sum(r.cache_saved_usd) AS cache_saved_usd,
    toInt64(count(r.cache_saved_usd)) AS cache_saved_requests,
    sum(r.request_bytes) AS request_bytes,
    sum(r.response_bytes) AS response_bytes,
    count(sent_ttft_ms) AS ttft_requests,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(sent_ttft_ms) AS ttft_ms,
    max(sent_ttft_ms) AS ttft_ms_max,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(sent_duration_ms) AS duration_ms,
    max(sent_duration_ms) AS duration_ms_max,
    count(speed) AS speed_requests,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(speed) AS output_tokens_per_second,
    maxIf((r.received_at, r.request_id, r.error_message), r.outcome != 'completed') AS last_failure
FROM {{requests}} AS r{{final}}
{{where}}GROUP BY {{group_by}}
