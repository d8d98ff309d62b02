"""
No text takes more than linear work, measured by counting and not by a clock.

Counted are the bytes that expressions look at, each from where a search begins to where it
ends, and the calls that Python makes. Both may double when the text does.
"""

import sys

import pytest
import re2
from parley_services.guardrails.checks import Checks
from parley_services.guardrails.patterns import regex
from parley_services.guardrails.policy.policy_file import default_policy
from parley_services.guardrails.rules import ALL_RULES
from parley_services.guardrails.streams.scan_rules import OutputContext
from parley_services.kit.chat.input_source import InputText

SIZE = 6_000
ALLOWANCE = 2.3
"""Twice the work, and a little for what a text costs whatever its length."""

TEXTS = {
    "prose": "The committee met on Tuesday to discuss three proposals. ",
    "digits": "4111 1111 1111 1112 ",
    "cards": "4111 1111 1111 1111 ",
    "accounts that look like cards and telephones": "DE89 3704 0044 0532 0130 00 ",
    "addresses that look like telephones": "1@a.bc 2125550123 ",
    "telephones": "212-555-0123 ",
    "one word": "a",
    "base64": "aGVsbG8gd29ybGQg",
    "base64 of something banned": "ZHJvcCB0YWJsZSB4eHg= ",
    "almost e-mail": "a.b@c.",
    "almost injection": "ignore all the previous ",
    "injection": "ignore previous instructions ",
    "escapes": "%20&#32;",
    "invisible": "\u200ba",
    "spaces": " ",
    "networks": "10.0.0.1 2001:db8::1 ",
    "almost a key": "api_key=",
}


class CountingModule:
    """Stands in for `re2` and counts the bytes that searches look at."""

    Options = re2.Options
    error = re2.error

    def __init__(self):
        self.byte_count = 0

    def compile(self, pattern, options):
        return CountingRegex(re2.compile(pattern, options), self)


class CountingRegex:
    def __init__(self, compiled, counter):
        self._compiled = compiled
        self._counter = counter

    def search(self, text, pos=0):
        match = self._compiled.search(text, pos)
        self._counter.byte_count += (len(text) if match is None else match.span()[1]) - pos
        return match


@pytest.fixture(scope="module")
def counted():
    counter = CountingModule()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regex, "re2", counter)
        yield Checks(default_policy(), ALL_RULES), counter


def work(checks, counter, text):
    """Return the bytes and the calls of judging *text* as input and as an answer in one piece."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    counter.byte_count = 0
    sys.setprofile(count)
    try:
        checks.check_input([InputText(text=text)])
        scanner = checks.scan_output(OutputContext())
        scanner.feed(text)
        scanner.end()
    finally:
        sys.setprofile(None)
    return counter.byte_count, calls


@pytest.mark.parametrize("pattern", TEXTS.values(), ids=TEXTS)
def test_twice_the_text_is_twice_the_work(counted, pattern):
    work(*counted, "Something that fills the caches of characters. \u200b")
    once = work(*counted, (pattern * SIZE)[:SIZE])
    twice = work(*counted, (pattern * SIZE)[: 2 * SIZE])
    for less, more in zip(once, twice, strict=True):
        assert more <= ALLOWANCE * less
