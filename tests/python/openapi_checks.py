"""What schemathesis cannot know by itself: which refusals of valid data are right."""

import schemathesis

# What a schema cannot say: that `from` lies before `to`, that 2026-02-31 is no day, into how many buckets an interval cuts
# a range, and what a cursor is made of. Everything else that the document allows has to be answered.
CONTRADICTIONS = {"from", "to", "as_of", "interval", "cursor"}


@schemathesis.check
def valid_data_is_refused_for_a_contradiction_alone(ctx, response, case):
    if response.status_code != 400 or case.meta is None or not case.meta.generation.mode.is_positive:
        return
    error = response.json()["error"]
    assert error.get("parameter") in CONTRADICTIONS, f"the document allows it, and the answer is: {error}"
