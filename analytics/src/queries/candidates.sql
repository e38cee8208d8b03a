-- Every endpoint and key that was considered for one request.
SELECT {{columns}}
FROM candidates FINAL
WHERE request_id = {request_id:UUID}
  AND {{scope}}
ORDER BY candidate_index, attempt_index, seq
LIMIT {row_limit:UInt64}
