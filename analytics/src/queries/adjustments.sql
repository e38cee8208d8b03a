-- How the cost of one request was changed by repricings, in order.
SELECT {{columns}}
FROM adjustments FINAL
WHERE request_id = {request_id:UUID}
  AND {{scope}}
ORDER BY revision
LIMIT {row_limit:UInt64}
