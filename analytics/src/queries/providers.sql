-- How providers do: tries and their success from candidates, tokens and cost from requests.
SELECT
    bucket,
    groups,
    sum(tries) AS attempts,
    sum(tries_succeeded) AS succeeded,
    sum(tries_failed) AS failed,
    sum(tries_skipped) AS skipped,
    if(attempts = 0, NULL, succeeded / attempts) AS success_rate,
    sum(tries_rate_limited) AS rate_limited,
    max(headers_p50) AS headers_ms_p50,
    max(headers_p95) AS headers_ms_p95,
    max(first_content_p50) AS first_content_ms_p50,
    max(first_content_p95) AS first_content_ms_p95,
    sum(answered) AS requests,
    sum(answered_input_tokens) AS input_tokens,
    sum(answered_output_tokens) AS output_tokens,
    sum(answered_cost_usd) AS cost_usd
FROM (
    SELECT
        {{bucket}} AS bucket,
        {{groups}} AS groups,
        countIf(verdict != 'skipped') AS tries,
        countIf(verdict = 'succeeded') AS tries_succeeded,
        countIf(verdict = 'failed') AS tries_failed,
        countIf(verdict = 'skipped') AS tries_skipped,
        countIf(error_class = 'upstream_rate_limited') AS tries_rate_limited,
        if(count(headers_ms) = 0, NULL, quantileDD(0.01, 0.5)(headers_ms)) AS headers_p50,
        if(count(headers_ms) = 0, NULL, quantileDD(0.01, 0.95)(headers_ms)) AS headers_p95,
        if(count(first_content_ms) = 0, NULL, quantileDD(0.01, 0.5)(first_content_ms)) AS first_content_p50,
        if(count(first_content_ms) = 0, NULL, quantileDD(0.01, 0.95)(first_content_ms)) AS first_content_p95,
        toUInt64(0) AS answered,
        CAST(NULL, 'Nullable(UInt64)') AS answered_input_tokens,
        CAST(NULL, 'Nullable(UInt64)') AS answered_output_tokens,
        CAST(NULL, 'Nullable(Decimal(38, 12))') AS answered_cost_usd
    FROM candidates FINAL
    WHERE {{scope}}
    GROUP BY {{group_by}}
    UNION ALL
    SELECT
        {{bucket}} AS bucket,
        {{groups}} AS groups,
        0, 0, 0, 0, 0,
        NULL, NULL, NULL, NULL,
        count(),
        sum(input_tokens),
        sum(output_tokens),
        sum(cost_usd)
    FROM requests FINAL
    WHERE {{scope}}
      AND attempts > 0
    GROUP BY {{group_by}}
)
GROUP BY bucket, groups
HAVING attempts + skipped + requests > 0
ORDER BY bucket, groups
LIMIT {row_limit:UInt64}
