-- One row per endpoint and key considered for a request: tried or skipped, and why.
CREATE TABLE IF NOT EXISTS {database}.candidates {on_cluster}
(
    `request_id` UUID COMMENT 'The request, as in the requests table' CODEC(ZSTD(1)),
    `candidate_index` UInt16 COMMENT 'Position among the candidates of the request, from 0' CODEC(T64, ZSTD(1)),
    `attempt_index` UInt16 COMMENT 'Number of the try at this candidate, from 0' CODEC(T64, ZSTD(1)),
    `verdict` LowCardinality(String) COMMENT 'succeeded (its answer went to the client), failed (tried in vain), skipped (not tried)',
    `reason` LowCardinality(String) COMMENT 'Why it was left or skipped, in one word',
    `provider` LowCardinality(String) COMMENT 'Configured name of the provider',
    `endpoint` LowCardinality(String) COMMENT 'Configured name of the endpoint',
    `key` LowCardinality(String) COMMENT 'Configured name of the provider key, never the key itself',
    `model_upstream` LowCardinality(String) COMMENT 'The model that the provider was asked for',
    `status` Nullable(UInt16) COMMENT 'HTTP status of the provider; NULL when it sent none',
    `error_class` LowCardinality(String) COMMENT 'What went wrong, from a closed list; empty when nothing did',
    `error_message` String COMMENT 'The provider''s words; at most 500 characters' CODEC(ZSTD(3)),
    `started_at` DateTime64(6, 'UTC') COMMENT 'When the try began, or the candidate was skipped' CODEC(Delta, ZSTD(1)),
    `headers_ms` Nullable(Float64) COMMENT 'Milliseconds from started_at to the head of the response; NULL when there was none' CODEC(ZSTD(1)),
    `first_content_ms` Nullable(Float64) COMMENT 'Milliseconds from started_at to the first content; NULL when there was none' CODEC(ZSTD(1)),
    `duration_ms` Float64 COMMENT 'Milliseconds from started_at to the end of the try' CODEC(ZSTD(1)),
    `response_bytes` UInt64 COMMENT 'Bytes of the provider''s response body' CODEC(T64, ZSTD(1)),
    `input_tokens` Nullable(UInt64) COMMENT 'All prompt tokens of this try, cached ones included; NULL when nobody knows' CODEC(T64, ZSTD(1)),
    `fresh_input_tokens` Nullable(UInt64) COMMENT 'The part of input_tokens that is charged at the full input price' CODEC(T64, ZSTD(1)),
    `cache_read_tokens` Nullable(UInt64) COMMENT 'The part of input_tokens that was read from the provider''s prompt cache' CODEC(T64, ZSTD(1)),
    `cache_write_5m_tokens` Nullable(UInt64) COMMENT 'The part of input_tokens written to the cache for five minutes, or for an unstated time' CODEC(T64, ZSTD(1)),
    `cache_write_1h_tokens` Nullable(UInt64) COMMENT 'The part of input_tokens written to the cache for one hour' CODEC(T64, ZSTD(1)),
    `output_tokens` Nullable(UInt64) COMMENT 'All billed output tokens of this try, reasoning included; NULL when nobody knows' CODEC(T64, ZSTD(1)),
    `reasoning_tokens` Nullable(UInt64) COMMENT 'The part of output_tokens that the model spent on reasoning' CODEC(T64, ZSTD(1)),
    `received_at` DateTime64(6, 'UTC') COMMENT 'When the request''s head arrived' CODEC(Delta, ZSTD(1)),
    `client` LowCardinality(String) COMMENT 'Configured name of the client',
    `gateway` LowCardinality(String) COMMENT 'Name of the gateway that served the request',
    `epoch` UUID COMMENT 'The gateway ledger that numbered this event' CODEC(ZSTD(1)),
    `partition` UInt16 COMMENT 'The partition of the event; epoch, partition and seq name it for ever' CODEC(T64, ZSTD(1)),
    `seq` UInt64 COMMENT 'The event''s number, gapless within epoch and partition' CODEC(Delta, ZSTD(1)),
    `recorded_at` DateTime64(6, 'UTC') COMMENT 'When the recorder wrote this row' CODEC(Delta, ZSTD(1)),
    INDEX by_request_id `request_id` TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = {engine:ReplacingMergeTree(recorded_at)}
PARTITION BY toYYYYMMDD(`received_at`)
PRIMARY KEY (`client`, toStartOfHour(`received_at`))
ORDER BY (`client`, toStartOfHour(`received_at`), `received_at`, `request_id`, `candidate_index`, `attempt_index`)
SETTINGS
    non_replicated_deduplication_window = 100000,
    replicated_deduplication_window = 100000,
    replicated_deduplication_window_seconds = 604800,
    min_age_to_force_merge_seconds = 7200,
    min_age_to_force_merge_on_partition_only = 1
COMMENT 'What became of every endpoint and key that was considered for a request'
