"""Looks at one text of an input: what is found in it, and what becomes of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from parley_services.guardrails.classify.classifier import read
from parley_services.guardrails.classify.judge import Judge
from parley_services.guardrails.matching.arbiter import REPLACING
from parley_services.guardrails.matching.failures import Failures
from parley_services.guardrails.matching.placeholders import Numbering
from parley_services.guardrails.matching.text_plan import Found, TextPlan
from parley_services.guardrails.text.json_text import JoinedTokens, JsonText, Piece
from parley_services.kit.bounded_json import JsonRefused, load
from parley_services.kit.chat.finding import Finding, FindingStage, GuardrailAction
from parley_services.kit.errors import InvalidArgument


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedText:
    """A text after the check."""

    text: str
    """With every redaction applied."""

    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The rules for a text, and what it shares with the other texts of its input."""

    plan: TextPlan
    judges: Sequence[Judge]
    stage: FindingStage
    numbering: Numbering
    failures: Failures
    blocks_numbers: bool
    """Whether a number in JSON that must be hidden blocks. Else it becomes a string."""

    def at_text(self, text: str) -> tuple[CheckedText, bytes]:
        """Return what becomes of *text*, and how rules see it."""
        finds = self.plan.find(text, self.failures)
        pieces: list[str] = []
        end = 0
        for found in finds.found:
            if found.hit.action is GuardrailAction.REDACT and found.start >= end:
                original = text[found.start : found.end]
                placeholder = self.numbering.placeholder(found.hit, original)
                pieces += (text[end : found.start], placeholder)
                end = found.end
        pieces.append(text[end:])
        findings = [self._finding(found, found.start, found.end) for found in finds.found]
        findings += self._judged(text, len(text))
        return CheckedText(text="".join(pieces), findings=tuple(findings)), finds.normalized

    def at_json(self, text: str, field: str) -> tuple[CheckedText, bytes]:
        """
        Return what becomes of *text*, which is JSON and stays so, and how rules see it.

        Raises InvalidArgument, naming *field*, if it is no JSON that may be used.
        """
        try:
            load(text)
        except JsonRefused as error:
            raise InvalidArgument.field(field, str(error)) from None
        json = JsonText(text)
        by_key = json.by_key()
        finds = self.plan.find(by_key.text, self.failures)
        findings: list[Finding] = []
        for found, pieces in (*_in_values(finds.found, by_key), *self._spread(json)):
            finding = self._finding(found, *json.span(pieces))
            if found.hit.action is GuardrailAction.REDACT:
                if self.blocks_numbers and any(each.token.is_number for each in pieces):
                    finding = replace(finding, action=GuardrailAction.BLOCK)
                else:
                    original = "".join(each.token.text[each.start : each.end] for each in pieces)
                    json.replace(pieces, self.numbering.placeholder(found.hit, original))
            if finding not in findings:
                findings.append(finding)
        findings += self._judged(by_key.text, len(text))
        return CheckedText(text=json.result(), findings=tuple(findings)), finds.normalized

    def _spread(self, json: JsonText) -> Iterator[tuple[Found, list[Piece]]]:
        """
        Yield what is spread over several values.

        Of personal data only what the baseline rules find is taken for spread: it has check
        digits or a form of its own, where others may be the figures of a table.
        """
        if sum(not token.is_key for token in json.tokens) < 2:
            return
        row = json.in_a_row()
        for found, pieces in _in_values(self.plan.find(row.text, self.failures).found, row):
            replaces = found.hit.action in REPLACING
            if len(pieces) > 1 and (found.hit.rule.info.baseline or not replaces):
                yield found, pieces

    def _judged(self, text: str, length: int) -> list[Finding]:
        if not self.judges:
            return []
        reading = read(text)
        judged = (
            judge.finding(reading, length, self.stage, self.failures) for judge in self.judges
        )
        return [finding for finding in judged if finding is not None]

    def _finding(self, found: Found, start: int, end: int) -> Finding:
        info = found.hit.rule.info
        return Finding(
            rule_id=info.rule_id,
            stage=self.stage,
            action=found.hit.action,
            severity=info.severity,
            category=info.category,
            start=start,
            end=end,
            score=found.hit.score,
        )


def _in_values(found: Sequence[Found], joined: JoinedTokens) -> Iterator[tuple[Found, list[Piece]]]:
    for each in found:
        pieces = joined.pieces(each.start, each.end)
        # None: in what stands between the values.
        if pieces:
            yield each, pieces
