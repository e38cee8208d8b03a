"""Drives a gateway with the vendors' own clients, unmodified but for their base URL.

Usage: drive.py BASE_URL CLIENT_KEY
"""

import asyncio
import json
import sys

import anthropic
import openai
from driving import WEATHER, counted, run

CLAUDE = "claude-sonnet-4-5"
GPT = "gpt-4o-mini"
HELLO = [{"role": "user", "content": "Tell me something about the sea."}]

base_url, key = sys.argv[1:]
claude = anthropic.Anthropic(base_url=base_url, api_key=key, max_retries=0)
claude_bearer = anthropic.Anthropic(base_url=base_url, auth_token=key, api_key=None, max_retries=0)
gpt = openai.OpenAI(base_url=f"{base_url}/v1", api_key=key, max_retries=0)


def counted_claude(check, headers, usage):
    cached = usage.cache_read_input_tokens or 0
    written = usage.cache_creation_input_tokens or 0
    assert usage.input_tokens > 0 and usage.output_tokens > 0, usage
    counted(check, headers, usage.input_tokens + cached + written, cached, usage.output_tokens)


def counted_gpt(check, headers, usage):
    details = usage.prompt_tokens_details
    assert usage.prompt_tokens > 0 and usage.completion_tokens > 0, usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, usage
    counted(check, headers, usage.prompt_tokens, details.cached_tokens or 0, usage.completion_tokens)


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def raises(kind, status, call):
    """The call fails with exactly this class of the vendor's, whose message comes from the body."""
    try:
        call()
    except (anthropic.APIStatusError, openai.APIStatusError) as error:
        assert type(error) is kind, f"{type(error).__name__}, not {kind.__name__}: {error}"
        assert error.status_code == status, error
        assert isinstance(error.body, dict), f"the body is no object: {error.body!r}"
        assert "x-weir-request-id" in error.response.headers, error.response.headers
        return error
    raise AssertionError(f"no {kind.__name__}")


# --- Anthropic


def check_claude_message():
    raw = claude.messages.with_raw_response.create(model=CLAUDE, max_tokens=400, messages=HELLO)
    message = raw.parse()
    assert message.type == "message" and message.role == "assistant", message
    assert message.stop_reason in ("end_turn", "max_tokens"), message
    assert text_of(message), message
    counted_claude("claude_message", raw.headers, message.usage)


def check_claude_bearer_token():
    raw = claude_bearer.messages.with_raw_response.create(model=CLAUDE, max_tokens=400, messages=HELLO)
    counted_claude("claude_bearer_token", raw.headers, raw.parse().usage)


def check_claude_stream_events():
    stream = claude.messages.create(model=CLAUDE, max_tokens=400, messages=HELLO, stream=True)
    kinds, text, usage = [], "", None
    for event in stream:
        kinds.append(event.type)
        if event.type == "message_start":
            usage = event.message.usage
        elif event.type == "content_block_delta" and event.delta.type == "text_delta":
            text += event.delta.text
        elif event.type == "message_delta":
            usage.output_tokens = event.usage.output_tokens
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop", kinds
    assert text and kinds.count("content_block_delta") > 1, kinds
    counted_claude("claude_stream_events", stream.response.headers, usage)


