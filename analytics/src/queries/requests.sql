-- Requests, newest first.
SELECT {{columns}}
FROM requests FINAL
WHERE {{scope}}
ORDER BY received_at DESC, request_id DESC
LIMIT {row_limit:UInt64}
