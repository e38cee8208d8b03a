-- What requests and their repricings add up to, per minute and set of names; filled by views, checked and put right by the recorder.
CREATE TABLE IF NOT EXISTS {database}.usage_1m {on_cluster}
(
    `bucket` DateTime('UTC') COMMENT 'Start of the minute in which the requests were received' CODEC(Delta, ZSTD(1)),
    `client` LowCardinality(String) COMMENT 'Configured name of the client; empty when its key was not known',
    `model` LowCardinality(String) COMMENT 'The catalogue''s name of the model',
    `provider` LowCardinality(String) COMMENT 'Configured name of the provider that answered, or was tried last; empty when none was tried',
    `endpoint` LowCardinality(String) COMMENT 'Configured name of the provider''s endpoint',
    `key` LowCardinality(String) COMMENT 'Configured name of the provider key used, never the key itself',
    `format` LowCardinality(String) COMMENT 'API dialect of the client: anthropic, openai_chat, openai_responses, gemini',
    `operation` LowCardinality(String) COMMENT 'What was asked for: generate, or count_tokens (free of charge)',
    `outcome` LowCardinality(String) COMMENT 'How the requests ended: completed, rejected, failed, interrupted, cancelled',
    `error_class` LowCardinality(String) COMMENT 'What went wrong, from a closed list; empty when nothing did',
    `upstream_status` UInt16 COMMENT 'HTTP status of the provider; 0 when it sent none',
    `requests` SimpleAggregateFunction(sum, UInt64) COMMENT 'Requests that have ended so' CODEC(ZSTD(1)),
    `sent_requests` SimpleAggregateFunction(sum, UInt64) COMMENT 'Those that were sent upstream at least once' CODEC(ZSTD(1)),
    `charged_requests` SimpleAggregateFunction(sum, UInt64) COMMENT 'Those that a provider has probably charged for' CODEC(ZSTD(1)),
    `unknown_usage_requests` SimpleAggregateFunction(sum, UInt64) COMMENT 'Those of the charged whose input or output tokens nobody knows: no sum of tokens or cost contains them' CODEC(ZSTD(1)),
    `estimated_usage_requests` SimpleAggregateFunction(sum, UInt64) COMMENT 'Those whose tokens the gateway has counted itself' CODEC(ZSTD(1)),
    `priced_requests` SimpleAggregateFunction(sum, Int64) COMMENT 'Those whose cost is known, by the latest repricing' CODEC(ZSTD(1)),
    `estimated_cost_requests` SimpleAggregateFunction(sum, Int64) COMMENT 'Those of the priced whose tokens the gateway has counted itself' CODEC(ZSTD(1)),
    `unpriced_requests` SimpleAggregateFunction(sum, Int64) COMMENT 'Those of the charged whose tokens are known and whose price is not' CODEC(ZSTD(1)),
    `upstream_attempts` SimpleAggregateFunction(sum, UInt64) COMMENT 'Requests sent to providers for them' CODEC(ZSTD(1)),
    `input_tokens` SimpleAggregateFunction(sum, Nullable(UInt64)) COMMENT 'All prompt tokens, cached ones included; NULL when nobody knows any of them' CODEC(ZSTD(1)),
    `fresh_input_tokens` SimpleAggregateFunction(sum, Nullable(UInt64)) COMMENT 'The part of input_tokens that is charged at the full input price' CODEC(ZSTD(1)),
    `cache_read_tokens` SimpleAggregateFunction(sum, Nullable(UInt64)) COMMENT 'The part of input_tokens that was read from the provider''s prompt cache' CODEC(ZSTD(1)),
    `cache_write_5m_tokens` SimpleAggregateFunction(sum, Nullable(UInt64)) COMMENT 'The part of input_tokens written to the cache for five minutes, or for an unstated time' CODEC(ZSTD(1)),
    `cache_write_1h_tokens` SimpleAggregateFunction(sum, Nullable(UInt64)) COMMENT 'The part of input_tokens written to the cache for one hour' CODEC(ZSTD(1)),
    `output_tokens` SimpleAggregateFunction(sum, Nullable(UInt64)) COMMENT 'All billed output tokens, reasoning included; NULL when nobody knows any of them' CODEC(ZSTD(1)),
    `delivered_output_tokens` SimpleAggregateFunction(sum, Nullable(UInt64)) COMMENT 'Output tokens that reached clients' CODEC(ZSTD(1)),
    `reasoning_tokens` SimpleAggregateFunction(sum, Nullable(UInt64)) COMMENT 'The part of output_tokens spent on reasoning; NULL when no provider told' CODEC(ZSTD(1)),
    `cost_usd` SimpleAggregateFunction(sum, Nullable(Decimal(38, 12))) COMMENT 'Exact cost of the priced requests in US dollars, repricings included; it counts only where sum(priced_requests) is not 0' CODEC(ZSTD(1)),
    `cache_saved_usd` SimpleAggregateFunction(sum, Nullable(Decimal(38, 12))) COMMENT 'What the priced requests would have cost more without the prompt cache; negative where writing to it cost more than reading saved' CODEC(ZSTD(1)),
    `request_bytes` SimpleAggregateFunction(sum, UInt64) COMMENT 'Bytes of the request bodies' CODEC(ZSTD(1)),
    `response_bytes` SimpleAggregateFunction(sum, UInt64) COMMENT 'Bytes of the response bodies passed to clients' CODEC(ZSTD(1)),
    `ttft_requests` SimpleAggregateFunction(sum, UInt64) COMMENT 'Requests in ttft_ms' CODEC(ZSTD(1)),
    `ttft_ms` AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Nullable(Float64)) COMMENT 'Milliseconds to the first content: quantilesDDMerge(0.01, 0.5, 0.9, 0.95, 0.99)(ttft_ms) has p50, p90, p95, p99, each within one per cent' CODEC(ZSTD(1)),
    `ttft_ms_max` SimpleAggregateFunction(max, Nullable(Float64)) COMMENT 'The longest of them' CODEC(ZSTD(1)),
    `duration_ms` AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Nullable(Float64)) COMMENT 'Milliseconds to the end of the requests that were sent upstream, to be read like ttft_ms' CODEC(ZSTD(1)),
    `duration_ms_max` SimpleAggregateFunction(max, Nullable(Float64)) COMMENT 'The longest of them' CODEC(ZSTD(1)),
    `speed_requests` SimpleAggregateFunction(sum, UInt64) COMMENT 'Requests in output_tokens_per_second' CODEC(ZSTD(1)),
    `output_tokens_per_second` AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), Nullable(Float64)) COMMENT 'Speed of completed streams after their first content, to be read like ttft_ms' CODEC(ZSTD(1)),
    `last_failure` SimpleAggregateFunction(max, Tuple(received_at DateTime64(6, 'UTC'), request_id UUID, error_message String)) COMMENT 'The latest request that did not complete, to look at; its time is 1970 where there is none' CODEC(ZSTD(1))
)
ENGINE = {engine:AggregatingMergeTree}
PARTITION BY toYYYYMMDD(`bucket`)
ORDER BY (`bucket`, `client`, `model`, `provider`, `endpoint`, `key`, `format`, `operation`, `outcome`, `error_class`, `upstream_status`)
SETTINGS
    non_replicated_deduplication_window = 100000,
    replicated_deduplication_window = 100000,
    replicated_deduplication_window_seconds = 604800
COMMENT 'Sums of requests and their repricings per minute: add up with sum(), max() and -Merge, never count rows. Kept as long as the rows that it sums up'
