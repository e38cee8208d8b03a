-- Fills candidates_1d as rows are inserted into candidates.
CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.candidates_1d_of_candidates {on_cluster} TO {database}.candidates_1d AS
SELECT
    toStartOfDay(toDateTime(r.received_at, 'UTC')) AS bucket,
    r.client AS client,
    r.provider AS provider,
    r.endpoint AS endpoint,
    r.key AS key,
    r.model_upstream AS model_upstream,
    r.verdict AS verdict,
    r.reason AS reason,
    r.error_class AS error_class,
    count() AS candidates,
    sum(r.input_tokens) AS input_tokens,
    sum(r.output_tokens) AS output_tokens,
    sum(r.response_bytes) AS response_bytes,
    count(r.headers_ms) AS headers_candidates,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(r.headers_ms) AS headers_ms,
    count(r.first_content_ms) AS first_content_candidates,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(r.first_content_ms) AS first_content_ms
FROM {database}.candidates AS r
GROUP BY bucket, client, provider, endpoint, key, model_upstream, verdict, reason, error_class
