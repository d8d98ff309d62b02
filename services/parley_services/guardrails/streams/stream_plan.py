"""The rules for an answer, compiled for scanning it while it is written."""

import codecs
from collections.abc import Iterable, Sequence
from typing import Final

from parley_services.guardrails.matching.finders import RUN_NODES, Finder, Matcher, RunMatcher
from parley_services.guardrails.patterns.disguises import (
    escaped_pattern,
    reversed_pattern,
    rot13_pattern,
)
from parley_services.guardrails.patterns.parse import parse
from parley_services.guardrails.patterns.prefixes import open_prefixes
from parley_services.guardrails.patterns.regex import NOTHING, compile_regex
from parley_services.guardrails.patterns.tree import Node, max_length, render
from parley_services.guardrails.rule import PatternRule
from parley_services.guardrails.text.encodings import ESCAPE_STARTS, unescape
from parley_services.kit.chat.finding import FindingStage, GuardrailAction

MAX_ESCAPED_CHARACTERS: Final = 10
"""The longest escape of one character, `&#0000065;`."""


class PatternUnbounded(ValueError):
    """A pattern of the output stage could match a text of any length."""


class StreamPlan:
    """
    The pattern rules of the output stage, with what they need to be held back.

    A stream asks three things of it: what is in this text (`find`), and before that,
    cheaply, whether there is anything at all (`may_hit`), and from where on the text
    could still become part of a match (`hold`). Each pattern counts in its disguises
    too: in ROT13, backwards, with escapes; and inside base64 and hexadecimal digits.
    """

    def __init__(self, rules: Iterable[tuple[PatternRule, GuardrailAction]]) -> None:
        """Compile *rules*. Raises PatternUnbounded."""
        plain: list[tuple[Node, Finder]] = []
        escaped: list[tuple[Node, Finder]] = []
        inside_runs: list[Finder] = []
        own: list[Finder] = []
        for rule, action in rules:
            for node in _bounded_nodes(rule):
                matcher = Matcher(rule, action, node, stage=FindingStage.OUTPUT)
                if rule.label:
                    own.append(Matcher(rule, action, node))
                plain.append((node, matcher))
                if not rule.sees_through:
                    continue
                inside_runs.append(matcher)
                turned = rot13_pattern(node)
                plain.append((turned, Matcher(rule, action, turned, decode=_rot13)))
                turned = reversed_pattern(node)
                plain.append((turned, Matcher(rule, action, turned, decode=_backwards)))
                turned = escaped_pattern(node)
                escaped.append((turned, Matcher(rule, action, turned, decode=_unescape)))
        if inside_runs:
            plain += [(run, RunMatcher(run, inside_runs)) for run in RUN_NODES]
        self._plain = _Finders(plain)
        self._escaped = _Finders(escaped)
        self.finders: Sequence[Finder] = (*self._plain.finders, *self._escaped.finders)
        self.value_finders: Sequence[Finder] = own
        """Find values in what a user sent, where their form is enough."""

    def hold(self, data: bytes, start: int) -> int:
        """Return the first byte of *data*, from *start* on, that more text could still match."""
        held = self._plain.hold(data, start)
        if held > start and _has_escape(data):
            return min(held, self._escaped.hold(data, start))
        return held

    def may_hit(self, data: bytes, start: int) -> bool:
        """Whether any pattern matches in *data* from *start* on, before a rule judges it."""
        return self._plain.may_hit(data, start) or (
            _has_escape(data) and self._escaped.may_hit(data, start)
        )


class _Finders:
    def __init__(self, parts: Sequence[tuple[Node, Finder]]) -> None:
        self.finders = [finder for _, finder in parts]
        # Without parts, only the empty text is open, and nothing ever hits.
        opened = "|".join(f"(?:{open_prefixes(node)})" for node, _ in parts)
        anything = "|".join(f"(?:{render(node)})" for node, _ in parts) or NOTHING
        self._open = compile_regex(rf"(?:{opened})\z")
        self._anything = compile_regex(anything)

    def hold(self, data: bytes, start: int) -> int:
        match = self._open.search(data, start)
        return len(data) if match is None else match.span()[0]

    def may_hit(self, data: bytes, start: int) -> bool:
        return self._anything.search(data, start) is not None


def max_hold_characters(rule: PatternRule) -> int:
    """Return the most characters of a stream that *rule* may hold back."""
    longest = max(max_length(node) or 0 for node in _bounded_nodes(rule))
    if not rule.sees_through:
        return longest
    runs = max(max_length(node) or 0 for node in RUN_NODES)
    return max(longest * MAX_ESCAPED_CHARACTERS, runs)


def _bounded_nodes(rule: PatternRule) -> list[Node]:
    nodes = [parse(pattern, ignore_case=rule.ignore_case) for pattern in rule.patterns]
    for pattern, node in zip(rule.patterns, nodes, strict=True):
        if max_length(node) is None:
            raise PatternUnbounded(
                f"{rule.info.rule_id} looks at answers, so its pattern {pattern!r} must have a "
                "greatest length: replace * and + by counts."
            )
    return nodes


def _has_escape(data: bytes) -> bool:
    return any(start in data for start in ESCAPE_STARTS)


def _rot13(text: str) -> str:
    return codecs.encode(text, "rot13")


def _unescape(text: str) -> str | None:
    # Without an escape, the pattern as it stands finds the text too.
    plain = unescape(text)
    return None if plain == text else plain


def _backwards(text: str) -> str:
    return text[::-1]
