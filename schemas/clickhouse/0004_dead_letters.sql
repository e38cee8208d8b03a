-- One row per event that could not become a row elsewhere.
CREATE TABLE IF NOT EXISTS {database}.dead_letters {on_cluster}
(
    `partition` UInt16 COMMENT 'The partition whose stream held the event' CODEC(T64, ZSTD(1)),
    `incarnation` UInt32 COMMENT 'Which incarnation of the stream; with stream_seq and line it names the event' CODEC(T64, ZSTD(1)),
    `stream_seq` UInt64 COMMENT 'Sequence of the NATS message' CODEC(Delta, ZSTD(1)),
    `line` UInt32 COMMENT 'Line within the message, from 0' CODEC(T64, ZSTD(1)),
    `subject` LowCardinality(String) COMMENT 'NATS subject of the message',
    `message_id` String COMMENT 'Nats-Msg-Id of the message; empty when it had none' CODEC(ZSTD(1)),
    `stage` LowCardinality(String) COMMENT 'Where it failed: decode (it is no event) or insert (ClickHouse refused its row)',
    `reason` String COMMENT 'Why, and what to do' CODEC(ZSTD(1)),
    `epoch` Nullable(UUID) COMMENT 'The gateway ledger that numbered the event; NULL when that cannot be read' CODEC(ZSTD(1)),
    `seq` Nullable(UInt64) COMMENT 'The event''s number in that ledger; NULL when that cannot be read' CODEC(ZSTD(1)),
    `request_id` Nullable(UUID) COMMENT 'The request; NULL when that cannot be read' CODEC(ZSTD(1)),
    `payload` String COMMENT 'The line as it arrived, byte for byte' CODEC(ZSTD(3)),
    `published_at` DateTime64(6, 'UTC') COMMENT 'When NATS stored the message' CODEC(Delta, ZSTD(1)),
    `recorded_at` DateTime64(6, 'UTC') COMMENT 'When the recorder wrote this row' CODEC(Delta, ZSTD(1))
)
ENGINE = {engine:ReplacingMergeTree(recorded_at)}
PARTITION BY toYYYYMMDD(`published_at`)
ORDER BY (`partition`, `incarnation`, `stream_seq`, `line`)
SETTINGS
    non_replicated_deduplication_window = 100000,
    replicated_deduplication_window = 100000,
    replicated_deduplication_window_seconds = 604800
COMMENT 'Events that could not be decoded or inserted, each with its reason and its bytes: nothing is dropped in silence'
