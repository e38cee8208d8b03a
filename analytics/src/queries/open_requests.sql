-- How many requests of the last day are running, or wait for a gateway's ledger to settle them. Both events of a request
-- carry the same received_at, so the two windows hold the same requests.
SELECT count() AS open_requests
FROM opened FINAL
WHERE received_at >= now() - INTERVAL 1 DAY
  AND request_id NOT IN (
    SELECT request_id
    FROM requests
    WHERE received_at >= now() - INTERVAL 1 DAY
)
LIMIT {row_limit:UInt64}
