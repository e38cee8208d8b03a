-- How long requests took, and how many per day, by few sets of names: what is asked most, in rows few enough to merge their quantiles at once. Filled by views, checked and put right by the recorder.
CREATE TABLE IF NOT EXISTS {database}.latency_1d {on_cluster}
(
    `bucket` DateTime('UTC') COMMENT 'Start of the day in which the requests were received' CODEC(Delta, ZSTD(1)),
    `cut` LowCardinality(String) COMMENT 'Which names these rows keep apart, joined by commas: every request is in the rows of each cut, so name one. Names that a cut does not keep apart are empty',
    `client` LowCardinality(String) COMMENT 'Configured name of the client; empty when its key was not known',
    `model` LowCardinality(String) COMMENT 'The catalogue''s name of the model',
    `provider` LowCardinality(String) COMMENT 'Configured name of the provider that answered, or was tried last; empty when none was tried',
    `sent_requests` SimpleAggregateFunction(sum, UInt64) COMMENT 'Those that were sent upstream at least once' CODEC(ZSTD(1)),
    `ttft_requests` SimpleAggregateFunction(sum, UInt64) COMMENT 'Requests in ttft_ms' CODEC(ZSTD(1)),
    `ttft_ms` AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Nullable(Float64)) COMMENT 'Milliseconds to the first content: quantilesDDMerge(0.01, 0.5, 0.9, 0.95, 0.99)(ttft_ms) has p50, p90, p95, p99, each within one per cent' CODEC(ZSTD(1)),
    `ttft_ms_max` SimpleAggregateFunction(max, Nullable(Float64)) COMMENT 'The longest of them' CODEC(ZSTD(1)),
    `duration_ms` AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Nullable(Float64)) COMMENT 'Milliseconds to the end of the requests that were sent upstream, to be read like ttft_ms' CODEC(ZSTD(1)),
    `duration_ms_max` SimpleAggregateFunction(max, Nullable(Float64)) COMMENT 'The longest of them' CODEC(ZSTD(1)),
    `speed_requests` SimpleAggregateFunction(sum, UInt64) COMMENT 'Requests in output_tokens_per_second' CODEC(ZSTD(1)),
    `output_tokens_per_second` AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Nullable(Float64)) COMMENT 'Speed of completed streams after their first content, to be read like ttft_ms' CODEC(ZSTD(1))
)
ENGINE = {engine:AggregatingMergeTree}
PARTITION BY toYYYYMMDD(`bucket`)
ORDER BY (`cut`, `bucket`, `client`, `model`, `provider`)
SETTINGS
    index_granularity = 128,
    non_replicated_deduplication_window = 100000,
    replicated_deduplication_window = 100000,
    replicated_deduplication_window_seconds = 604800
COMMENT 'Latencies of requests per day, by one cut at a time: add up with sum(), max() and -Merge WHERE cut is one of them. Kept as long as the rows that it sums up'
