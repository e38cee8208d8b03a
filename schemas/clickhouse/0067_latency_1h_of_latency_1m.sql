-- Fills latency_1h as rows are inserted into latency_1m: their states are merged, and not computed again.
CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.latency_1h_of_latency_1m {on_cluster} TO {database}.latency_1h AS
SELECT * REPLACE (toStartOfHour(bucket) AS bucket)
FROM {database}.latency_1m
