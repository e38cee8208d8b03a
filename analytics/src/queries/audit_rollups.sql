-- Buckets of which a rollup holds something else than its rows add up to. Side 0 is what there should be, side 1 what there
-- is. Each table's rows are summed up by minute once, for the
-- rollups that are made of them and their hours and days. Repricings add to the cost alone.
SELECT
    rollup,
    toDateTime64(start, 6, 'UTC') AS bucket,
    sumIf(counted, side = 0) AS expected_count,
    sumIf(counted, side = 1) AS found_count,
    sumIf(input, side = 0) AS expected_input_tokens,
    sumIf(input, side = 1) AS found_input_tokens,
    sumIf(output, side = 0) AS expected_output_tokens,
    sumIf(output, side = 1) AS found_output_tokens,
    CAST(sumIf(cost, side = 0), 'Decimal(38, 12)') AS expected_cost_usd,
    CAST(sumIf(cost, side = 1), 'Decimal(38, 12)') AS found_cost_usd,
    max(written_at) AS recorded_at
FROM (
    SELECT
        concat(family, '_', grain.1) AS rollup, grain.2 AS start, 0 AS side, counted, input, output, cost, written_at
    FROM (
        SELECT sums.1 AS family, minute, sums.2 AS counted, sums.3 AS input, sums.4 AS output, sums.5 AS cost, written_at
        FROM (
            SELECT
                toStartOfMinute(toDateTime(received_at, 'UTC')) AS minute,
                toInt64(count()) AS all_requests,
                toInt64(countIf(attempts > 0)) AS sent_requests,
                toInt64(sum(ifNull(input_tokens, 0))) AS all_input,
                toInt64(sum(ifNull(output_tokens, 0))) AS all_output,
                CAST(sum(ifNull(cost_usd, 0)), 'Decimal(38, 12)') AS all_cost,
                max(recorded_at) AS written_at
            FROM requests FINAL
            WHERE received_at >= toDateTime64({minute_from:Int64}, 6, 'UTC')
              AND received_at < toDateTime64({minute_to:Int64}, 6, 'UTC')
            GROUP BY minute
        )
        ARRAY JOIN [
            ('usage', all_requests, all_input, all_output, all_cost),
            ('latency', sent_requests, toInt64(0), toInt64(0), CAST(0, 'Decimal(38, 12)'))
        ] AS sums
        UNION ALL
        SELECT
            'usage', toStartOfMinute(toDateTime(received_at, 'UTC')) AS minute, toInt64(0), toInt64(0), toInt64(0),
            CAST(sum(ifNull(cost_delta_usd, 0)), 'Decimal(38, 12)'), max(toDateTime64(adjusted_at, 6, 'UTC'))
        FROM adjustments FINAL
        WHERE received_at >= toDateTime64({minute_from:Int64}, 6, 'UTC')
          AND received_at < toDateTime64({minute_to:Int64}, 6, 'UTC')
        GROUP BY minute
        UNION ALL
        SELECT family, minute, counted, input, output, CAST(0, 'Decimal(38, 12)'), written_at
        FROM (
            SELECT
                toStartOfMinute(toDateTime(received_at, 'UTC')) AS minute,
                toInt64(count()) AS counted,
                toInt64(sum(ifNull(input_tokens, 0))) AS input,
                toInt64(sum(ifNull(output_tokens, 0))) AS output,
                max(recorded_at) AS written_at
            FROM candidates FINAL
            WHERE received_at >= toDateTime64({minute_from:Int64}, 6, 'UTC')
              AND received_at < toDateTime64({minute_to:Int64}, 6, 'UTC')
            GROUP BY minute
        )
        ARRAY JOIN ['candidates', 'health'] AS family
    )
    ARRAY JOIN [('1m', minute), ('1h', toStartOfHour(minute)), ('1d', toStartOfDay(minute))] AS grain
    WHERE grain.1 = '1m'
       OR (grain.1 = '1h' AND minute >= toDateTime64({hour_from:Int64}, 0, 'UTC')
           AND minute < toDateTime64({hour_to:Int64}, 0, 'UTC'))
       OR (grain.1 = '1d' AND minute >= toDateTime64({day_from:Int64}, 0, 'UTC')
           AND minute < toDateTime64({day_to:Int64}, 0, 'UTC'))
    UNION ALL
    {{rollups}}
)
GROUP BY `rollup`, start
HAVING (expected_count, expected_input_tokens, expected_output_tokens, expected_cost_usd)
    != (found_count, found_input_tokens, found_output_tokens, found_cost_usd)
ORDER BY start, `rollup`
LIMIT {row_limit:UInt64}
