-- How long answers took, for requests that were sent upstream. Quantiles are within one per cent of the true value, and
-- the same whether they are computed from rows or from merged states.
WITH
    quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99)(ttft_ms) AS ttft,
    quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99)(duration_ms) AS duration,
    if(outcome = 'completed' AND is_stream AND output_tokens > 1 AND duration_ms > ttft_ms,
        (output_tokens - 1) * 1000 / (duration_ms - ttft_ms), NULL) AS speed,
    quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99)(speed) AS speeds
SELECT
    {{bucket}} AS bucket,
    {{groups}} AS groups,
    count() AS requests,
    count(ttft_ms) AS ttft_requests,
    if(ttft_requests = 0, NULL, ttft[1]) AS ttft_ms_p50,
    if(ttft_requests = 0, NULL, ttft[2]) AS ttft_ms_p90,
    if(ttft_requests = 0, NULL, ttft[3]) AS ttft_ms_p95,
    if(ttft_requests = 0, NULL, ttft[4]) AS ttft_ms_p99,
    max(ttft_ms) AS ttft_ms_max,
    duration[1] AS duration_ms_p50,
    duration[2] AS duration_ms_p90,
    duration[3] AS duration_ms_p95,
    duration[4] AS duration_ms_p99,
    max(duration_ms) AS duration_ms_max,
    count(speed) AS speed_requests,
    if(speed_requests = 0, NULL, speeds[1]) AS output_tokens_per_second_p50,
    if(speed_requests = 0, NULL, speeds[2]) AS output_tokens_per_second_p90,
    if(speed_requests = 0, NULL, speeds[3]) AS output_tokens_per_second_p95,
    if(speed_requests = 0, NULL, speeds[4]) AS output_tokens_per_second_p99
FROM requests FINAL
WHERE {{scope}}
  AND attempts > 0
GROUP BY {{group_by}}
HAVING requests > 0
ORDER BY bucket, groups
LIMIT {row_limit:UInt64}
