"""E-mail addresses."""

from itertools import takewhile
from typing import Final

from parley_services.guardrails.rule import Candidate, PatternRule, RuleInfo, Span
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

_LETTERS = r"a-z\u00df-\u00f6\u00f8-\u024f"
"""Latin letters with their accents: an address may have them (RFC 6531)."""

_WORD = rf"{_LETTERS}0-9"


def _well_formed(candidate: str) -> Span | None:
    """Return the part of *candidate* that is an address: dots stand neither side by side
    nor at an edge, and what follows two dots is another sentence."""
    at = candidate.index("@")
    start = candidate.rfind("..", 0, at) + 2 if ".." in candidate[:at] else 0
    labels: list[str] = []
    for label in candidate[at + 1 :].split("."):
        if not label or label[0] == "-" or label[-1] == "-" or len(label) > 63:
            break
        labels.append(label)
    while labels and len(top_level := _leading_letters(labels[-1])) < 2:
        labels.pop()
    if labels:
        labels[-1] = top_level
    local = candidate[start:at]
    if len(labels) < 2 or not local or local[0] == "." or local[-1] == ".":
        return None
    return start, at + 1 + len(".".join(labels))


def _leading_letters(label: str) -> str:
    return "".join(takewhile(str.isalpha, label))


_ROLES: Final = frozenset(
    {
        "abuse", "admin", "billing", "careers", "contact", "feedback", "hello", "help", "helpdesk",
        "hostmaster", "info", "jobs", "kontakt", "legal", "mail", "marketing", "media", "no-reply",
        "noreply", "office", "orders", "postmaster", "press", "privacy", "sales", "security",
        "service", "support", "team", "webmaster",
    }
)  # fmt: skip
"""Whom an address of a firm reaches: RFC 2142, and what is usual."""


def _in_an_input(candidate: Candidate) -> bool:
    # It names a repository by SSH.
    return not candidate.value.casefold().startswith("git@")


def _in_an_answer(candidate: Candidate) -> bool:
    """Take no address of a firm's desk."""
    local = candidate.value.partition("@")[0].casefold()
    return local != "git" and local not in _ROLES


RULE = PatternRule(
    info=RuleInfo(
        rule_id="pii.email",
        stages=frozenset({FindingStage.INPUT, FindingStage.OUTPUT, FindingStage.CONTEXT}),
        action=GuardrailAction.REDACT,
        severity=Severity.MEDIUM,
        category="pii",
        description="An e-mail address.",
        source="RFC 5321 4.1.2 and 4.5.3.1 (lengths), RFC 6531; quoted local parts are left out",
    ),
    patterns=(
        rf"[{_WORD}][{_WORD}._%+'\-]{{0,63}}@[{_WORD}][{_WORD}.\-]{{0,189}}"
        rf"\.[{_LETTERS}]{{2,24}}",
    ),
    accept=_well_formed,
    evidence={
        FindingStage.INPUT: _in_an_input,
        FindingStage.CONTEXT: _in_an_input,
        FindingStage.OUTPUT: _in_an_answer,
    },
    label="EMAIL",
    same_value=str.casefold,
)
