"""Judges an answer while it is written, and a whole one as a stream of one piece."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from parley_services.guardrails.classify.classifier import read
from parley_services.guardrails.classify.judge import Judge
from parley_services.guardrails.matching.arbiter import Arbiter
from parley_services.guardrails.matching.failures import Failures
from parley_services.guardrails.matching.finders import Hit
from parley_services.guardrails.matching.own_values import own_values
from parley_services.guardrails.matching.placeholders import Numbering
from parley_services.guardrails.rule import RuleInfo
from parley_services.guardrails.streams.answer_length import LENGTH
from parley_services.guardrails.streams.leakage import LEAK, LeakWatch
from parley_services.guardrails.streams.stream_plan import StreamPlan
from parley_services.guardrails.text.folded_tail import FoldedTail
from parley_services.guardrails.text.limits import DEFAULT_LIMITS, Limits, require_size, utf8_length
from parley_services.guardrails.verdict import Verdict, strictest
from parley_services.kit.chat.finding import Finding, FindingStage, GuardrailAction, Placeholder
from parley_services.kit.chat.message import ResponseFormat

Step: TypeAlias = str | Finding
"""Text that may be shown, or an intervention at this place of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputContext:
    """What a check of an answer needs to know about its turn."""

    system_text: str = ""
    """The rendered system text, which must not leak."""

    placeholders: tuple[Placeholder, ...] = ()
    """Placeholders to turn back for this user. None: they stay."""

    response_format: ResponseFormat = field(default_factory=ResponseFormat)

    user_texts: tuple[str, ...] = ()
    """What the user sent, so that an answer may repeat the user's own data."""

    @property
    def size_bytes(self) -> int:
        """Bytes of all its texts but the schema as UTF-8."""
        placeholders = (text for each in self.placeholders for text in (each.original, "x" * 32))
        return sum(map(utf8_length, (self.system_text, *self.user_texts, *placeholders)))


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputReport:
    """What a scan found in all."""

    verdict: Verdict
    cacheable_text: str
    """The released text, but with a placeholder for each piece of personal data."""

    findings: tuple[Finding, ...]
    format_error: str = ""
    """Why the answer breaks its form; empty if it does not, and until it was checked."""

    normalized_text_sha256: str
    """Hash of the folded answer, up to the end of a match that blocked."""

    failed_rule_ids: tuple[str, ...]


