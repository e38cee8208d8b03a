-- How long answers took, for requests that were sent upstream. Quantiles are within one per cent of the true value, and
-- the same whether they are computed from rows or from merged states.
WITH
    quantilesDDMerge(0.01, 0.5, 0.9, 0.95, 0.99)(s.ttft_ms) AS ttft,
    quantilesDDMerge(0.01, 0.5, 0.9, 0.95, 0.99)(s.duration_ms) AS duration,
    quantilesDDMerge(0.01, 0.5, 0.9, 0.95, 0.99)(s.output_tokens_per_second) AS speeds
SELECT
    bucket,
    {{groups}} AS groups,
    sum(s.sent_requests) AS requests,
    sum(s.ttft_requests) AS ttft_requests,
    if(sum(s.ttft_requests) = 0, NULL, ttft[1]) AS ttft_ms_p50,
    if(sum(s.ttft_requests) = 0, NULL, ttft[2]) AS ttft_ms_p90,
    if(sum(s.ttft_requests) = 0, NULL, ttft[3]) AS ttft_ms_p95,
    if(sum(s.ttft_requests) = 0, NULL, ttft[4]) AS ttft_ms_p99,
    max(s.ttft_ms_max) AS ttft_ms_max,
    duration[1] AS duration_ms_p50,
    duration[2] AS duration_ms_p90,
    duration[3] AS duration_ms_p95,
    duration[4] AS duration_ms_p99,
    assumeNotNull(max(s.duration_ms_max)) AS duration_ms_max,
    sum(s.speed_requests) AS speed_requests,
    if(sum(s.speed_requests) = 0, NULL, speeds[1]) AS output_tokens_per_second_p50,
    if(sum(s.speed_requests) = 0, NULL, speeds[2]) AS output_tokens_per_second_p90,
    if(sum(s.speed_requests) = 0, NULL, speeds[3]) AS output_tokens_per_second_p95,
    if(sum(s.speed_requests) = 0, NULL, speeds[4]) AS output_tokens_per_second_p99
FROM (
{{source}}
) AS s
GROUP BY {{group_by}}
HAVING sum(s.sent_requests) > 0
ORDER BY bucket, groups
LIMIT {row_limit:UInt64}
