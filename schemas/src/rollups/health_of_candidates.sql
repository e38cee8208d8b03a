SELECT
    {{keys}},
    count() AS candidates,
    sum(r.input_tokens) AS input_tokens,
    sum(r.output_tokens) AS output_tokens,
    count(r.headers_ms) AS headers_candidates,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(r.headers_ms) AS headers_ms,
    count(r.first_content_ms) AS first_content_candidates,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(r.first_content_ms) AS first_content_ms
FROM {{candidates}} AS r{{final}}{{cuts}}
{{where}}GROUP BY {{group_by}}
