-- What the provider's prompt cache was worth, for reports on it.
ALTER TABLE {database}.requests {on_cluster}
    ADD COLUMN IF NOT EXISTS `cache_saved_usd` Nullable(Decimal(38, 12)) COMMENT 'What the request would have cost more without the prompt cache, in US dollars; negative where writing to it cost more than reading saved; NULL when the cost is unknown, and in rows from before this column' CODEC(ZSTD(1))
