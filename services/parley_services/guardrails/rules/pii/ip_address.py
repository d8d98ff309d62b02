"""Addresses of the Internet Protocol."""

import ipaddress

from parley_services.guardrails.rule import PatternRule, RuleInfo, Span
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity


def _is_address(candidate: str) -> Span | None:
    # A fifth number, as in 1.2.3.4.5, makes it a version or a section.
    if candidate.count(".") not in (0, 3):
        return None
    text = candidate.rstrip(":")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if address.is_unspecified or (address.version == 6 and len(text) < 4):
        return None
    return 0, len(text)


RULE = PatternRule(
    info=RuleInfo(
        rule_id="pii.ip_address",
        stages=frozenset({FindingStage.INPUT, FindingStage.OUTPUT, FindingStage.CONTEXT}),
        action=GuardrailAction.REDACT,
        severity=Severity.MEDIUM,
        category="pii",
        description="An IPv4 or IPv6 address.",
        source="RFC 791, RFC 4291 section 2.2; Regulation (EU) 2016/679 recital 30",
    ),
    patterns=(
        r"\.?\b\d{1,3}(?:\.\d{1,3}){3,5}\b",
        r"(?:\b[0-9a-f]{1,4}|:):(?:[0-9a-f]{0,4}:){0,7}(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4})\b",
    ),
    accept=_is_address,
    label="IP",
    same_value=str.casefold,
)
