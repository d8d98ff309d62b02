import pytest
from parley_services.kit.chat.message import ToolCall
from parley_services.model_router.attempt.failures import FailureKind
from parley_services.model_router.attempt.life_signs import LifeSigns, Limits
from parley_services.model_router.providers.provider import (
    PINGED,
    WROTE,
    ReasoningDelta,
    TextDelta,
    ToolCallDone,
)

LIMITS = Limits(
    first_token_seconds=20,
    stall_seconds=10,
    keep_alive_seconds=60,
    reasoning_seconds=120,
    arguments_seconds=90,
)
TEXT = TextDelta("a")
THOUGHT = ReasoningDelta("hm")
CALL = ToolCallDone(ToolCall(id="c", name="f", arguments_json="{}"))


def due_after(*signs, sent_at=100.0):
    """Return when the stream is given up, after *signs* at seconds since it was sent."""
    life = LifeSigns(LIMITS, sent_at=sent_at)
    for seconds, event in signs:
        assert sent_at + seconds < life.due()
        life.saw([event], now=sent_at + seconds)
    return life.due() - sent_at, life.too_slow


def every(seconds, event, until, start=None):
    start = seconds if start is None else start
    return [(at, event) for at in range(start, until + 1, seconds)]


@pytest.mark.parametrize(
    ("signs", "due", "kind"),
    [
        ([], 20, FailureKind.FIRST_TOKEN_TIMEOUT),
        ([(3, TEXT)], 13, FailureKind.STALLED),
        ([(3, CALL)], 13, FailureKind.STALLED),
        # Comments before the first token, as OpenRouter sends while it waits.
        ([(3, PINGED)], 20, FailureKind.FIRST_TOKEN_TIMEOUT),
        ([(3, PINGED), (12, PINGED)], 22, FailureKind.FIRST_TOKEN_TIMEOUT),
        (every(5, PINGED, 55), 60, FailureKind.FIRST_TOKEN_TIMEOUT),
        # Pings between two pieces.
        ([(3, TEXT), (9, PINGED)], 19, FailureKind.STALLED),
        ([(3, TEXT), *every(5, PINGED, 60)], 63, FailureKind.STALLED),
        # Arguments of a call, for as long as a long file takes.
        ([(3, TEXT), *every(5, WROTE, 50)], 60, FailureKind.STALLED),
        ([(5, TEXT), *every(5, WROTE, 95, start=10)], 100, FailureKind.STALLED),
        ([(5, WROTE), (10, CALL), *every(5, WROTE, 100, start=15)], 105, FailureKind.STALLED),
        # Thoughts.
        (every(5, THOUGHT, 100), 110, FailureKind.STALLED),
        (every(5, THOUGHT, 120), 125, FailureKind.STALLED),
        ([*every(5, THOUGHT, 120), (121, TEXT)], 131, FailureKind.STALLED),
    ],
)
def test_each_sign_of_life_has_its_limit(signs, due, kind):
    assert due_after(*signs) == (due, kind)
