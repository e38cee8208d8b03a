INSERT INTO candidates (
    request_id, candidate_index, attempt_index, verdict, reason, provider, endpoint, key, model_upstream, status,
    error_class, error_message, started_at, headers_ms, first_content_ms, duration_ms, response_bytes,
    input_tokens, fresh_input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens,
    received_at, client, gateway, epoch, partition, seq, recorded_at
)
SELECT
    id, turn - 1, 0, if(succeeds, 'succeeded', 'failed'), if(succeeds, 'chosen', 'failover'), {providers_names}[p], {model_endpoint}[m],
    if((bitShiftRight(h1, 40) % 4 = 0) = (turn = tries), 'second', 'main'), {model_names}[m],
    multiIf(succeeds, 200, turn_class = 'upstream_rate_limited', 429, if(h2 % 2 = 0, 529, 503)),
    if(succeeds, '', turn_class), if(succeeds, '', concat('simulated: ', turn_class)),
    at + toIntervalMillisecond(turn - 1), first_ms * 0.8, if(succeeds, first_ms, NULL),
    if(succeeds, first_ms + writing_ms, first_ms * 0.8), if(succeeds, 300 + answer * 40, 120),
    if(succeeds, prompt, NULL), if(succeeds, fresh, NULL), if(succeeds, cached, NULL), if(succeeds, written, NULL),
    if(succeeds, 0, NULL), if(succeeds, answer, NULL),
    at, {clients}[c], concat('gateway-', toString(1 + h2 % 3)), toUUID('{epoch}'), 1, n * 4 + turn, at + toIntervalMillisecond(900)
FROM (
    SELECT *, turn, turn = tries AND has_answer AS succeeds, if(is_failed, class, 'upstream_server_error') AS turn_class
    FROM (
{events})
    ARRAY JOIN range(1, tries + 1) AS turn
)
