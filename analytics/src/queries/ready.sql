-- How many of the tables that this service reads are there.
SELECT count() AS present
FROM system.tables
WHERE database = {database:String} AND name IN (
    'requests', 'candidates', 'opened', 'prices', 'dead_letters', 'dead_letter_replays', 'bodies', 'adjustments',
    'usage_1m', 'usage_1h', 'usage_1d', 'candidates_1m', 'candidates_1h', 'candidates_1d',
    'latency_1m', 'latency_1h', 'latency_1d', 'health_1m', 'health_1h', 'health_1d', 'backfills'
)
LIMIT {row_limit:UInt64}
