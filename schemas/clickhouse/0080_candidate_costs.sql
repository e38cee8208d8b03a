-- What every try costs, also of those whose answer no client got.
ALTER TABLE {database}.candidates {on_cluster}
    ADD COLUMN IF NOT EXISTS `cost_usd` Nullable(Decimal(38, 12)) COMMENT 'What the provider charges for this try; NULL when usage or price is unknown. The try that answered costs what requests.cost_usd says' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS `price_id` LowCardinality(String) COMMENT 'The entry of the prices table used; empty when none fits',
    ADD COLUMN IF NOT EXISTS `cost_multiplier` Decimal(18, 9) DEFAULT 1 COMMENT 'The key''s factor on the list price' CODEC(ZSTD(1))
