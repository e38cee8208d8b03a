-- Fills health_1d as rows are inserted into candidates.
CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.health_1d_of_candidates {on_cluster} TO {database}.health_1d AS
SELECT
    toStartOfDay(toDateTime(r.received_at, 'UTC')) AS bucket,
    cut,
    if(cut IN ('client,provider,endpoint'), r.client, '') AS client,
    if(cut IN ('provider,endpoint', 'client,provider,endpoint'), r.provider, '') AS provider,
    if(cut IN ('provider,endpoint', 'client,provider,endpoint'), r.endpoint, '') AS endpoint,
    r.verdict AS verdict,
    r.error_class AS error_class,
    count() AS candidates,
    sum(r.input_tokens) AS input_tokens,
    sum(r.output_tokens) AS output_tokens,
    count(r.headers_ms) AS headers_candidates,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(r.headers_ms) AS headers_ms,
    count(r.first_content_ms) AS first_content_candidates,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(r.first_content_ms) AS first_content_ms
FROM {database}.candidates AS r
ARRAY JOIN ['', 'provider,endpoint', 'client,provider,endpoint'] AS cut
GROUP BY bucket, cut, client, provider, endpoint, verdict, error_class
