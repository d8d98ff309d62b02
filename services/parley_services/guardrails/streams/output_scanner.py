"""Judges an answer while it is written, and a whole one as a stream of one piece."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from parley_services.guardrails.classify.classifier import read
from parley_services.guardrails.matching.arbiter import Arbiter
from parley_services.guardrails.matching.failures import Failures
from parley_services.guardrails.matching.finders import Hit
from parley_services.guardrails.matching.replacements import Replacements
from parley_services.guardrails.rule import RuleInfo
from parley_services.guardrails.streams.answer_length import LENGTH
from parley_services.guardrails.streams.leakage import LEAK
from parley_services.guardrails.streams.scan_rules import OutputContext, ScanRules
from parley_services.guardrails.text.folded_tail import Extent, FoldedTail, Tail
from parley_services.guardrails.text.json_tail import JsonTail
from parley_services.guardrails.text.limits import require_size, utf8_length
from parley_services.guardrails.verdict import Verdict, strictest
from parley_services.kit.chat.finding import Finding, FindingStage, GuardrailAction
from parley_services.kit.chat.message import ToolCall

Step: TypeAlias = str | Finding | ToolCall
"""Text that may be shown, an intervention at this place of it, or a tool call that may run."""


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
        rules: ScanRules,
        context: OutputContext,
        *,
        replacements: Replacements | None = None,
        restores: bool = True,
    ) -> None:
        """
        Begin. The scan of a part of an answer shares *replacements* with that of the rest, and
        may leave placeholders as they are.

        Raises InputTooLarge for a *context* above its limit.
        """
        require_size(context.size_bytes, rules.limits.max_context_bytes, "A context")
        self.rules = rules
        self._restores = restores
        self._leaks = context.watch(rules)
        self._size_bytes = 0
        self._length = 0
        self.context = context
        self.replacements = replacements or Replacements(
            rules.plan.value_finders, context.placeholders, context.user_texts, Failures()
        )
        self._failures = self.replacements.failures
        self._tail: Tail = JsonTail() if context.response_format.is_json else FoldedTail()
        self._held = ""
        self._held_from = 0
        self._cursor = 0
        self._arbiter = Arbiter(rules.plan.finders, self._failures)
        self._cacheable: list[str] = []
        self.findings: list[Finding] = []
        """All that was found so far."""

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
        self.count(text)
        allowed = self._allowed(text)
        counting = self._leaks_at(allowed)
        if counting is not None:
            return self._stop(allowed[:counting], LEAK)
        if len(allowed) < len(text):
            return self._stop(allowed, LENGTH)
        self._read(text)
        tail = self._tail
        return self._settle(self.rules.plan.hold(tail.data, tail.start))

    def count(self, text: str) -> None:
        """
        Count *text* as a part of the answer.

        Raises InputTooLarge when the answer exceeds its limit.
        """
        self._size_bytes += utf8_length(text)
        require_size(self._size_bytes, self.rules.limits.max_answer_bytes, "An answer")

    def add(self, findings: Sequence[Finding], blocking: Finding | None) -> None:
        """Note what was found in a tool call. One that *blocking* stopped ends the answer."""
        self.findings += findings
        if blocking is not None:
            self.blocking_finding = blocking
            self._held = ""

    def end(self) -> list[Step]:
        """Return what is left to show now that the answer is over."""
        if self.blocking_finding is not None:
            return []
        if self._leaks is not None and self._leaks.end():
            return self._stop("", LEAK)
        self._tail.finish()
        steps = self._settle(len(self._tail.data))
        if self.blocking_finding is None:
            self._judge_all("".join(self._written))
        return steps

    def report(self) -> OutputReport:
        """Return what was found. To be called once, after `end` or a block."""
        return OutputReport(
            verdict=strictest(self.findings),
            cacheable_text="".join(self._cacheable),
            findings=tuple(self.findings),
            normalized_text_sha256=self._digest.hexdigest(),
            failed_rule_ids=tuple(sorted(self._failures.rule_ids)),
        )

    def prepare_own_values(self) -> None:
        """Look for the user's own values now and not when the answer needs them."""
        self.replacements.own_values()

    def _allowed(self, text: str) -> str:
        """Return how much of *text* the answer may still have by the rule of its length."""
        start, self._length = self._length, self._length + len(text)
        if self.rules.length_rule is None:
            return text
        most, action = self.rules.length_rule
        if self._length <= most or start > most:
            return text
        if action is GuardrailAction.BLOCK:
            return text[: most - start]
        self.findings.append(output_finding(LENGTH, action, most, most))
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
        self._tail.finish()
        steps = self._settle(len(self._tail.data))
        if self.blocking_finding is None:
            self.blocking_finding = output_finding(
                info, GuardrailAction.BLOCK, self._cursor, self._cursor
            )
            self.findings.append(self.blocking_finding)
            steps.append(self.blocking_finding)
        return steps

    def _judge_all(self, answer: str) -> None:
        if not self.rules.judges:
            return
        reading = read(answer)
        for judge in self.rules.judges:
            finding = judge.finding(reading, len(answer), FindingStage.OUTPUT, self._failures)
            if finding is not None:
                self.findings.append(finding)

    def _settle(self, limit: int) -> list[Step]:
        """Let all matches that begin before *limit* take effect, and release up to it."""
        tail = self._tail
        limit = tail.held_from(limit)
        steps: list[Step] = []
        if self.rules.plan.may_hit(tail.data, tail.start):
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
            self._apply(hit, tail.extent(hit.start, hit.end), steps)
            if self.blocking_finding is not None:
                self._digest.update(tail.data[tail.start : hit.end])
                self._held = ""
                return

    def _apply(self, hit: Hit, at: Extent, steps: list[Step]) -> None:
        match hit.action:
            case GuardrailAction.UNSPECIFIED:
                return
            case GuardrailAction.FLAG:
                self.findings.append(_finding(hit.rule.info, GuardrailAction.FLAG, at))
            case GuardrailAction.BLOCK:
                self._block(hit, at, steps)
            case GuardrailAction.REDACT:
                self._redact(hit, at, steps)
            case GuardrailAction.RESTORE:
                self._restore(hit, at, steps)
            case _:
                assert_never(hit.action)

    def _block(self, hit: Hit, at: Extent, steps: list[Step]) -> None:
        self._release(at.start, steps)
        self.blocking_finding = _finding(hit.rule.info, GuardrailAction.BLOCK, at)
        self.findings.append(self.blocking_finding)
        steps.append(self.blocking_finding)

    def _redact(self, hit: Hit, at: Extent, steps: list[Step]) -> None:
        if self.replacements.is_own(hit):
            self._release(at.start, steps)
            original = self._held_between(at.start, at.end)
            placeholder = self._placeholder(hit, original)
            self._replace(hit, GuardrailAction.RESTORE, at, original, placeholder, steps)
        elif self.rules.blocks_numbers and self._tail.is_number(hit.start):
            self._block(hit, at, steps)
        else:
            self._release(at.start, steps)
            placeholder = self._placeholder(hit, self._held_between(at.start, at.end))
            steps.append(
                self._replace(hit, GuardrailAction.REDACT, at, placeholder, placeholder, steps)
            )

    def _placeholder(self, hit: Hit, written: str) -> str:
        """Return the placeholder of *hit*, which is *written*, as it is written there itself."""
        original = self._tail.meaning(written, hit.start)
        return self._tail.written(self.replacements.placeholder(hit, original), hit.start)

    def _restore(self, hit: Hit, at: Extent, steps: list[Step]) -> None:
        original = self.replacements.original(hit.value)
        if original is None or not self._restores:
            return
        self._release(at.start, steps)
        placeholder = self._held_between(at.start, at.end)
        shown = self._tail.written(original, hit.start)
        self._replace(hit, GuardrailAction.RESTORE, at, shown, placeholder, steps)

    def _replace(
        self,
        hit: Hit,
        action: GuardrailAction,
        at: Extent,
        shown: str,
        cacheable: str,
        steps: list[Step],
    ) -> Finding:
        steps.append(shown)
        self._cacheable.append(cacheable)
        self._cursor = max(self._cursor, at.end)
        self._arbiter.take(at.data_end + self._tail.offset)
        finding = _finding(hit.rule.info, action, at)
        self.findings.append(finding)
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


def output_finding(info: RuleInfo, action: GuardrailAction, start: int, end: int) -> Finding:
    """Return that the rule *info* took *action* about the characters *start* to *end*."""
    return Finding(
        rule_id=info.rule_id,
        stage=FindingStage.OUTPUT,
        action=action,
        severity=info.severity,
        category=info.category,
        start=start,
        end=end,
    )


def _finding(info: RuleInfo, action: GuardrailAction, at: Extent) -> Finding:
    return output_finding(info, action, at.start, at.end)
