"""Counts what each rule does, since the start of the process."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from parley_services.kit.chat.finding import Finding, GuardrailAction


@dataclass(slots=True)
class RuleCounts:
    """The counts of one rule."""

    rule_id: str
    run_count: int = 0
    """Texts it looked at; an answer is one text."""

    hit_count: int = 0
    """Texts in which it found something."""

    flag_count: int = 0
    """Texts in which it flagged something."""

    redact_count: int = 0
    """Texts in which it redacted something."""

    block_count: int = 0
    """Texts that it blocked."""

    restore_count: int = 0
    """Texts in which it left or put back a value of the user's own."""

    failure_count: int = 0
    """Texts at which it raised an error."""

    def outcomes(self) -> tuple[tuple[str, int], ...]:
        """Return what came of its texts, in words, with how many."""
        return (
            ("flagged", self.flag_count),
            ("redacted", self.redact_count),
            ("blocked", self.block_count),
            ("restored", self.restore_count),
            ("failed", self.failure_count),
        )

    def count(self, action: GuardrailAction) -> None:
        """Count a text about which *action* was taken."""
        match action:
            case GuardrailAction.FLAG:
                self.flag_count += 1
            case GuardrailAction.REDACT:
                self.redact_count += 1
            case GuardrailAction.BLOCK:
                self.block_count += 1
            case GuardrailAction.RESTORE:
                self.restore_count += 1
            case GuardrailAction.UNSPECIFIED:
                pass
            case _:
                assert_never(action)


class RuleStats:
    """The counts of all rules."""

    def __init__(self, rule_ids: Iterable[str]) -> None:
        self._counts = {rule_id: RuleCounts(rule_id) for rule_id in sorted(rule_ids)}

    def record(
        self,
        *,
        rule_ids: Iterable[str],
        findings: Iterable[Finding],
        failed_rule_ids: Iterable[str],
    ) -> None:
        """Count one text that *rule_ids* looked at."""
        counts = self._counts
        for rule_id in rule_ids:
            counts[rule_id].run_count += 1
        found = {(finding.rule_id, finding.action) for finding in findings}
        for rule_id in {rule_id for rule_id, _ in found}:
            counts[rule_id].hit_count += 1
        for rule_id, action in found:
            counts[rule_id].count(action)
        for rule_id in failed_rule_ids:
            counts[rule_id].failure_count += 1

    def snapshot(self) -> tuple[RuleCounts, ...]:
        """Return the counts, sorted by rule."""
        return tuple(self._counts.values())
