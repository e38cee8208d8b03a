WITH
    if(r.attempts > 0, r.ttft_ms, NULL) AS sent_ttft_ms,
    if(r.attempts > 0, r.duration_ms, NULL) AS sent_duration_ms,
    if(r.attempts > 0 AND r.outcome = 'completed' AND r.is_stream AND r.output_tokens > 1 AND r.duration_ms > r.ttft_ms,
        (r.output_tokens - 1) * 1000 / (r.duration_ms - r.ttft_ms), NULL) AS speed
SELECT
    {{keys}},
    countIf(r.attempts > 0) AS sent_requests,
    count(sent_ttft_ms) AS ttft_requests,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(sent_ttft_ms) AS ttft_ms,
    max(sent_ttft_ms) AS ttft_ms_max,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(sent_duration_ms) AS duration_ms,
    max(sent_duration_ms) AS duration_ms_max,
    count(speed) AS speed_requests,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(speed) AS output_tokens_per_second
FROM {{requests}} AS r{{final}}{{cuts}}
{{where}}GROUP BY {{group_by}}
