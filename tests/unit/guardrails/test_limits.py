import asyncio
import threading

import pytest
from parley_services.guardrails.checks import Checks
from parley_services.guardrails.offload import Offload, OffloadBounds
from parley_services.guardrails.policy.policy import Policy
from parley_services.guardrails.rule import PatternRule, RuleInfo
from parley_services.guardrails.text.limits import Limits, require_text, utf8_length
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity
from parley_services.kit.chat.input_source import InputText
from parley_services.kit.errors import InputTooLarge, InvalidArgument, Overloaded


def test_lengths_are_bytes():
    assert [utf8_length(text) for text in ("abc", "äb", "\U0001f600", "\ud800")] == [3, 3, 4, 3]


def looked_at(candidate):
    raise AssertionError("a rule saw the text")


CHECKS = Checks(
    Policy(name="test"),
    [
        PatternRule(
            info=RuleInfo(
                rule_id="test.any",
                stages=frozenset({FindingStage.INPUT}),
                action=GuardrailAction.BLOCK,
                severity=Severity.LOW,
                category="test",
                description="Anything.",
                source="https://en.wikipedia.org/wiki/Text",
            ),
            patterns=(r"\w",),
            accept=looked_at,
        )
    ],
    Limits(max_input_bytes=10),
)


def test_too_long_a_text_is_refused_before_any_rule():
    with pytest.raises(InputTooLarge, match="12 bytes in all is above the limit of 10"):
        CHECKS.check_input([InputText(text="aaaaa"), InputText(text="ääa..")])
    assert CHECKS.check_input([InputText(text="äääää")]).failed_rule_ids == ()


def test_a_binary_text_is_refused_before_any_rule():
    with pytest.raises(InvalidArgument) as caught:
        CHECKS.check_input([InputText(text="."), InputText(text="a\0b")])
    assert [each.field for each in caught.value.violations] == ["texts[1].text"]


@pytest.mark.parametrize(
    "text", ["PK\x03\x04\x14\x00", "\x01\x02\x03ab", "\ufffd\ufffd\ufffd binary?", "\x00"]
)
def test_what_is_binary(text):
    with pytest.raises(InvalidArgument):
        require_text(text, "text")


@pytest.mark.parametrize(
    "text", ["", "tab\tand\r\nlines\f", "\x1b[31mred\x1b[0m", "caf\ufffd in Paris", "日本語", "🙂"]
)
def test_what_is_text(text):
    require_text(text, "text")


async def test_a_short_text_is_judged_here_and_a_long_one_by_a_thread():
    offload = Offload(OffloadBounds(from_bytes=10))
    assert await offload.run(9, threading.current_thread) is threading.current_thread()
    assert await offload.run(10, threading.current_thread) is not threading.current_thread()
    slow = await offload.run(1, threading.current_thread, is_slow=True)
    assert slow is not threading.current_thread()
    offload.close()


async def test_an_error_comes_out_of_the_thread():
    offload = Offload(OffloadBounds(from_bytes=1))
    with pytest.raises(ZeroDivisionError):
        await offload.run(1, lambda: 1 // 0)
    offload.close()


async def test_the_loop_goes_on_and_too_many_long_texts_are_refused():
    offload = Offload(OffloadBounds(from_bytes=1, threads=1, max_waiting=2))
    may_end = threading.Event()
    running = [asyncio.ensure_future(offload.run(1, may_end.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await offload.run(1, may_end.wait)
    assert await offload.run(0, lambda: "short") == "short"
    may_end.set()
    assert await asyncio.gather(*running) == [True, True]
    assert await offload.run(1, lambda: "room again") == "room again"
    offload.close()


async def test_a_caller_that_leaves_gives_its_place_back():
    offload = Offload(OffloadBounds(from_bytes=1, threads=1, max_waiting=2))
    may_end = threading.Event()
    first = asyncio.ensure_future(offload.run(1, may_end.wait))
    waiting = asyncio.ensure_future(offload.run(1, may_end.wait))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert not first.done()
    third = asyncio.ensure_future(offload.run(1, lambda: "third"))
    await asyncio.sleep(0)
    may_end.set()
    assert await asyncio.gather(first, third) == [True, "third"]
    offload.close()
