"""E-mail addresses."""

from services.guardrails.rule import PatternRule, RuleInfo, Span
from services.guardrails.verdict import Action, Severity, Stage

_LETTERS = r"a-z0-9\u00df-\u00f6\u00f8-\u024f"
"""Latin letters with their accents: an address may have them (RFC 6531)."""


def _well_formed(candidate: str) -> Span | None:
    local, _, domain = candidate.partition("@")
    labels = domain.split(".")
    if ".." in local or local.endswith("."):
        return None
    if any(not label or label[0] == "-" or label[-1] == "-" or len(label) > 63 for label in labels):
        return None
    return 0, len(candidate)


RULE = PatternRule(
    info=RuleInfo(
        rule_id="pii.email",
        stages=frozenset({Stage.INPUT, Stage.OUTPUT, Stage.CONTEXT}),
        action=Action.REDACT,
        severity=Severity.MEDIUM,
        category="pii",
        description="An e-mail address.",
        source="RFC 5321 4.1.2 and 4.5.3.1 (lengths), RFC 6531; quoted local parts are left out",
    ),
    patterns=(
        rf"[{_LETTERS}][{_LETTERS}._%+'\-]{{0,63}}@[{_LETTERS}][{_LETTERS}.\-]{{0,189}}"
        rf"\.[{_LETTERS}]{{2,24}}\b",
    ),
    accept=_well_formed,
    label="EMAIL",
    same_value=str.casefold,
)
