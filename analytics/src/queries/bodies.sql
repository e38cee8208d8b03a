-- What was said in one request, where the gateway captured it: the exchange first, then answers that could not be read.
SELECT {{columns}}
FROM bodies FINAL
WHERE request_id = {request_id:UUID}
  AND {{scope}}
ORDER BY scope = 'attempt', seq
LIMIT {row_limit:UInt64}
