"""Drives a gateway with Google's client, before a provider that looks at what it is asked.

Usage: scripted_google.py BASE_URL CLIENT_KEY
"""

import asyncio
import base64
import sys

from driving import ARGUMENTS, PNG, RESULT, SIGNATURE, THOUGHT, counted, raises, run
from google import genai
from google.genai import errors, types

MODEL = "gemini-2.5-flash"
WEATHER = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="weather",
            description="The weather",
            parameters=types.Schema(
                type=types.Type.OBJECT,
                properties={"location": {"type": "STRING"}, "days": {"type": "INTEGER"}},
                required=["location"],
            ),
        )
    ]
)

base_url, key = sys.argv[1:]
options = types.HttpOptions(base_url=base_url)
client = genai.Client(api_key=key, http_options=options)


def counted_gemini(check, headers, usage):
    headers = {name.lower(): value for name, value in headers.items()}
    thoughts = usage.thoughts_token_count or 0
    output = (usage.candidates_token_count or 0) + thoughts
    counted(check, headers, usage.prompt_token_count, usage.cached_content_token_count or 0, output, thoughts)


def ask(check, stream, contents="Hello", **config):
    arguments = {"model": MODEL, "contents": contents, "config": types.GenerateContentConfig(**config)}
    if not stream:
        response = client.models.generate_content(**arguments)
        counted_gemini(check, response.sdk_http_response.headers, response.usage_metadata)
        return response.candidates[0].content.parts
    chunks = list(client.models.generate_content_stream(**arguments))
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP, chunks[-1]
    counted_gemini(check, chunks[-1].sdk_http_response.headers, chunks[-1].usage_metadata)
    return [part for chunk in chunks for part in chunk.candidates[0].content.parts]


def text_of(parts, thought=False):
    return "".join(part.text for part in parts if part.text and bool(part.thought) == thought)


def user(*parts):
    return types.Content(role="user", parts=list(parts))


def check_text():
    for stream in (False, True):
        assert text_of(ask("gemini_text", stream)) == "I see: "


def check_tool_round():
    hello = user(types.Part(text="Hello"))
    for stream in (False, True):
        said = ask("gemini_tool_call", stream, contents=[hello], tools=[WEATHER])
        call = said[-1].function_call
        assert (call.name, call.args) == ("weather", ARGUMENTS), call
        result = types.Part.from_function_response(name=call.name, response={"result": RESULT})
        contents = [hello, types.Content(role="model", parts=said), user(result)]
        text = text_of(ask("gemini_tool_result", stream, contents=contents, tools=[WEATHER]))
        assert f"[result weather {RESULT}]" in text and f"[signature {SIGNATURE}]" in text, text


def check_automatic_function_calling():
    def weather(location: str, days: int) -> str:
        """The weather."""
        assert {"location": location, "days": days} == ARGUMENTS
        return RESULT

    response = client.models.generate_content(
        model=MODEL, contents="Hello", config=types.GenerateContentConfig(tools=[weather])
    )
    assert f"[result weather {RESULT}]" in response.text, response
    counted_gemini("gemini_automatic_call", response.sdk_http_response.headers, response.usage_metadata)


def check_image():
    picture = types.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png")
    for stream in (False, True):
        text = text_of(ask("gemini_image", stream, contents=[user(picture, types.Part(text="What is this?"))]))
        assert f"[image image/png {PNG}]" in text, text


def check_thinking():
    thinking = types.ThinkingConfig(include_thoughts=True)
    for stream in (False, True):
        parts = ask("gemini_thinking", stream, thinking_config=thinking)
        assert text_of(parts, thought=True) == THOUGHT and text_of(parts) == "I see: ", parts


def check_chat():
    chat = client.chats.create(model=MODEL)
    for turn in range(3):
        chunks = list(chat.send_message_stream(f"Turn {turn}"))
        counted_gemini(f"gemini_chat_{turn}", chunks[-1].sdk_http_response.headers, chunks[-1].usage_metadata)
    turns = [content.parts[0].text for content in chat.get_history() if content.role == "user"]
    assert turns == ["Turn 0", "Turn 1", "Turn 2"], turns


def check_async():
    async def together():
        async def one(number):
            stream = await client.aio.models.generate_content_stream(model=MODEL, contents=f"Number {number}")
            chunks = [chunk async for chunk in stream]
            counted_gemini(f"gemini_async_{number}", chunks[-1].sdk_http_response.headers, chunks[-1].usage_metadata)
        await asyncio.gather(*(one(number) for number in range(8)))

    asyncio.run(together())


def check_errors():
    def create(client=client, model=MODEL):
        return lambda: client.models.generate_content(model=model, contents="Hello")

    code = lambda error: error.code
    stranger = genai.Client(api_key="unknown", http_options=options)
    error = raises(errors.ClientError, 401, create(stranger), status_of=code)
    assert error.status == "UNAUTHENTICATED" and error.message, error
    error = raises(errors.ClientError, 404, create(model="no-such-model"), status_of=code)
    assert error.status == "NOT_FOUND" and "no-such-model" in error.message, error
    stream = lambda: list(client.models.generate_content_stream(model="no-such-model", contents="Hello"))
    raises(errors.ClientError, 404, stream, status_of=code)


def check_broken_streams():
    # A stream that is cut ends in the gateway's error event, one that fails in the vendor's own.
    for script, code in (("cut", 502), ("error", 503)):
        config = types.GenerateContentConfig(http_options=types.HttpOptions(headers={"x-script": script}))
        stream = lambda: list(client.models.generate_content_stream(model=MODEL, contents="Hello", config=config))
        raises(errors.ServerError, code, stream, status_of=lambda error: error.code)


def check_tokens_are_counted():
    response = client.models.count_tokens(model=MODEL, contents="Hello")
    assert response.total_tokens > 7, response
    headers = {name.lower(): value for name, value in response.sdk_http_response.headers.items()}
    counted("gemini_count_tokens", headers, None, None, None)


def check_models():
    models = [model.name for model in client.models.list()]
    assert models == [f"models/{MODEL}"], models
    assert client.models.get(model=MODEL).name == f"models/{MODEL}"
    missing = lambda: client.models.get(model="no-such-model")
    raises(errors.ClientError, 404, missing, status_of=lambda error: error.code)


run(globals())
