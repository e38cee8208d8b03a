-- Fills latency_1h as rows are inserted into requests.
CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.latency_1h_of_requests {on_cluster} TO {database}.latency_1h AS
WITH
    if(r.attempts > 0, r.ttft_ms, NULL) AS sent_ttft_ms,
    if(r.attempts > 0, r.duration_ms, NULL) AS sent_duration_ms,
    if(r.attempts > 0 AND r.outcome = 'completed' AND r.is_stream AND r.output_tokens > 1 AND r.duration_ms > r.ttft_ms,
        (r.output_tokens - 1) * 1000 / (r.duration_ms - r.ttft_ms), NULL) AS speed
SELECT
    toStartOfHour(toDateTime(r.received_at, 'UTC')) AS bucket,
    cut,
    if(cut IN ('client', 'client,model,provider'), r.client, '') AS client,
    if(cut IN ('model,provider', 'client,model,provider'), r.model, '') AS model,
    if(cut IN ('model,provider', 'client,model,provider'), r.provider, '') AS provider,
    countIf(r.attempts > 0) AS sent_requests,
    count(sent_ttft_ms) AS ttft_requests,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(sent_ttft_ms) AS ttft_ms,
    max(sent_ttft_ms) AS ttft_ms_max,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(sent_duration_ms) AS duration_ms,
    max(sent_duration_ms) AS duration_ms_max,
    count(speed) AS speed_requests,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(speed) AS output_tokens_per_second
FROM {database}.requests AS r
ARRAY JOIN ['', 'client', 'model,provider', 'client,model,provider'] AS cut
GROUP BY bucket, cut, client, model, provider
