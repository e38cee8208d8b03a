INSERT INTO requests (
    request_id, outcome, client, user, tags, format, operation, is_stream, provider, endpoint, key,
    model_requested, model, model_upstream, model_reported, status, upstream_status, error_class, error_message, stop_reason,
    attempts, received_at, ttft_ms, duration_ms,
    input_tokens, fresh_input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens,
    usage_source, normaliser, cost_usd, price_id, cost_multiplier, request_bytes, response_bytes, stream_events,
    user_agent, gateway, epoch, partition, seq, recorded_at, cache_saved_usd
)
SELECT
    id, ended, {clients}[c], concat('user-', toString(toUInt32(pow(bitShiftRight(h3, 40) / 16777216, 3) * 20000))),
    map('project', {projects}[c], 'environment', if(h3 % 5 = 0, 'staging', 'production')),
    if({model_format}[m] = 'openai_chat' AND h2 % 3 = 0, 'openai_responses', {model_format}[m]), 'generate', streams,
    if(is_rejected, '', {providers_names}[p]), if(is_rejected, '', {model_endpoint}[m]),
    if(is_rejected, '', if(bitShiftRight(h1, 40) % 4 = 0, 'second', 'main')),
    {model_names}[m], {model_names}[m], if(is_rejected, '', {model_names}[m]), if(has_answer, {model_names}[m], ''),
    multiIf(has_answer, 200, is_rejected, if(class = 'limit_exceeded', 429, 400), class = 'upstream_rate_limited', 429, 502),
    multiIf(is_rejected, NULL, has_answer, 200, class = 'upstream_rate_limited', 429, if(h2 % 2 = 0, 529, 503)),
    class, if(class = '', '', concat('simulated: ', class)), multiIf(ended = 'completed', 'end_turn', ''),
    tries, at,
    if(has_answer, if(streams, first_ms, first_ms + writing_ms), NULL),
    multiIf(is_rejected, 1 + h1 % 3, is_failed, 400 + h1 % 3000, first_ms + writing_ms),
    if(has_answer, prompt, NULL), if(has_answer, fresh, NULL), if(has_answer, cached, NULL),
    if(has_answer, written, NULL), if(has_answer, 0, NULL), if(has_answer, answer, NULL),
    multiIf(not has_answer, 'none', is_estimated, 'estimated', 'provider'), 1,
    if(has_answer AND {model_is_priced}[m],
        fresh * {model_input}[m] + cached * {model_cache_read}[m] + written * {model_cache_write}[m] + answer * {model_output}[m], NULL),
    if(is_rejected, '', {model_price}[m]), 1,
    200 + prompt * 4, if(has_answer, 300 + answer * 40, 120), if(has_answer AND streams, 3 + answer, 0),
    ['anthropic-sdk-python', 'openai-node', 'google-genai-python', 'curl'][1 + bitShiftRight(h2, 52) % 4],
    concat('gateway-', toString(1 + h2 % 3)), toUUID('{epoch}'), 0, n + 1, at + toIntervalMillisecond(900),
    if(has_answer AND {model_is_priced}[m],
        cached * ({model_input}[m] - {model_cache_read}[m]) + written * ({model_input}[m] - {model_cache_write}[m]), NULL)
FROM (
{events})
