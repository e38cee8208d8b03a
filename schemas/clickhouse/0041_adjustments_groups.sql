-- The same for changes of price, and what else failures are grouped by.
ALTER TABLE {database}.adjustments {on_cluster}
    ADD COLUMN IF NOT EXISTS `error_class` LowCardinality(String) COMMENT 'As in requests',
    ADD COLUMN IF NOT EXISTS `upstream_status` Nullable(UInt16) COMMENT 'As in requests',
    ADD COLUMN IF NOT EXISTS `cache_saved_delta_usd` Decimal(38, 12) COMMENT 'What to add to a sum of requests.cache_saved_usd, where an unknown one counts nothing' CODEC(ZSTD(1))
