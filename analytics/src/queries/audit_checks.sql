-- Requests of a range of which something may be wrong, by kind. Both events of a request carry the same received_at.
SELECT
    toUInt64(assumeNotNull((
        SELECT count() FROM opened FINAL
        WHERE {{scope}}
          AND received_at < fromUnixTimestamp64Micro({overdue_before_micros:Int64}, 'UTC')
          AND request_id NOT IN (SELECT request_id FROM requests WHERE {{scope}})
    ))) AS overdue_requests,
    toUInt64(assumeNotNull((
        SELECT count() - uniqExact(request_id) FROM requests FINAL
        WHERE {{scope}}
    ))) AS ended_twice_requests,
    toUInt64(assumeNotNull((
        SELECT count() FROM requests FINAL
        WHERE {{scope}}
          AND attempts > 0
          AND request_id NOT IN (SELECT request_id FROM opened WHERE {{scope}})
    ))) AS never_opened_requests,
    toUInt64(assumeNotNull((
        SELECT count() FROM dead_letters FINAL
        WHERE recorded_at >= fromUnixTimestamp64Micro({from_micros:Int64}, 'UTC')
          AND recorded_at < fromUnixTimestamp64Micro({to_micros:Int64}, 'UTC')
          AND (partition, incarnation, stream_seq, line) NOT IN (
              SELECT partition, incarnation, stream_seq, line
              FROM dead_letter_replays FINAL
              WHERE outcome IN ('stored', 'known')
          )
    ))) AS dead_letters,
    toUInt64(assumeNotNull((
        SELECT countIf(cost_usd IS NULL AND input_tokens IS NOT NULL AND output_tokens IS NOT NULL)
        FROM requests FINAL
        WHERE {{scope}} AND attempts > 0
    ))) AS unpriced_requests,
    toUInt64(assumeNotNull((
        SELECT countIf(input_tokens IS NULL OR output_tokens IS NULL)
        FROM requests FINAL
        WHERE {{scope}} AND attempts > 0 AND outcome IN ('completed', 'interrupted', 'cancelled')
    ))) AS unknown_usage_requests
LIMIT {row_limit:UInt64}
