-- Days that were priced again before cache_saved_requests was there have said 0 where nobody knows what caches saved: they are to be
-- checked once more. To repeat this is to check them once more than needed.
INSERT INTO {database}.seals (family, day, checked_at, closed_until, fingerprint, verdict, differing_hours, counted_before, counted, recorder)
SELECT 'usage', toDate(received_at, 'UTC') AS repriced_day, now64(6), toDateTime(repriced_day, 'UTC'), 0, 'doubted', [], 0, 0, 'migration'
FROM {database}.adjustments
GROUP BY repriced_day
