-- The view of 0051, which counts what usage_1m.cache_saved_requests holds too.
ALTER TABLE {database}.usage_1m_of_adjustments {on_cluster} MODIFY QUERY
SELECT
    toStartOfMinute(toDateTime(r.received_at, 'UTC')) AS bucket,
    r.client AS client,
    r.model AS model,
    r.provider AS provider,
    r.endpoint AS endpoint,
    r.key AS key,
    r.format AS format,
    r.operation AS operation,
    r.outcome AS outcome,
    r.error_class AS error_class,
    ifNull(r.upstream_status, 0) AS upstream_status,
    sum(toInt64(r.priced_delta)) AS priced_requests,
    sumIf(toInt64(r.priced_delta), r.usage_source = 'estimated') AS estimated_cost_requests,
    -sum(toInt64(r.priced_delta)) AS unpriced_requests,
    CAST(sum(r.cost_delta_usd), 'Nullable(Decimal(38, 12))') AS cost_usd,
    CAST(sum(r.cache_saved_delta_usd), 'Nullable(Decimal(38, 12))') AS cache_saved_usd,
    sum(toInt64(r.cache_saved_requests_delta)) AS cache_saved_requests
FROM {database}.adjustments AS r
GROUP BY bucket, client, model, provider, endpoint, key, format, operation, outcome, error_class, upstream_status
