-- How providers do: tries and their success from candidates, tokens and cost from requests.
SELECT
    bucket,
    groups,
    sum(tries) AS attempts,
    sum(tries_succeeded) AS succeeded,
    sum(tries_failed) AS failed,
    sum(tries_skipped) AS skipped,
    if(sum(tries) = 0, NULL, sum(tries_succeeded) / sum(tries)) AS success_rate,
    sum(tries_rate_limited) AS rate_limited,
    max(headers_p50) AS headers_ms_p50,
    max(headers_p95) AS headers_ms_p95,
    max(first_content_p50) AS first_content_ms_p50,
    max(first_content_p95) AS first_content_ms_p95,
    sum(wasted_input_tokens) AS failed_input_tokens,
    sum(wasted_output_tokens) AS failed_output_tokens,
    sum(answered) AS requests,
    sum(answered_input_tokens) AS input_tokens,
    sum(answered_output_tokens) AS output_tokens,
    sum(answered_cost_usd) AS cost_usd
FROM (
    WITH
        quantilesDDMerge(0.01, 0.5, 0.9, 0.95, 0.99)(c.headers_ms) AS headers,
        quantilesDDMerge(0.01, 0.5, 0.9, 0.95, 0.99)(c.first_content_ms) AS first_content
    SELECT
        bucket,
        {{groups}} AS groups,
        sumIf(c.candidates, c.verdict != 'skipped') AS tries,
        sumIf(c.candidates, c.verdict = 'succeeded') AS tries_succeeded,
        sumIf(c.candidates, c.verdict = 'failed') AS tries_failed,
        -- Whoever speaks another format was no candidate of the request.
        sumIf(c.candidates, c.verdict = 'skipped' AND c.reason != 'speaks_other_format') AS tries_skipped,
        sumIf(c.candidates, c.error_class = 'upstream_rate_limited') AS tries_rate_limited,
        if(sum(c.headers_candidates) = 0, NULL, headers[1]) AS headers_p50,
        if(sum(c.headers_candidates) = 0, NULL, headers[3]) AS headers_p95,
        if(sum(c.first_content_candidates) = 0, NULL, first_content[1]) AS first_content_p50,
        if(sum(c.first_content_candidates) = 0, NULL, first_content[3]) AS first_content_p95,
        sumIf(c.input_tokens, c.verdict = 'failed') AS wasted_input_tokens,
        sumIf(c.output_tokens, c.verdict = 'failed') AS wasted_output_tokens,
        toUInt64(0) AS answered,
        CAST(NULL, 'Nullable(UInt64)') AS answered_input_tokens,
        CAST(NULL, 'Nullable(UInt64)') AS answered_output_tokens,
        CAST(NULL, 'Nullable(Decimal(38, 12))') AS answered_cost_usd
    FROM (
{{candidates}}
    ) AS c
    GROUP BY {{group_by}}
    UNION ALL
    SELECT
        bucket,
        {{groups}} AS groups,
        0, 0, 0, 0, 0,
        NULL, NULL, NULL, NULL,
        NULL, NULL,
        sum(s.sent_requests),
        sum(s.input_tokens),
        sum(s.output_tokens),
        if(sum(s.priced_requests) = 0, NULL, sum(s.cost_usd))
    FROM (
{{source}}
    ) AS s
    GROUP BY {{group_by}}
)
GROUP BY bucket, groups
HAVING attempts + skipped + requests > 0
ORDER BY bucket, groups
LIMIT {row_limit:UInt64}
