-- The same sums read in several ways. The first is right whatever has happened, the others must equal it.
SELECT source, requests, input_tokens, output_tokens, cost_usd
FROM (
    SELECT
        1 AS place,
        'requests FINAL' AS source,
        count() AS requests,
        sum(input_tokens) AS input_tokens,
        sum(output_tokens) AS output_tokens,
        sum(cost_usd) AS cost_usd
    FROM requests FINAL
    WHERE {{scope}}
    UNION ALL
    SELECT
        2 AS place,
        'requests' AS source,
        count() AS requests,
        sum(input_tokens) AS input_tokens,
        sum(output_tokens) AS output_tokens,
        sum(cost_usd) AS cost_usd
    FROM requests
    WHERE {{scope}}
)
ORDER BY place
LIMIT {row_limit:UInt64}
