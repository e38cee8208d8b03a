-- What a request's cost became when a period was priced again: one row per change, beside the row of the request.
CREATE TABLE IF NOT EXISTS {database}.adjustments {on_cluster}
(
    `request_id` UUID COMMENT 'As in requests.request_id' CODEC(ZSTD(1)),
    `revision` UInt32 COMMENT 'Counts the changes of one request, from 1' CODEC(T64, ZSTD(1)),
    `received_at` DateTime64(6, 'UTC') COMMENT 'As in requests: the cost belongs to that time' CODEC(Delta, ZSTD(1)),
    `outcome` LowCardinality(String) COMMENT 'As in requests',
    `client` LowCardinality(String) COMMENT 'As in requests',
    `user` String COMMENT 'As in requests' CODEC(ZSTD(1)),
    `tags` Map(LowCardinality(String), String) COMMENT 'As in requests' CODEC(ZSTD(1)),
    `format` LowCardinality(String) COMMENT 'As in requests',
    `operation` LowCardinality(String) COMMENT 'As in requests',
    `is_stream` Bool COMMENT 'As in requests',
    `provider` LowCardinality(String) COMMENT 'As in requests',
    `endpoint` LowCardinality(String) COMMENT 'As in requests',
    `key` LowCardinality(String) COMMENT 'As in requests',
    `model` LowCardinality(String) COMMENT 'As in requests',
    `usage_source` LowCardinality(String) COMMENT 'As in requests',
    `cost_before_usd` Nullable(Decimal(38, 12)) COMMENT 'The cost until then; NULL when it was unknown' CODEC(ZSTD(1)),
    `cost_usd` Nullable(Decimal(38, 12)) COMMENT 'The cost from then on; NULL when it is unknown' CODEC(ZSTD(1)),
    `cost_delta_usd` Decimal(38, 12) COMMENT 'What to add to a sum of costs, where an unknown cost counts nothing' CODEC(ZSTD(1)),
    `priced_delta` Int8 COMMENT 'What to add to the number of priced requests: 1, 0 or -1' CODEC(T64, ZSTD(1)),
    `price_id_before` LowCardinality(String) COMMENT 'The entry of the prices table used until then; empty when none fitted',
    `price_id` LowCardinality(String) COMMENT 'The entry used from then on; empty when none fits any more',
    `run_id` UUID COMMENT 'The run of weir reprice that wrote this row' CODEC(ZSTD(1)),
    `adjusted_at` DateTime64(6, 'UTC') COMMENT 'When that run began: reports as of an earlier time leave this row out' CODEC(Delta, ZSTD(1)),
    INDEX by_request_id `request_id` TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = {engine:ReplacingMergeTree(adjusted_at)}
PARTITION BY toYYYYMMDD(`received_at`)
PRIMARY KEY (`client`, toStartOfHour(`received_at`))
ORDER BY (`client`, toStartOfHour(`received_at`), `received_at`, `request_id`, `revision`)
SETTINGS
    non_replicated_deduplication_window = 100000,
    replicated_deduplication_window = 100000,
    replicated_deduplication_window_seconds = 604800
COMMENT 'Changes of cost by weir reprice. The cost today is requests.cost_usd with the latest revision here, if there is one'
