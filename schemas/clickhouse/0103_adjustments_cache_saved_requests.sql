-- The same for repricings. A row from before this column that added nothing to what caches saved is taken to have known nothing of it.
ALTER TABLE {database}.adjustments {on_cluster}
    ADD COLUMN IF NOT EXISTS `cache_saved_requests_delta` Int8 DEFAULT if(cache_saved_delta_usd = 0, 0, priced_delta) COMMENT 'What to add to the number of requests of which it is known what the cache saved: 1, 0 or -1' CODEC(T64, ZSTD(1))
