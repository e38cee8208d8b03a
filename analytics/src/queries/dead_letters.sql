-- How many events could not become rows and have not been stored by a replay since.
SELECT count() AS dead_letters
FROM dead_letters FINAL
WHERE (partition, incarnation, stream_seq, line) NOT IN (
    SELECT partition, incarnation, stream_seq, line FROM dead_letter_replays FINAL WHERE outcome IN ('stored', 'known')
)
LIMIT {row_limit:UInt64}
