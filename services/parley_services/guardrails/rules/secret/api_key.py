"""Keys, tokens and private keys."""

import math
from collections import Counter

from parley_services.guardrails.rule import PatternRule, RuleInfo, Span
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

_MIN_ENTROPY_BITS = 3.0
"""Per character. Words and `your-api-key-here` are below it, random keys of 20 characters
and more above."""

_PLAIN_PREFIXES = ("-----begin", "eyj")


def _is_random(candidate: str) -> Span | None:
    if candidate.lower().startswith(_PLAIN_PREFIXES):
        return 0, len(candidate)
    counts = Counter(candidate)
    total = len(candidate)
    entropy = -sum(n / total * math.log2(n / total) for n in counts.values())
    has_digit = any(each.isdigit() for each in candidate)
    return (0, total) if has_digit and entropy >= _MIN_ENTROPY_BITS else None


RULE = PatternRule(
    info=RuleInfo(
        rule_id="secret.api_key",
        stages=frozenset({FindingStage.INPUT, FindingStage.OUTPUT, FindingStage.CONTEXT}),
        action=GuardrailAction.REDACT,
        severity=Severity.CRITICAL,
        category="secret",
        description="A key or token by its provider's prefix, or one that is named as such.",
        source="https://docs.github.com/en/code-security/secret-scanning/"
        "introduction/supported-secret-scanning-patterns",
        baseline=True,
    ),
    patterns=(
        r"\bsk-(?:proj-|ant-|live-|svcacct-|or-v1-)?[A-Za-z0-9_\-]{20,200}",
        r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
        r"\bgh[pousr]_[A-Za-z0-9]{36,80}\b|\bgithub_pat_[A-Za-z0-9_]{40,100}\b",
        r"\bglpat-[A-Za-z0-9_\-]{20,60}|\bnpm_[A-Za-z0-9]{36}\b|\bpypi-[A-Za-z0-9_\-]{50,200}",
        r"\bxox[abposr]-[A-Za-z0-9\-]{10,80}|\bhf_[A-Za-z0-9]{30,60}\b|\bAIza[A-Za-z0-9_\-]{35}",
        r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,100}\b|\bSG\.[A-Za-z0-9_\-]{22}\.[A-Za-z0-9_\-]{43}",
        r"\beyJ[A-Za-z0-9_\-]{10,300}\.eyJ[A-Za-z0-9_\-]{10,600}\.[A-Za-z0-9_\-]{10,400}",
        r"-----BEGIN (?:[A-Z]{2,9} ){0,2}PRIVATE KEY-----[A-Za-z0-9+/=\s]{0,990}",
        r"\b(?:[Aa][Pp][Ii][ _\-]?[Kk][Ee][Yy]|[Ss][Ee][Cc][Rr][Ee][Tt](?:[ _\-]?[Kk][Ee][Yy])?"
        r"|[Aa][Cc][Cc][Ee][Ss][Ss][ _\-]?[Tt][Oo][Kk][Ee][Nn]|[Tt][Oo][Kk][Ee][Nn])"
        r"[\"']?\s{0,3}(?:=|:|is)\s{0,3}[\"']?([A-Za-z0-9_\-./+]{20,120})",
    ),
    ignore_case=False,
    accept=_is_random,
    label="API_KEY",
    same_value=str,
)