def check_claude_stream_helper():
    with claude.messages.stream(model=CLAUDE, max_tokens=400, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
        headers = stream.response.headers
    assert text and text == text_of(message), message
    counted_claude("claude_stream_helper", headers, message.usage)


def check_claude_stream_helper_with_thinking():
    thinking = {"type": "enabled", "budget_tokens": 1024}
    with claude.messages.stream(model=CLAUDE, max_tokens=4000, messages=HELLO, thinking=thinking) as stream:
        kinds = {event.type for event in stream}
        message = stream.get_final_message()
        headers = stream.response.headers
    assert "thinking" in [block.type for block in message.content], message
    assert {"thinking", "text"} <= kinds, kinds
    counted_claude("claude_stream_helper_with_thinking", headers, message.usage)


def check_claude_stream_helper_with_tool():
    tools = [{"name": "weather", "description": "The weather", "input_schema": WEATHER}]
    choice = {"type": "tool", "name": "weather"}
    arguments = dict(model=CLAUDE, max_tokens=400, messages=HELLO, tools=tools, tool_choice=choice)
    with claude.messages.stream(**arguments) as stream:
        message = stream.get_final_message()
        headers = stream.response.headers
    call = next(block for block in message.content if block.type == "tool_use")
    assert call.name == "weather" and isinstance(call.input, dict) and call.input, call
    assert message.stop_reason == "tool_use", message
    counted_claude("claude_stream_helper_with_tool", headers, message.usage)


def check_claude_prompt_cache():
    for turn in range(6):
        text = f"Turn {turn}. " + "You know the sea. " * 400
        system = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
        raw = claude.messages.with_raw_response.create(model=CLAUDE, max_tokens=50, messages=HELLO, system=system)
        counted_claude(f"claude_prompt_cache_{turn}", raw.headers, raw.parse().usage)


def check_claude_async():
    async def run():
        async with anthropic.AsyncAnthropic(base_url=base_url, api_key=key, max_retries=0) as client:
            async def one(number):
                messages = [{"role": "user", "content": f"Number {number}"}]
                async with client.messages.stream(model=CLAUDE, max_tokens=200, messages=messages) as stream:
                    message = await stream.get_final_message()
                    counted_claude(f"claude_async_{number}", stream.response.headers, message.usage)
            await asyncio.gather(*(one(number) for number in range(8)))

    asyncio.run(run())


def check_claude_errors():
    def create(client=claude, model=CLAUDE, messages=HELLO, **more):
        return lambda: client.messages.create(model=model, max_tokens=50, messages=messages, **more)

    def fault(name):
        return {"extra_headers": {"x-simulate": name}}

    stranger = anthropic.Anthropic(base_url=base_url, api_key="unknown", max_retries=0)
    error = raises(anthropic.AuthenticationError, 401, create(stranger))
    assert error.body["error"]["type"] == "authentication_error", error.body
    error = raises(anthropic.NotFoundError, 404, create(model="no-such-model"))
    assert error.body["error"]["type"] == "not_found_error", error.body
    raises(anthropic.BadRequestError, 400, create(messages=[]))
    raises(anthropic.RequestTooLargeError, 413, create(messages=[{"role": "user", "content": "x" * 300_000}]))
    error = raises(anthropic.RateLimitError, 429, create(**fault("error-429-7")))
    assert error.response.headers["retry-after"] == "7", error.response.headers
    raises(anthropic.OverloadedError, 529, create(**fault("error-529")))
    raises(anthropic.InternalServerError, 500, create(**fault("error-500")))


def check_claude_broken_streams():
    for fault in ("cut", "stream-error"):
        try:
            with claude.messages.stream(
                model=CLAUDE, max_tokens=400, messages=HELLO, extra_headers={"x-simulate": fault}
            ) as stream:
                message = stream.get_final_message()
        except anthropic.APIError:
            continue
        except Exception as error:  # What the HTTP library raises for a broken body.
            assert "httpx" in type(error).__module__ or "httpcore" in type(error).__module__, repr(error)
            continue
        raise AssertionError(f"{fault}: a broken stream looks complete: {message}")


# --- OpenAI


def check_gpt_completion():
    raw = gpt.chat.completions.with_raw_response.create(model=GPT, messages=HELLO)
    completion = raw.parse()
    assert completion.object == "chat.completion", completion
    assert completion.choices[0].message.content and completion.choices[0].finish_reason == "stop", completion
    counted_gpt("gpt_completion", raw.headers, completion.usage)


def check_gpt_stream_with_usage():
    options = {"include_usage": True}
    stream = gpt.chat.completions.create(model=GPT, messages=HELLO, stream=True, stream_options=options)
    chunks = list(stream)
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True], chunks
    assert chunks[-1].choices == [], chunks[-1]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]), chunks
    counted_gpt("gpt_stream_with_usage", stream.response.headers, chunks[-1].usage)


