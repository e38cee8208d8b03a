-- What some days add to the histograms of tokens per request: how many requests used at most each of the bounds.
WITH
    multiIf(provider = '', 'none', has({providers:Array(String)}, provider), toString(provider), 'unlisted') AS provider_label,
    multiIf(model = '', 'none', has({models:Array(String)}, model), toString(model), 'unlisted') AS model_label
SELECT
    _partition_id AS partition_id,
    provider_label,
    model_label,
    count(input_tokens) AS input_requests,
    count(output_tokens) AS output_requests,
    ifNull(sum(input_tokens), 0) AS input_tokens,
    ifNull(sum(output_tokens), 0) AS output_tokens,
    sumForEach(arrayMap(bound -> toUInt64(ifNull(input_tokens <= bound, 0)), {bounds:Array(UInt64)})) AS input_buckets,
    sumForEach(arrayMap(bound -> toUInt64(ifNull(output_tokens <= bound, 0)), {bounds:Array(UInt64)})) AS output_buckets
FROM requests FINAL
WHERE _partition_id IN {partitions:Array(String)}
GROUP BY partition_id, provider_label, model_label
LIMIT {row_limit:UInt64}
