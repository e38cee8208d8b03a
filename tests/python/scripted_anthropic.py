"""Drives a gateway with Anthropic's client, before a provider that looks at what it is asked.

Usage: scripted_anthropic.py BASE_URL CLIENT_KEY
"""

import sys

import anthropic
from driving import ARGUMENTS, PNG, RESULT, SIGNATURE, THOUGHT, WEATHER, counted, raises, run

MODEL = "claude-sonnet-4-5"
HELLO = [{"role": "user", "content": "Hello"}]
TOOLS = [{"name": "weather", "description": "The weather", "input_schema": WEATHER}]
THINKING = {"type": "enabled", "budget_tokens": 1024}

base_url, key = sys.argv[1:]
client = anthropic.Anthropic(base_url=base_url, api_key=key, max_retries=0)


def ask(check, stream, **arguments):
    arguments = {"model": MODEL, "max_tokens": 4000, "messages": HELLO, **arguments}
    if stream:
        with client.messages.stream(**arguments) as answer:
            message = answer.get_final_message()
            headers = answer.response.headers
    else:
        raw = client.messages.with_raw_response.create(**arguments)
        message, headers = raw.parse(), raw.headers
    usage = message.usage
    counted(check, headers, usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens)
    return message


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def tool_round(stream):
    first = ask("claude_tool_call", stream, tools=TOOLS)
    assert first.stop_reason == "tool_use", first
    call = first.content[-1]
    assert (call.type, call.name, call.input) == ("tool_use", "weather", ARGUMENTS), call
    result = {"type": "tool_result", "tool_use_id": call.id, "content": RESULT}
    messages = HELLO + [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = ask("claude_tool_result", stream, tools=TOOLS, messages=messages)
    assert second.stop_reason == "end_turn" and f"[result {call.id} {RESULT}]" in text_of(second), second


def check_tool_round():
    tool_round(False)
    tool_round(True)


def check_image():
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
    for stream in (False, True):
        message = ask("claude_image", stream, messages=[{"role": "user", "content": content}])
        assert f"[image image/png {PNG}]" in text_of(message), message


def check_thinking():
    for stream in (False, True):
        first = ask("claude_thinking", stream, thinking=THINKING)
        thought = first.content[0]
        assert (thought.type, thought.thinking, thought.signature) == ("thinking", THOUGHT, SIGNATURE), thought
        assert first.usage.output_tokens_details.thinking_tokens > 0, first.usage
        messages = HELLO + [{"role": "assistant", "content": first.content}] + HELLO
        second = ask("claude_thinking_again", stream, thinking=THINKING, messages=messages)
        assert f"[signature {SIGNATURE}]" in text_of(second), second


def check_tokens_are_counted():
    raw = client.messages.with_raw_response.count_tokens(model=MODEL, messages=HELLO, tools=TOOLS)
    assert raw.parse().input_tokens > 7, raw.parse()
    counted("claude_count_tokens", raw.headers, None, None, None)
    create = lambda: client.messages.count_tokens(model="no-such-model", messages=HELLO)
    raises(anthropic.NotFoundError, 404, create)


def check_models():
    models = [model.id for model in client.models.list()]
    assert MODEL in models and "sonnet" in models, models
    assert not any(model.startswith(("gpt", "gemini")) for model in models), models
    assert client.models.retrieve(MODEL).id == MODEL
    raises(anthropic.NotFoundError, 404, lambda: client.models.retrieve("no-such-model"))
    stranger = anthropic.Anthropic(base_url=base_url, api_key="unknown", max_retries=0)
    raises(anthropic.AuthenticationError, 401, lambda: stranger.models.list())


run(globals())
