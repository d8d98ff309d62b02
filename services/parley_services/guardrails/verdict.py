"""What a check decides."""

from collections.abc import Iterable
from enum import IntEnum

from parley_services.kit.chat.finding import Finding, GuardrailAction


class Verdict(IntEnum):
    """What a check decided, mildest first; numbered as `parley.guardrails.v1.Verdict`."""

    ALLOW = 1
    FLAG = 2
    REDACT = 3
    BLOCK = 4


_VERDICTS = {
    GuardrailAction.UNSPECIFIED: Verdict.ALLOW,
    GuardrailAction.RESTORE: Verdict.ALLOW,
    GuardrailAction.FLAG: Verdict.FLAG,
    GuardrailAction.REDACT: Verdict.REDACT,
    GuardrailAction.BLOCK: Verdict.BLOCK,
}


def strictest(findings: Iterable[Finding]) -> Verdict:
    """Return the verdict that *findings* amount to; ALLOW for none."""
    return max((_VERDICTS[finding.action] for finding in findings), default=Verdict.ALLOW)
