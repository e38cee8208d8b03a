-- How many events were recorded since then.
SELECT sum(events) AS events
FROM (
    SELECT count() AS events FROM requests WHERE {{rows}}
    UNION ALL
    SELECT count() AS events FROM candidates WHERE {{rows}}
    UNION ALL
    SELECT count() AS events FROM opened WHERE {{rows}}
    UNION ALL
    SELECT count() AS events FROM bodies WHERE {{rows}}
)
LIMIT {row_limit:UInt64}
