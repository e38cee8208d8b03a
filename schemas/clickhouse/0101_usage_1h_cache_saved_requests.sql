-- How many requests the sum of what caches saved is of: where it is of none, nobody knows what they saved. Of rows from before this
-- column it is only known whether there were some: the recorder counts them when it makes their day anew.
ALTER TABLE {database}.usage_1h {on_cluster}
    ADD COLUMN IF NOT EXISTS `cache_saved_requests` SimpleAggregateFunction(sum, Int64) DEFAULT toInt64(isNotNull(cache_saved_usd)) COMMENT 'Those of the priced of which it is known what the cache saved, by the latest repricing; where the sum is 0, cache_saved_usd is of nothing and counts as unknown' CODEC(ZSTD(1))
