-- The price book, one row per entry and context tier; written by the recorder at its start.
CREATE TABLE IF NOT EXISTS {database}.prices {on_cluster}
(
    `price_id` String COMMENT 'The entry, as in requests.price_id',
    `over_input_tokens` UInt64 COMMENT 'The tier holds for requests with more input tokens than this; 0 is the base tier',
    `provider` LowCardinality(String) COMMENT 'The provider''s name, as in [[providers]]',
    `first_party` Bool COMMENT 'Whether this is the maker''s own list price, which also serves providers that the book does not know',
    `models` Array(String) COMMENT 'Model names; a * at the end stands for any rest',
    `valid_from` DateTime64(6, 'UTC') COMMENT 'From when on; until the next entry for the same model',
    `source` String COMMENT 'The page it was read from',
    `input_usd_per_token` Decimal(38, 12) COMMENT 'Per token of requests.fresh_input_tokens',
    `output_usd_per_token` Decimal(38, 12) COMMENT 'Per token of requests.output_tokens',
    `cache_read_usd_per_token` Nullable(Decimal(38, 12)) COMMENT 'Per token of requests.cache_read_tokens; NULL when the provider has no such price',
    `cache_write_5m_usd_per_token` Nullable(Decimal(38, 12)) COMMENT 'Per token of requests.cache_write_5m_tokens; NULL when the provider has no such price',
    `cache_write_1h_usd_per_token` Nullable(Decimal(38, 12)) COMMENT 'Per token of requests.cache_write_1h_tokens; NULL when the provider has no such price',
    `per_request_usd` Decimal(38, 12) COMMENT 'Charged once per answered request',
    `recorded_at` DateTime64(6, 'UTC') COMMENT 'When the recorder wrote this row'
)
ENGINE = {engine:ReplacingMergeTree(recorded_at)}
ORDER BY (`price_id`, `over_input_tokens`)
SETTINGS
    non_replicated_deduplication_window = 100000,
    replicated_deduplication_window = 100000,
    replicated_deduplication_window_seconds = 604800
COMMENT 'List prices. Join: requests.price_id = prices.price_id, taking the highest over_input_tokens below input_tokens'
