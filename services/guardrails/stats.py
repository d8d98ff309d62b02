"""Counts what each rule does, since the start of the process."""

from collections.abc import Iterable
from dataclasses import dataclass

from services.guardrails.verdict import Action, Finding


@dataclass(slots=True)
class RuleCounts:
    """The counts of one rule."""

    rule_id: str
    run_count: int = 0
    """Texts it looked at; an answer is one text."""

    hit_count: int = 0
    """Texts in which it found something."""

    block_count: int = 0
    """Texts that it blocked."""

    failure_count: int = 0
    """Texts at which it raised an error."""


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
        found = {(finding.rule_id, finding.action is Action.BLOCK) for finding in findings}
        for rule_id in {rule_id for rule_id, _ in found}:
            counts[rule_id].hit_count += 1
        for rule_id, blocked in found:
            counts[rule_id].block_count += blocked
        for rule_id in failed_rule_ids:
            counts[rule_id].failure_count += 1

    def snapshot(self) -> tuple[RuleCounts, ...]:
        """Return the counts, sorted by rule."""
        return tuple(self._counts.values())