def check_gpt_stream_without_usage():
    stream = gpt.chat.completions.create(model=GPT, messages=HELLO, stream=True)
    chunks = list(stream)
    assert all(chunk.usage is None and chunk.choices for chunk in chunks), "a chunk that nobody asked for"
    assert chunks[-1].choices[0].finish_reason == "stop", chunks[-1]
    # The client cannot count, but the bill can.
    counted("gpt_stream_without_usage", stream.response.headers, None, None, None)


def check_gpt_stream_helper():
    with gpt.chat.completions.stream(model=GPT, messages=HELLO, stream_options={"include_usage": True}) as stream:
        kinds = {event.type for event in stream}
        completion = stream.get_final_completion()
        headers = stream._response.headers  # The helper has no public name for it.
    assert {"content.delta", "content.done"} <= kinds, kinds
    assert completion.choices[0].message.content, completion
    counted_gpt("gpt_stream_helper", headers, completion.usage)


def check_gpt_tool_call():
    tools = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]
    arguments = dict(model=GPT, messages=HELLO, tools=tools, tool_choice="required")
    raw = gpt.chat.completions.with_raw_response.create(**arguments)
    completion = raw.parse()
    call = completion.choices[0].message.tool_calls[0]
    assert call.function.name == "weather" and json.loads(call.function.arguments), call
    counted_gpt("gpt_tool_call", raw.headers, completion.usage)
    with gpt.chat.completions.stream(**arguments, stream_options={"include_usage": True}) as stream:
        completion = stream.get_final_completion()
        headers = stream._response.headers  # The helper has no public name for it.
    call = completion.choices[0].message.tool_calls[0]
    assert call.function.name == "weather" and json.loads(call.function.arguments), call
    counted_gpt("gpt_tool_call_streamed", headers, completion.usage)


def check_gpt_async():
    async def run():
        async with openai.AsyncOpenAI(base_url=f"{base_url}/v1", api_key=key, max_retries=0) as client:
            async def one(number):
                messages = [{"role": "user", "content": f"Number {number}"}]
                raw = await client.chat.completions.with_raw_response.create(model=GPT, messages=messages)
                counted_gpt(f"gpt_async_{number}", raw.headers, raw.parse().usage)
            await asyncio.gather(*(one(number) for number in range(8)))

    asyncio.run(run())


def check_gpt_errors():
    def create(client=gpt, model=GPT, messages=HELLO, **more):
        return lambda: client.chat.completions.create(model=model, messages=messages, **more)

    def fault(name):
        return {"extra_headers": {"x-simulate": name}}

    stranger = openai.OpenAI(base_url=f"{base_url}/v1", api_key="unknown", max_retries=0)
    error = raises(openai.AuthenticationError, 401, create(stranger))
    assert error.code == "invalid_api_key", error.body
    error = raises(openai.NotFoundError, 404, create(model="no-such-model"))
    assert error.code == "model_not_found", error.body
    raises(openai.BadRequestError, 400, create(messages=[]))
    raises(openai.APIStatusError, 413, create(messages=[{"role": "user", "content": "x" * 300_000}]))
    error = raises(openai.RateLimitError, 429, create(**fault("error-429-7")))
    assert error.response.headers["retry-after"] == "7", error.response.headers
    raises(openai.InternalServerError, 503, create(**fault("error-503")))


def check_gpt_broken_streams():
    for fault in ("cut", "stream-error"):
        try:
            stream = gpt.chat.completions.create(
                model=GPT, messages=HELLO, stream=True, extra_headers={"x-simulate": fault}
            )
            chunks = list(stream)
        except openai.APIError:
            continue
        except Exception as error:  # What the HTTP library raises for a broken body.
            assert "httpx" in type(error).__module__ or "httpcore" in type(error).__module__, repr(error)
            continue
        raise AssertionError(f"{fault}: a broken stream looks complete: {chunks[-1]}")


run(globals())
