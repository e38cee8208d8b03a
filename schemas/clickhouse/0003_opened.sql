-- One row per request that was let in, written before the first attempt.
CREATE TABLE IF NOT EXISTS {database}.opened {on_cluster}
(
    `request_id` UUID COMMENT 'The request, as in the requests table' CODEC(ZSTD(1)),
    `client` LowCardinality(String) COMMENT 'Configured name of the client',
    `user` String COMMENT 'The client''s own user, as the client named it; empty when it named none' CODEC(ZSTD(1)),
    `tags` Map(LowCardinality(String), String) COMMENT 'The client''s configured tags' CODEC(ZSTD(1)),
    `format` LowCardinality(String) COMMENT 'API dialect of the client: anthropic, openai_chat, openai_responses, gemini',
    `operation` LowCardinality(String) COMMENT 'What was asked for: generate, or count_tokens (free of charge)',
    `is_stream` Bool COMMENT 'Whether the client asked for a stream',
    `model_requested` LowCardinality(String) COMMENT 'The model as the client named it',
    `model` LowCardinality(String) COMMENT 'The catalogue''s name of the model',
    `request_bytes` UInt64 COMMENT 'Bytes of the request body' CODEC(T64, ZSTD(1)),
    `received_at` DateTime64(6, 'UTC') COMMENT 'When the request''s head arrived' CODEC(Delta, ZSTD(1)),
    `client_request_id` String COMMENT 'The client''s own x-request-id; empty when it sent none' CODEC(ZSTD(1)),
    `user_agent` LowCardinality(String) COMMENT 'The client''s user-agent',
    `gateway` LowCardinality(String) COMMENT 'Name of the gateway that let it in',
    `epoch` UUID COMMENT 'The gateway ledger that numbered this event' CODEC(ZSTD(1)),
    `partition` UInt16 COMMENT 'The partition of the event; epoch, partition and seq name it for ever' CODEC(T64, ZSTD(1)),
    `seq` UInt64 COMMENT 'The event''s number, gapless within epoch and partition' CODEC(Delta, ZSTD(1)),
    `recorded_at` DateTime64(6, 'UTC') COMMENT 'When the recorder wrote this row' CODEC(Delta, ZSTD(1)),
    INDEX by_request_id `request_id` TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = {engine:ReplacingMergeTree(recorded_at)}
PARTITION BY toYYYYMMDD(`received_at`)
PRIMARY KEY (`client`, toStartOfHour(`received_at`))
ORDER BY (`client`, toStartOfHour(`received_at`), `received_at`, `request_id`)
TTL toDateTime(`received_at`) + INTERVAL 30 DAY
SETTINGS
    ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 100000,
    replicated_deduplication_window = 100000,
    replicated_deduplication_window_seconds = 604800,
    min_age_to_force_merge_seconds = 7200,
    min_age_to_force_merge_on_partition_only = 1
COMMENT 'Requests that were let in; each has its one row in requests once it has ended. Kept for 30 days.'
