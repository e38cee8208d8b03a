-- How one request ended.
SELECT {{columns}}
FROM requests FINAL
WHERE request_id = {request_id:UUID}
  AND {{scope}}
ORDER BY recorded_at
LIMIT {row_limit:UInt64}
