-- How many events could not become rows.
SELECT count() AS dead_letters
FROM dead_letters FINAL
LIMIT {row_limit:UInt64}