class OutputScanner:
    """
    Releases an answer piece by piece, and never a character that a rule may still claim.

    What is released depends on the answer alone and not on how it was cut. To that end a
    match is settled only when no text to come could change it or begin before it, and
    settled matches take effect from left to right:

    * *block* ends the answer before the match;
    * *redact* puts a placeholder in its place; what else would be redacted is looked for
      beside it, not across it;
    * *restore* puts in the place of a placeholder what the user had sent;
    * *flag* changes nothing.

    `Arbiter` says in which order.
    """

    def __init__(
        self,
        plan: StreamPlan,
        context: OutputContext,
        *,
        judges: Sequence[Judge] = (),
        leaks: LeakWatch | None = None,
        length_rule: tuple[int, GuardrailAction] | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """
        Begin. *judges* look at the whole answer at its end and can only flag it.
        *length_rule* is the most characters of an answer and what is done about more.

        Raises InputTooLarge for a *context* above its limit.
        """
        require_size(context.size_bytes, limits.max_context_bytes, "A context")
        self._plan = plan
        self._judges = judges
        self._leaks = leaks
        self._length_rule = length_rule
        self._limits = limits
        self._size_bytes = 0
        self._length = 0
        self._context = context
        self._failures = Failures()
        self._tail = FoldedTail()
        self._held = ""
        self._held_from = 0
        self._cursor = 0
        self._arbiter = Arbiter(plan.finders, self._failures)
        self._numbering: Numbering | None = None
        self._own_values: frozenset[tuple[str, str]] | None = None
        self._cacheable: list[str] = []
        self._findings: list[Finding] = []
        self._digest = hashlib.sha256()
        self._written: list[str] = []
        self.blocking_finding: Finding | None = None
        """The finding that ended the answer, if one did."""

    def feed(self, text: str) -> list[Step]:
        """
        Return what may be shown now that *text* has come; nothing after a block.

        Raises InputTooLarge when the answer exceeds its limit.
        """
        if self.blocking_finding is not None or not text:
            return []
        self._size_bytes += utf8_length(text)
        require_size(self._size_bytes, self._limits.max_answer_bytes, "An answer")
        allowed = self._allowed(text)
        counting = self._leaks_at(allowed)
        if counting is not None:
            return self._stop(allowed[:counting], LEAK)
        if len(allowed) < len(text):
            return self._stop(allowed, LENGTH)
        self._read(text)
        tail = self._tail
        return self._settle(self._plan.hold(tail.data, tail.start))

    def end(self) -> list[Step]:
        """Return what is left to show now that the answer is over."""
        if self.blocking_finding is not None:
            return []
        if self._leaks is not None and self._leaks.end():
            return self._stop("", LEAK)
        steps = self._settle(len(self._tail.data))
        if self.blocking_finding is None:
            self._judge_all("".join(self._written))
        return steps

    def report(self) -> OutputReport:
        """Return what was found. To be called once, after `end` or a block."""
        return OutputReport(
            verdict=strictest(self._findings),
            cacheable_text="".join(self._cacheable),
            findings=tuple(self._findings),
            normalized_text_sha256=self._digest.hexdigest(),
            failed_rule_ids=tuple(sorted(self._failures.rule_ids)),
        )

    def own_values(self) -> frozenset[tuple[str, str]]:
        """
        Return label and key of the user's own values, which the answer may repeat.

        They are looked for once, when first asked for: that takes as long as a check of the
        user's texts, and most answers hold no value at all.
        """
        if self._own_values is None:
            context = self._context
            texts = (*context.user_texts, *(each.original for each in context.placeholders))
            self._own_values = own_values(self._plan.finders, texts, self._failures)
        return self._own_values

    def _allowed(self, text: str) -> str:
        """Return how much of *text* the answer may still have by the rule of its length."""
        start, self._length = self._length, self._length + len(text)
        if self._length_rule is None:
            return text
        most, action = self._length_rule
        if self._length <= most or start > most:
            return text
        if action is GuardrailAction.BLOCK:
            return text[: most - start]
        self._findings.append(_finding(LENGTH, action, most, most))
        return text

    def _leaks_at(self, text: str) -> int | None:
        if self._leaks is None:
            return None
        try:
            return self._leaks.feed(text)
        except Exception as error:
            self._failures.note(LEAK.rule_id, error)
            return 0

    def _read(self, text: str) -> None:
        self._tail.append(text)
        self._held += text
        self._written.append(text)

    def _stop(self, text: str, info: RuleInfo) -> list[Step]:
        """Let the answer end with *text*, by the rule *info*."""
        self._read(text)
        steps = self._settle(len(self._tail.data))
        if self.blocking_finding is None:
            self.blocking_finding = _finding(
                info, GuardrailAction.BLOCK, self._cursor, self._cursor
            )
            self._findings.append(self.blocking_finding)
            steps.append(self.blocking_finding)
        return steps

    def _judge_all(self, answer: str) -> None:
        if not self._judges:
            return
        reading = read(answer)
        for judge in self._judges:
            finding = judge.finding(reading, len(answer), FindingStage.OUTPUT, self._failures)
            if finding is not None:
                self._findings.append(finding)

    def _settle(self, limit: int) -> list[Step]:
        """Let all matches that begin before *limit* take effect, and release up to it."""
        tail = self._tail
        steps: list[Step] = []
        if self._plan.may_hit(tail.data, tail.start):
            self._apply_all(limit, steps)
            if self.blocking_finding is not None:
                return steps
        self._digest.update(tail.data[tail.start : limit])
        self._release(tail.place(limit), steps)
        tail.settle(limit)
        # Once a piece and not once a match, which would copy the rest of it each time.
        self._held = self._held[self._cursor - self._held_from :]
        self._held_from = self._cursor
        return steps

    def _apply_all(self, limit: int, steps: list[Step]) -> None:
        tail = self._tail
        for hit in self._arbiter.settled(
            tail.data, offset=tail.offset, start=tail.start, limit=limit
        ):
            self._apply(hit, *tail.span(hit.start, hit.end), steps)
            if self.blocking_finding is not None:
                self._digest.update(tail.data[tail.start : hit.end])
                self._held = ""
                return

    def _apply(self, hit: Hit, start: int, end: int, steps: list[Step]) -> None:
        match hit.action:
            case GuardrailAction.UNSPECIFIED:
                return
            case GuardrailAction.FLAG:
                self._findings.append(_finding(hit.rule.info, GuardrailAction.FLAG, start, end))
            case GuardrailAction.BLOCK:
                self._release(start, steps)
                self.blocking_finding = _finding(hit.rule.info, GuardrailAction.BLOCK, start, end)
                self._findings.append(self.blocking_finding)
                steps.append(self.blocking_finding)
            case GuardrailAction.REDACT:
                self._redact(hit, start, end, steps)
            case GuardrailAction.RESTORE:
                self._restore(hit, start, end, steps)
            case _:
                assert_never(hit.action)

    def _redact(self, hit: Hit, start: int, end: int, steps: list[Step]) -> None:
        self._release(start, steps)
        original = self._held_between(start, end)
        if self._numbering is None:
            self._numbering = Numbering(self._failures, self._context.placeholders)
        placeholder = self._numbering.placeholder(hit, original)
        if (hit.rule.label, hit.key) in self.own_values():
            self._replace(hit, GuardrailAction.RESTORE, start, end, original, placeholder, steps)
        else:
            finding = self._replace(
                hit, GuardrailAction.REDACT, start, end, placeholder, placeholder, steps
            )
            steps.append(finding)

    def _restore(self, hit: Hit, start: int, end: int, steps: list[Step]) -> None:
        for each in self._context.placeholders:
            if each.placeholder == hit.value:
                self._release(start, steps)
                self._replace(
                    hit, GuardrailAction.RESTORE, start, end, each.original, hit.value, steps
                )
                return

    def _replace(
        self,
        hit: Hit,
        action: GuardrailAction,
        start: int,
        end: int,
        shown: str,
        cacheable: str,
        steps: list[Step],
    ) -> Finding:
        steps.append(shown)
        self._cacheable.append(cacheable)
        self._cursor = max(self._cursor, end)
        self._arbiter.take(hit.end + self._tail.offset)
        finding = _finding(hit.rule.info, action, start, end)
        self._findings.append(finding)
        return finding

    def _release(self, place: int, steps: list[Step]) -> None:
        if place <= self._cursor:
            return
        text = self._held_between(self._cursor, place)
        self._cacheable.append(text)
        steps.append(text)
        self._cursor = place

    def _held_between(self, start: int, end: int) -> str:
        return self._held[start - self._held_from : end - self._held_from]


def _finding(info: RuleInfo, action: GuardrailAction, start: int, end: int) -> Finding:
    return Finding(
        rule_id=info.rule_id,
        stage=FindingStage.OUTPUT,
        action=action,
        severity=info.severity,
        category=info.category,
        start=start,
        end=end,
    )
