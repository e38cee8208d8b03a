-- One row per captured exchange, and one per provider's answer that could not be read; only with [gateway] capture.
CREATE TABLE IF NOT EXISTS {database}.bodies {on_cluster}
(
    `request_id` UUID COMMENT 'The request, as in the requests table' CODEC(ZSTD(1)),
    `scope` LowCardinality(String) COMMENT 'exchange (the client''s request and the answer it got) or attempt (a provider''s answer that could not be read, which no client got)',
    `candidate_index` Nullable(UInt16) COMMENT 'Whose answer it was: position among the candidates of the request, from 0; NULL for an exchange' CODEC(T64, ZSTD(1)),
    `attempt_index` Nullable(UInt16) COMMENT 'Number of the try at this candidate, from 0; NULL for an exchange' CODEC(T64, ZSTD(1)),
    `client` LowCardinality(String) COMMENT 'Configured name of the client',
    `format` LowCardinality(String) COMMENT 'API dialect of the client: anthropic, openai_chat, openai_responses, gemini',
    `model` LowCardinality(String) COMMENT 'The catalogue''s name of the model; empty when the client named none that exists',
    `provider` LowCardinality(String) COMMENT 'Configured name of the provider whose answer this is; empty when none was asked',
    `endpoint` LowCardinality(String) COMMENT 'Configured name of the provider''s endpoint',
    `outcome` LowCardinality(String) COMMENT 'How the request ended, as in the requests table',
    `status` Nullable(UInt16) COMMENT 'HTTP status sent to the client; of an attempt, the provider''s' CODEC(T64, ZSTD(1)),
    `error_class` LowCardinality(String) COMMENT 'What went wrong with the request, or with the attempt; empty when nothing did',
    `received_at` DateTime64(6, 'UTC') COMMENT 'When the request''s head arrived' CODEC(Delta, ZSTD(1)),
    `request_content_type` LowCardinality(String) COMMENT 'Content type of the request body; empty when it had none',
    `request_bytes` Nullable(UInt64) COMMENT 'Bytes of the whole request body; NULL when it was not captured' CODEC(T64, ZSTD(1)),
    `request_body` String COMMENT 'Its beginning, at most 64 KiB: our and the client''s keys replaced by ***, encoded data by its length' CODEC(ZSTD(3)),
    `request_truncated` Bool COMMENT 'Whether the request body went on behind request_body',
    `response_content_type` LowCardinality(String) COMMENT 'Content type of the answer; empty when it had none',
    `response_bytes` Nullable(UInt64) COMMENT 'Bytes of the answer, as far as it was sent; NULL when there was none' CODEC(T64, ZSTD(1)),
    `response_body` String COMMENT 'Its beginning, at most 64 KiB, of an attempt 10,000 characters; redacted like request_body' CODEC(ZSTD(3)),
    `response_truncated` Bool COMMENT 'Whether the answer went on behind response_body',
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
ORDER BY (`client`, toStartOfHour(`received_at`), `received_at`, `request_id`, `seq`)
TTL toDateTime(`received_at`) + INTERVAL 30 DAY
SETTINGS
    ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 100000,
    replicated_deduplication_window = 100000,
    replicated_deduplication_window_seconds = 604800,
    min_age_to_force_merge_seconds = 7200,
    min_age_to_force_merge_on_partition_only = 1
COMMENT 'Bodies of requests and answers, redacted and cut, where the gateway is told to capture them. Kept for 30 days.'
