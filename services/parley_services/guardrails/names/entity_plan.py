"""The rules of one stage that look for entities, put together."""

import string
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

from parley_services.guardrails.matching.arbiter import REPLACING
from parley_services.guardrails.matching.failures import CLOSED, Failures
from parley_services.guardrails.matching.finders import Hit
from parley_services.guardrails.names.entity import Entity, EntityFinder
from parley_services.guardrails.rule import EntityRule
from parley_services.kit.chat.finding import GuardrailAction

MIN_SCORE: Final = 0.5
"""More likely than not. Presidio gives what a spaCy model finds 0.85."""

_AROUND: Final = (string.whitespace + string.punctuation).encode()
"""What a model includes at the edges of a name and is none of it."""


class EntityPlan:
    """
    Finds entities in folded text.

    Where other rules replace text, they have precedence, since a check digit is more certain
    than a model: of a name that overlaps what they found, only what is beside it is replaced.
    """

    def __init__(self, rules: Iterable[tuple[EntityRule, GuardrailAction]]) -> None:
        self._by_finder: dict[EntityFinder, list[tuple[EntityRule, GuardrailAction]]] = {}
        for rule, action in rules:
            self._by_finder.setdefault(rule.finder, []).append((rule, action))
        self.rules = tuple(rule.info for chosen in self._by_finder.values() for rule, _ in chosen)

    def find(self, data: bytes, others: Iterable[Hit], failures: Failures) -> Iterator[Hit]:
        """
        Yield what is found in *data* beside what *others* replace.

        A finder that raises an error is noted in *failures* for each of its rules. If such a
        rule would block or redact, all of *data* is a hit that blocks.
        """
        if not self._by_finder or not data:
            return
        taken = bytearray(len(data))
        for hit in others:
            if hit.action in REPLACING:
                _take(taken, hit.start, hit.end)
        text = data.decode(errors="replace")
        for finder, rules in self._by_finder.items():
            try:
                entities = finder.find(text)
            except Exception as error:
                for rule, action in rules:
                    failures.note(rule.info.rule_id, error)
                    if action in CLOSED:
                        yield Hit(
                            rule=rule,
                            action=GuardrailAction.BLOCK,
                            start=0,
                            end=len(data),
                            value="",
                        )
                continue
            yield from _hits(data, text, entities, rules, taken)


def _hits(
    data: bytes,
    text: str,
    entities: Iterable[Entity],
    rules: list[tuple[EntityRule, GuardrailAction]],
    taken: bytearray,
) -> Iterator[Hit]:
    likely = sorted(
        (each for each in entities if each.score >= MIN_SCORE),
        key=lambda each: (-each.score, each.start - each.end, each.start),
    )
    if not likely:
        return
    places = _byte_places(text)
    for entity in likely:
        start, end = places[entity.start], places[entity.end]
        for rule, action in rules:
            if rule.kind is not entity.kind:
                continue
            pieces = _free(taken, start, end) if action in REPLACING else [(start, end)]
            for piece in pieces:
                hit = _hit(rule, action, data, *piece, entity.score)
                if hit is None:
                    continue
                if action in REPLACING:
                    _take(taken, hit.start, hit.end)
                yield hit


def _hit(
    rule: EntityRule, action: GuardrailAction, data: bytes, start: int, end: int, score: float
) -> Hit | None:
    found = data[start:end]
    start += len(found) - len(found.lstrip(_AROUND))
    bare = found.strip(_AROUND)
    value = bare.decode(errors="replace")
    key = rule.same_value(value)
    if not key:
        return None
    return Hit(
        rule=rule,
        action=action,
        start=start,
        end=start + len(bare),
        value=value,
        key=key,
        score=score,
    )


def _free(taken: bytearray, start: int, end: int) -> list[tuple[int, int]]:
    """Return the parts of *start* to *end* that are not taken."""
    parts = []
    while (first := taken.find(0, start, end)) >= 0:
        last = taken.find(1, first, end)
        start = last if last >= 0 else end
        parts.append((first, start))
    return parts


def _take(taken: bytearray, start: int, end: int) -> None:
    taken[start:end] = b"\x01" * (end - start)


def _byte_places(text: str) -> "range | list[int]":
    """Return where each character of *text* begins as UTF-8, and where the last one ends."""
    if text.isascii():
        return range(len(text) + 1)
    return list(accumulate((len(each.encode()) for each in text), initial=0))
