-- Requests that were let in and have not ended: running now, or waiting for a gateway's ledger to settle them.
CREATE VIEW IF NOT EXISTS {database}.open_requests {on_cluster} AS
SELECT
    `request_id`,
    `client`,
    `user`,
    `tags`,
    `format`,
    `is_stream`,
    `model_requested`,
    `model`,
    `request_bytes`,
    `received_at`,
    `client_request_id`,
    `user_agent`,
    `gateway`,
    `epoch`,
    `partition`,
    `seq`,
    `recorded_at`
FROM {database}.opened FINAL
WHERE `request_id` NOT IN (
    SELECT `request_id`
    FROM {database}.requests
    WHERE `received_at` >= now() - INTERVAL 31 DAY
)
