-- What each day's data is made of: the value changes whenever rows are added, merged or changed.
SELECT
    table,
    partition_id,
    groupBitXor(cityHash64(name)) AS fingerprint
FROM system.parts
WHERE database = {database:String} AND active AND table IN ('requests', 'candidates')
GROUP BY table, partition_id
ORDER BY table, partition_id
LIMIT {row_limit:UInt64}
