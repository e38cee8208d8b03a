-- How many families of rollups hold everything that was recorded before they were made.
SELECT uniqExact(family) AS families
FROM backfills
LIMIT {row_limit:UInt64}
