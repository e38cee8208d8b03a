-- Requests that a provider has probably charged for and whose cost is not known, each with the reason.
CREATE VIEW IF NOT EXISTS {database}.unaccounted {on_cluster} AS
SELECT
    multiIf(
        `input_tokens` IS NULL OR `output_tokens` IS NULL, 'usage_unknown',
        `price_id` = '', 'price_unknown',
        'price_incomplete'
    ) AS `why`,
    `request_id`,
    `outcome`,
    `client`,
    `user`,
    `provider`,
    `endpoint`,
    `key`,
    `model`,
    `model_upstream`,
    `model_reported`,
    `received_at`,
    `input_tokens`,
    `output_tokens`,
    `usage_source`,
    `raw_usage`,
    `price_id`,
    `error_class`,
    `upstream_request_id`,
    `gateway`
FROM {database}.requests FINAL
WHERE `cost_usd` IS NULL
  AND `attempts` > 0
  AND (`outcome` IN ('completed', 'interrupted', 'cancelled') OR `input_tokens` IS NOT NULL OR `output_tokens` IS NOT NULL)
