-- What was paid for tries that lost: per request, the cost of all its tries less what the request itself is charged.
CREATE VIEW IF NOT EXISTS {database}.wasted_costs {on_cluster} AS
SELECT
    received_at,
    client,
    request_id,
    sum(paid) AS paid_usd,
    sum(charged) AS charged_usd,
    paid_usd - charged_usd AS wasted_cost_usd
FROM
(
    SELECT received_at, client, request_id, assumeNotNull(cost_usd) AS paid, toDecimal128(0, 12) AS charged
    FROM {database}.candidates FINAL
    WHERE cost_usd IS NOT NULL
    UNION ALL
    SELECT received_at, client, request_id, toDecimal128(0, 12) AS paid, assumeNotNull(cost_usd) AS charged
    FROM {database}.requests FINAL
    WHERE cost_usd IS NOT NULL AND attempts > 0
)
GROUP BY received_at, client, request_id
HAVING wasted_cost_usd != 0
