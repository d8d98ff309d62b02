"""Python that runs a text as code."""

from parley_services.guardrails.rule import PatternRule, RuleInfo, Span
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity


def _not_a_method(candidate: str) -> Span | None:
    # `pattern.exec(text)` is JavaScript's way to match a regular expression.
    return None if candidate.startswith(".") else (0, len(candidate))


RULE = PatternRule(
    info=RuleInfo(
        rule_id="banned_output.code_execution",
        stages=frozenset({FindingStage.OUTPUT}),
        action=GuardrailAction.BLOCK,
        severity=Severity.HIGH,
        category="banned_output",
        description="Python's `exec(` and `__import__(`, which run text as code.",
        source="CWE-95; https://docs.python.org/3/library/functions.html#exec",
        baseline=True,
    ),
    patterns=(r"\.?\bexec\(", r"__import__\s{0,4}\("),
    ignore_case=False,
    sees_through=True,
    accept=_not_a_method,
)
