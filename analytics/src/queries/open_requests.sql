-- How many requests are running, or wait for a gateway's ledger to settle them.
SELECT count() AS open_requests
FROM open_requests
LIMIT {row_limit:UInt64}
