-- What candidates add up to per minute, by few sets of names: what is asked most, in rows few enough to merge their quantiles at once. Filled by views, checked and put right by the recorder.
CREATE TABLE IF NOT EXISTS {database}.health_1m {on_cluster}
(
    `bucket` DateTime('UTC') COMMENT 'Start of the minute in which the requests were received' CODEC(Delta, ZSTD(1)),
    `cut` LowCardinality(String) COMMENT 'Which names these rows keep apart, joined by commas: every candidate is in the rows of each cut, so name one. Names that a cut does not keep apart are empty',
    `client` LowCardinality(String) COMMENT 'Configured name of the client',
    `provider` LowCardinality(String) COMMENT 'Configured name of the provider',
    `endpoint` LowCardinality(String) COMMENT 'Configured name of the endpoint',
    `verdict` LowCardinality(String) COMMENT 'succeeded (its answer went to the client), failed (tried in vain), skipped (not tried)',
    `reason` LowCardinality(String) COMMENT 'Why it was left or skipped, in one word',
    `error_class` LowCardinality(String) COMMENT 'What went wrong, from a closed list; empty when nothing did',
    `candidates` SimpleAggregateFunction(sum, UInt64) COMMENT 'Endpoints and keys considered, with this verdict' CODEC(ZSTD(1)),
    `input_tokens` SimpleAggregateFunction(sum, Nullable(UInt64)) COMMENT 'Prompt tokens of these tries; NULL when nobody knows any of them' CODEC(ZSTD(1)),
    `output_tokens` SimpleAggregateFunction(sum, Nullable(UInt64)) COMMENT 'Output tokens of these tries; NULL when nobody knows any of them' CODEC(ZSTD(1)),
    `headers_candidates` SimpleAggregateFunction(sum, UInt64) COMMENT 'Tries in headers_ms' CODEC(ZSTD(1)),
    `headers_ms` AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Nullable(Float64)) COMMENT 'Milliseconds to the head of the response: quantilesDDMerge(0.01, 0.5, 0.9, 0.95, 0.99)(headers_ms) has p50, p90, p95, p99, each within one per cent' CODEC(ZSTD(1)),
    `first_content_candidates` SimpleAggregateFunction(sum, UInt64) COMMENT 'Tries in first_content_ms' CODEC(ZSTD(1)),
    `first_content_ms` AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Nullable(Float64)) COMMENT 'Milliseconds to the first content, to be read like headers_ms' CODEC(ZSTD(1))
)
ENGINE = {engine:AggregatingMergeTree}
PARTITION BY toYYYYMMDD(`bucket`)
ORDER BY (`cut`, `bucket`, `client`, `provider`, `endpoint`, `verdict`, `reason`, `error_class`)
SETTINGS
    index_granularity = 128,
    non_replicated_deduplication_window = 100000,
    replicated_deduplication_window = 100000,
    replicated_deduplication_window_seconds = 604800
COMMENT 'Sums of candidates per minute, by one cut at a time: add up with sum(), max() and -Merge WHERE cut is one of them. Kept as long as the rows that it sums up'
