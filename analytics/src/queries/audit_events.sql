-- Which event numbers of which ledgers have rows, as runs without a hole: those share their distance to their rank. A number
-- has one row; more of them are duplicates that no merge has removed yet. Numbers are given in order, so an event was
-- emitted no earlier than any before it: the minute of a run is that of the latest time told by it or a row before.
SELECT
    epoch,
    partition,
    toInt64(minute) AS minute,
    toString(max(gateway_name)) AS gateway,
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
        toInt64(seq) - toInt64(row_number() OVER numbers) AS run,
        intDiv(max(told_at) OVER numbers, 60) AS minute
    FROM (
        SELECT
            epoch, partition, seq, max(name) AS gateway_name, count() AS copies, max(dead) AS is_dead, max(time) AS told_at
        FROM (
            SELECT epoch, partition, seq, gateway AS name, false AS dead,
                toInt64(toUnixTimestamp(received_at)) + toInt64(intDiv(toInt64(duration_ms), 1000)) AS time
            FROM requests WHERE {{rows}}
            UNION ALL
            SELECT epoch, partition, seq, gateway AS name, false AS dead, toInt64(toUnixTimestamp(received_at)) AS time
            FROM candidates WHERE {{rows}}
            UNION ALL
            SELECT epoch, partition, seq, gateway AS name, false AS dead, toInt64(toUnixTimestamp(received_at)) AS time
            FROM opened WHERE {{rows}}
            UNION ALL
            SELECT epoch, partition, seq, gateway AS name, false AS dead, toInt64(toUnixTimestamp(received_at)) AS time
            FROM bodies WHERE {{rows}}
            UNION ALL
            SELECT assumeNotNull(ledger), partition, assumeNotNull(number), CAST('', 'LowCardinality(String)') AS name,
                true AS dead, time
            FROM (
                SELECT epoch AS ledger, partition, seq AS number, toInt64(toUnixTimestamp(published_at)) AS time
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
    WINDOW numbers AS (PARTITION BY epoch, partition ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
)
GROUP BY epoch, partition, run, minute
ORDER BY epoch, partition, first_seq
LIMIT {row_limit:UInt64}
