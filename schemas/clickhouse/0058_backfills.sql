-- Which rollups hold everything that was recorded before they were made; written by the recorder.
CREATE TABLE IF NOT EXISTS {database}.backfills {on_cluster}
(
    `family` LowCardinality(String) COMMENT 'Which rollups: usage or candidates',
    `completed_at` DateTime64(6, 'UTC') COMMENT 'When the last older day had been filled in',
    `recorder` String COMMENT 'Which recorder did it'
)
ENGINE = {engine:ReplacingMergeTree(completed_at)}
ORDER BY `family`
SETTINGS
    non_replicated_deduplication_window = 100000,
    replicated_deduplication_window = 100000,
    replicated_deduplication_window_seconds = 604800
COMMENT 'Until a family has a row here its rollups may lack older days: ask the rows themselves'
