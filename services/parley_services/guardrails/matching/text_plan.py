"""The rules for a whole text, compiled."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from parley_services.guardrails.matching.arbiter import REPLACING, Arbiter
from parley_services.guardrails.matching.failures import Failures
from parley_services.guardrails.matching.finders import RUN_NODES, Finder, Hit, Matcher, RunMatcher
from parley_services.guardrails.names.entity_plan import EntityPlan
from parley_services.guardrails.patterns.parse import parse
from parley_services.guardrails.patterns.regex import NOTHING, compile_regex
from parley_services.guardrails.patterns.tree import Node, render
from parley_services.guardrails.rule import EntityRule, PatternRule
from parley_services.guardrails.text.encodings import unescaped
from parley_services.guardrails.text.normalization import skeleton, view, visible
from parley_services.kit.chat.finding import FindingStage, GuardrailAction

_ROT13: Final = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    b"NOPQRSTUVWXYZABCDEFGHIJKLMnopqrstuvwxyzabcdefghijklm",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A hit and where it is in the original text, in characters."""

    hit: Hit
    start: int
    end: int


class TextPlan:
    """
    The rules of one stage that find places, for texts that are there as a whole.

    Rules that see through disguises also read the text in ROT13, backwards, with its
    escapes replaced, and what is inside runs of base64 and hexadecimal digits. What is
    found in such a reading spans the part of the original that it was read from.
    """

    def __init__(
        self,
        rules: Iterable[tuple[PatternRule, GuardrailAction]],
        entity_rules: Iterable[tuple[EntityRule, GuardrailAction]] = (),
        *,
        stage: FindingStage = FindingStage.INPUT,
    ) -> None:
        chosen = list(rules)
        plain = [each for each in chosen if not each[0].ignore_lookalikes]
        self._visible = _FoldPlan(plain, stage)
        similar = [each for each in chosen if each[0].ignore_lookalikes]
        self._skeleton = _FoldPlan(similar, stage)
        self._entities = EntityPlan(entity_rules)
        self.rules = (*(rule.info for rule, _ in chosen), *self._entities.rules)

    @property
    def asks_model(self) -> bool:
        """Whether a finder of entities is asked, which takes milliseconds."""
        return bool(self._entities.rules)

    def find(self, text: str, failures: Failures) -> "Finds":
        """
        Return what the rules find in *text*, in the order in which it begins.

        A rule that raises an error is noted in *failures*; what it found in another reading
        of the text counts, and if it blocks or redacts, it blocks.
        """
        found: list[Found] = []
        visible_view = view(text, visible())
        skeleton_view = view(text, skeleton())
        hits = list(self._visible.find(visible_view.data, failures))
        hits = [*hits, *self._entities.find(visible_view.data, hits, failures)]
        for seen, found_there in (
            (visible_view, hits),
            (skeleton_view, self._skeleton.find(skeleton_view.data, failures)),
        ):
            for hit in found_there:
                start, end = seen.span(hit.start, hit.end)
                found.append(Found(hit=hit, start=start, end=end))
        found.sort(key=lambda each: (each.start, -each.hit.action, -each.end))
        return Finds(found=found, normalized=visible_view.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finds:
    """What was found in a text."""

    found: list[Found]
    normalized: bytes


class _FoldPlan:
    """The rules that see a text in one fold."""

    def __init__(
        self, rules: Sequence[tuple[PatternRule, GuardrailAction]], stage: FindingStage
    ) -> None:
        parts = [
            (rule, node, Matcher(rule, action, node, stage=stage))
            for rule, action in rules
            for node in (parse(each, ignore_case=rule.ignore_case) for each in rule.patterns)
        ]
        self._direct = _Finders([(node, matcher) for _, node, matcher in parts])
        self._seeing = _Finders(
            [(node, matcher) for rule, node, matcher in parts if rule.sees_through]
        )
        self._runs = (
            [
                RunMatcher(run, self._seeing.finders, may_hit=self._seeing.may_hit)
                for run in RUN_NODES
            ]
            if self._seeing.finders
            else []
        )

    def find(self, data: bytes, failures: Failures) -> Iterator[Hit]:
        if self._direct.may_hit(data):
            arbiter = Arbiter(self._direct.finders, failures)
            for hit in arbiter.settled(data, offset=0, start=0, limit=len(data)):
                if hit.action in REPLACING:
                    arbiter.take(hit.end)
                yield hit
        if self._runs:
            yield from self._find_in_disguise(data, failures)

    def _find_in_disguise(self, data: bytes, failures: Failures) -> Iterator[Hit]:
        yield from _settled(self._runs, data, failures)
        yield from self._seeing.find(data.translate(_ROT13), failures)
        for hit in self._seeing.find(data[::-1], failures):
            yield replace(hit, start=len(data) - hit.end, end=len(data) - hit.start)
        plain = unescaped(data)
        if plain is not None:
            text, places = plain
            for hit in self._seeing.find(text, failures):
                yield replace(hit, start=places[hit.start], end=places[hit.end - 1] + 1)


class _Finders:
    """Several finders behind one expression that says whether any has a chance."""

    def __init__(self, parts: Sequence[tuple[Node, Finder]]) -> None:
        self.finders = [finder for _, finder in parts]
        anything = "|".join(f"(?:{render(node)})" for node, _ in parts) or NOTHING
        self._anything = compile_regex(anything)

    def may_hit(self, data: bytes) -> bool:
        return self._anything.search(data) is not None

    def find(self, data: bytes, failures: Failures) -> Iterator[Hit]:
        if self.may_hit(data):
            yield from _settled(self.finders, data, failures)


def _settled(finders: Sequence[Finder], data: bytes, failures: Failures) -> Iterator[Hit]:
    """Yield all hits in a reading of the text in which nothing is replaced."""
    return Arbiter(finders, failures).settled(data, offset=0, start=0, limit=len(data))
