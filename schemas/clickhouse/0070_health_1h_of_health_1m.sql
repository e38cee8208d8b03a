-- Fills health_1h as rows are inserted into health_1m: their states are merged, and not computed again.
CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.health_1h_of_health_1m {on_cluster} TO {database}.health_1h AS
SELECT * REPLACE (toStartOfHour(bucket) AS bucket)
FROM {database}.health_1m
