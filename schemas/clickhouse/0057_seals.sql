-- One row per check of a day's rollups against the rows that they sum up; written by the recorder.
CREATE TABLE IF NOT EXISTS {database}.seals {on_cluster}
(
    `family` LowCardinality(String) COMMENT 'Which rollups: usage or candidates',
    `day` Date COMMENT 'The UTC day that was checked',
    `checked_at` DateTime64(6, 'UTC') COMMENT 'When the check began' CODEC(Delta, ZSTD(1)),
    `closed_until` DateTime('UTC') COMMENT 'Hours before this one were compared; later ones were still open',
    `fingerprint` UInt64 COMMENT 'What the tables were made of when the check began: another value means that rows came since',
    `verdict` LowCardinality(String) COMMENT 'equal (to the last digit), or replaced (they differed, and the day was made anew from the rows)',
    `differing_hours` Array(DateTime('UTC')) COMMENT 'The hours that differed' CODEC(ZSTD(1)),
    `counted_before` UInt64 COMMENT 'Requests or candidates that the hourly rollup held in the compared hours' CODEC(T64, ZSTD(1)),
    `counted` UInt64 COMMENT 'Requests or candidates that the rows add up to' CODEC(T64, ZSTD(1)),
    `recorder` String COMMENT 'Which recorder checked' CODEC(ZSTD(1))
)
ENGINE = {engine:MergeTree}
PARTITION BY toYYYYMM(`day`)
ORDER BY (`family`, `day`, `checked_at`)
SETTINGS
    non_replicated_deduplication_window = 100000,
    replicated_deduplication_window = 100000,
    replicated_deduplication_window_seconds = 604800
COMMENT 'What the seal job found. Rollups of a day whose latest verdict is equal are exact'
