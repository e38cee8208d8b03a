-- How one request was let in.
SELECT {{columns}}
FROM opened FINAL
WHERE request_id = {request_id:UUID}
  AND {{scope}}
ORDER BY recorded_at
LIMIT {row_limit:UInt64}
