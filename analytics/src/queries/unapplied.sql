-- How many of this release's migrations the database has not seen.
SELECT toUInt64(length({names:Array(String)}) - uniqExact(name)) AS unapplied
FROM migrations
WHERE name IN {names:Array(String)}
LIMIT {row_limit:UInt64}
