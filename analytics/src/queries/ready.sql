-- How many of the tables that this service reads are there.
SELECT count() AS present
FROM system.tables
WHERE database = {database:String} AND name IN ('requests', 'candidates', 'opened', 'prices', 'dead_letters', 'dead_letter_replays', 'bodies')
LIMIT {row_limit:UInt64}
