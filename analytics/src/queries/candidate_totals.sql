-- What some days add to the totals of candidates.
SELECT
    _partition_id AS partition_id,
    toString(verdict) AS verdict_label,
    toString(reason) AS reason_label,
    count() AS candidates
FROM candidates FINAL
WHERE _partition_id IN {partitions:Array(String)}
GROUP BY partition_id, verdict_label, reason_label
LIMIT {row_limit:UInt64}
