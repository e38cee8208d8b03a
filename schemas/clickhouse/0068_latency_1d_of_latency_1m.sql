-- Fills latency_1d as rows are inserted into latency_1m: their states are merged, and not computed again.
CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.latency_1d_of_latency_1m {on_cluster} TO {database}.latency_1d AS
SELECT * REPLACE (toStartOfDay(bucket) AS bucket)
FROM {database}.latency_1m
