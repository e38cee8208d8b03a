SELECT
    {{keys}},
    sum(toInt64(r.priced_delta)) AS priced_requests,
    sumIf(toInt64(r.priced_delta), r.usage_source = 'estimated') AS estimated_cost_requests,
    -sum(toInt64(r.priced_delta)) AS unpriced_requests,
    CAST(sum(r.cost_delta_usd), 'Nullable(Decimal(38, 12))') AS cost_usd,
    CAST(sum(r.cache_saved_delta_usd), 'Nullable(Decimal(38, 12))') AS cache_saved_usd,
    sum(toInt64(r.cache_saved_requests_delta)) AS cache_saved_requests
FROM {{adjustments}} AS r{{final}}
{{where}}GROUP BY {{group_by}}
