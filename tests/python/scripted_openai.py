"""Drives a gateway with OpenAI's client, chat completions and responses, before a provider that looks at what it is asked.

Usage: scripted_openai.py BASE_URL CLIENT_KEY
"""

import asyncio
import json
import sys

import openai
from driving import ARGUMENTS, PNG, RESULT, SIGNATURE, THOUGHT, WEATHER, counted, raises, run

MODEL = "gpt-4o-mini"
HELLO = [{"role": "user", "content": "Hello"}]
IMAGE = f"data:image/png;base64,{PNG}"

base_url, key = sys.argv[1:]
client = openai.OpenAI(base_url=f"{base_url}/v1", api_key=key, max_retries=0)


# --- Chat completions


def chat(check, stream, **arguments):
    arguments = {"model": MODEL, "messages": HELLO, **arguments}
    if stream:
        with client.chat.completions.stream(**arguments, stream_options={"include_usage": True}) as answer:
            completion = answer.get_final_completion()
            headers = answer._response.headers  # The helper has no public name for it.
    else:
        raw = client.chat.completions.with_raw_response.create(**arguments)
        completion, headers = raw.parse(), raw.headers
    usage = completion.usage
    reasoning = usage.completion_tokens_details.reasoning_tokens
    counted(check, headers, usage.prompt_tokens, 0, usage.completion_tokens, reasoning)
    return completion.choices[0]


def check_chat_tool_round():
    tools = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]
    for stream in (False, True):
        first = chat("chat_tool_call", stream, tools=tools)
        call = first.message.tool_calls[0]
        assert first.finish_reason == "tool_calls", first
        assert (call.function.name, json.loads(call.function.arguments)) == ("weather", ARGUMENTS), call
        said = {"role": "assistant", "tool_calls": [call.model_dump(include={"id", "type", "function"})]}
        result = {"role": "tool", "tool_call_id": call.id, "content": RESULT}
        second = chat("chat_tool_result", stream, tools=tools, messages=HELLO + [said, result])
        assert f"[result {call.id} {RESULT}]" in second.message.content, second


def check_chat_image():
    content = [{"type": "image_url", "image_url": {"url": IMAGE}}, {"type": "text", "text": "What is this?"}]
    for stream in (False, True):
        choice = chat("chat_image", stream, messages=[{"role": "user", "content": content}])
        assert f"[image image/png {PNG}]" in choice.message.content, choice


def check_chat_reasoning():
    for stream in (False, True):
        message = chat("chat_reasoning", stream, reasoning_effort="low").message
        # Not OpenAI's, but of many who speak its dialect: the client keeps what it does not know.
        assert message.reasoning_content == THOUGHT, message


# --- Responses


def respond(check, stream, **arguments):
    arguments = {"model": MODEL, "input": HELLO, "store": False, **arguments}
    if stream:
        with client.responses.stream(**arguments) as answer:
            kinds = {event.type for event in answer}
            response = answer.get_final_response()
            headers = answer._response.headers  # The helper has no public name for it.
        assert {"response.created", "response.completed"} <= kinds, kinds
    else:
        raw = client.responses.with_raw_response.create(**arguments)
        response, headers = raw.parse(), raw.headers
    assert response.status == "completed", response
    counted_response(check, headers, response.usage)
    return response


def counted_response(check, headers, usage):
    cached, reasoning = usage.input_tokens_details.cached_tokens, usage.output_tokens_details.reasoning_tokens
    counted(check, headers, usage.input_tokens, cached, usage.output_tokens, reasoning)


def check_responses_text():
    for stream in (False, True):
        assert respond("responses_text", stream).output_text == "I see: "
    stream = client.responses.create(model=MODEL, input="Hello", stream=True)
    events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events))), events
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "I see: "
    counted_response("responses_events", stream.response.headers, events[-1].response.usage)


def check_responses_tool_round():
    tools = [{"type": "function", "name": "weather", "parameters": WEATHER, "strict": False}]
    for stream in (False, True):
        first = respond("responses_tool_call", stream, tools=tools)
        call = first.output[-1]
        assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "weather", ARGUMENTS), call
        said = {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments}
        result = {"type": "function_call_output", "call_id": call.call_id, "output": RESULT}
        second = respond("responses_tool_result", stream, tools=tools, input=HELLO + [said, result])
        assert f"[result {call.call_id} {RESULT}]" in second.output_text, second


def check_responses_image():
    content = [{"type": "input_image", "image_url": IMAGE, "detail": "auto"}, {"type": "input_text", "text": "What?"}]
    for stream in (False, True):
        response = respond("responses_image", stream, input=[{"role": "user", "content": content}])
        assert f"[image image/png {PNG}]" in response.output_text, response


def check_responses_reasoning():
    effort = {"effort": "low", "summary": "auto"}
    for stream in (False, True):
        first = respond("responses_reasoning", stream, reasoning=effort, include=["reasoning.encrypted_content"])
        thought = first.output[0]
        assert (thought.type, thought.summary[0].text) == ("reasoning", THOUGHT), thought
        assert first.usage.output_tokens_details.reasoning_tokens > 0, first.usage
        said = [{"type": "reasoning", "id": thought.id, "summary": [], "encrypted_content": thought.encrypted_content}]
        second = respond("responses_reasoning_again", stream, reasoning=effort, input=HELLO + said)
        assert f"[signature {SIGNATURE}]" in second.output_text, second


def check_responses_async():
    async def together():
        async with openai.AsyncOpenAI(base_url=f"{base_url}/v1", api_key=key, max_retries=0) as client:
            async def one(number):
                async with client.responses.stream(model=MODEL, input=f"Number {number}") as stream:
                    response = await stream.get_final_response()
                    counted_response(f"responses_async_{number}", stream._response.headers, response.usage)
            await asyncio.gather(*(one(number) for number in range(8)))

    asyncio.run(together())


def check_responses_errors():
    def create(client=client, model=MODEL):
        return lambda: client.responses.create(model=model, input="Hello")

    stranger = openai.OpenAI(base_url=f"{base_url}/v1", api_key="unknown", max_retries=0)
    assert raises(openai.AuthenticationError, 401, create(stranger)).code == "invalid_api_key"
    assert raises(openai.NotFoundError, 404, create(model="no-such-model")).code == "model_not_found"


def check_responses_broken_streams():
    # A stream that is cut ends in the gateway's error event, one that fails in the vendor's own.
    for script in ("cut", "error"):
        try:
            with client.responses.stream(model=MODEL, input="Hello", extra_headers={"x-script": script}) as stream:
                kinds = [event.type for event in stream]
        except openai.APIError as error:
            assert error.message, error
            continue
        raise AssertionError(f"{script}: a broken stream looks complete: {kinds}")


# --- Models


def check_models():
    models = [model.id for model in client.models.list()]
    assert {MODEL, "small"} <= set(models), models
    assert len(models) == len(set(models)), models
    assert client.models.retrieve(MODEL).id == MODEL
    raises(openai.NotFoundError, 404, lambda: client.models.retrieve("no-such-model"))


run(globals())
