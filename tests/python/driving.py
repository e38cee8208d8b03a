"""What the scripts that drive a gateway with the vendors' clients have in common.

Every check that fails is told with its traceback, and the exit status is 1. For every answer that a client counted,
one line of JSON says what it counted, so that the caller can compare it with the bill:
    {"check": ..., "request_id": ..., "input": ..., "cache_read": ..., "output": ..., "reasoning": ...}
"""

import json
import sys
import traceback

# A picture of one pixel.
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
THOUGHT = "Let me see: what do I know?"
SIGNATURE = "c2lnbmVkIGJ5IHRoZSB2ZW5kb3I="
ARGUMENTS = {"location": "Lisbon", "days": 3}
RESULT = "21 degrees in Lisbon"
WEATHER = {
    "type": "object",
    "properties": {"location": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["location"],
}


def counted(check, headers, input, cache_read, output, reasoning=None):
    request_id = headers["x-weir-request-id"]
    line = {"check": check, "request_id": request_id, "input": input, "cache_read": cache_read, "output": output,
            "reasoning": reasoning}
    print(json.dumps(line), flush=True)


def raises(kind, status, call, *, status_of=lambda error: error.status_code):
    """The call fails with exactly this class of the vendor's."""
    try:
        call()
    except kind as error:
        assert type(error) is kind, f"{type(error).__name__}, not {kind.__name__}: {error}"
        assert status_of(error) == status, error
        return error
    raise AssertionError(f"no {kind.__name__}")


def run(checks):
    """Runs every function whose name begins with `check_`."""
    checks = [(name, check) for name, check in checks.items() if name.startswith("check_")]
    failed = []
    for name, check in checks:
        try:
            check()
        except Exception:
            failed.append(name)
            print(f"{name} failed:\n{traceback.format_exc()}", file=sys.stderr)
    if failed:
        sys.exit(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")
