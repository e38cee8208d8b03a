-- Which event numbers of which ledgers have rows, as runs without a hole: those share their distance to their rank.
-- A number has one row; more of them are duplicates that no merge has removed yet.
SELECT
    epoch,
    partition,
    max(gateway_name) AS gateway,
    min(seq) AS first_seq,
    max(seq) AS last_seq,
    sum(copies) AS rows,
    countIf(is_dead) AS dead_letters
FROM (
    SELECT
        epoch,
        partition,
        seq,
        gateway_name,
        copies,
        is_dead,
        toInt64(seq) - toInt64(row_number() OVER (PARTITION BY epoch, partition ORDER BY seq)) AS run
    FROM (
        SELECT epoch, partition, seq, max(name) AS gateway_name, count() AS copies, max(dead) AS is_dead
        FROM (
            SELECT epoch, partition, seq, toString(gateway) AS name, false AS dead FROM requests WHERE {{rows}}
            UNION ALL
            SELECT epoch, partition, seq, toString(gateway) AS name, false AS dead FROM candidates WHERE {{rows}}
            UNION ALL
            SELECT epoch, partition, seq, toString(gateway) AS name, false AS dead FROM opened WHERE {{rows}}
            UNION ALL
            SELECT epoch, partition, seq, toString(gateway) AS name, false AS dead FROM bodies WHERE {{rows}}
            UNION ALL
            SELECT assumeNotNull(ledger), partition, assumeNotNull(number), '' AS name, true AS dead
            FROM (
                SELECT epoch AS ledger, partition, seq AS number
                FROM dead_letters
                WHERE {{rows}}
                  AND (partition, incarnation, stream_seq, line) NOT IN (
                      SELECT partition, incarnation, stream_seq, line
                      FROM dead_letter_replays FINAL
                      WHERE outcome IN ('stored', 'known')
                  )
            )
            WHERE ledger IS NOT NULL AND number IS NOT NULL
        )
        GROUP BY epoch, partition, seq
    )
)
GROUP BY epoch, partition, run
ORDER BY epoch, partition, first_seq
LIMIT {row_limit:UInt64}
