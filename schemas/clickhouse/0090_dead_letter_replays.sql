-- What became of dead letters that were sent again. A letter without a row here, or with another outcome than stored or known, is open.
CREATE TABLE IF NOT EXISTS {database}.dead_letter_replays {on_cluster}
(
    `partition` UInt16 COMMENT 'With incarnation, stream_seq and line: the letter, as in dead_letters' CODEC(T64, ZSTD(1)),
    `incarnation` UInt32 COMMENT 'Which incarnation of the stream' CODEC(T64, ZSTD(1)),
    `stream_seq` UInt64 COMMENT 'Sequence of the NATS message that held the event first' CODEC(Delta, ZSTD(1)),
    `line` UInt32 COMMENT 'Line within that message, from 0' CODEC(T64, ZSTD(1)),
    `outcome` LowCardinality(String) COMMENT 'stored (it is a row now), known (it was one already), refused (by ClickHouse, again) or unreadable (it is still no event)',
    `reason` String COMMENT 'Why it was refused or is unreadable; empty otherwise' CODEC(ZSTD(1)),
    `replayed_at` DateTime64(6, 'UTC') COMMENT 'When the recorder wrote this row; the latest one of a letter counts' CODEC(Delta, ZSTD(1))
)
ENGINE = {engine:ReplacingMergeTree(replayed_at)}
ORDER BY (`partition`, `incarnation`, `stream_seq`, `line`)
SETTINGS
    non_replicated_deduplication_window = 100000,
    replicated_deduplication_window = 100000,
    replicated_deduplication_window_seconds = 604800
COMMENT 'What became of dead letters that were sent again'
