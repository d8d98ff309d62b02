"""Shell commands that destroy or open up a whole machine."""

from parley_services.guardrails.rule import PatternRule, RuleInfo, Span
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

_TOP_FOLDERS = frozenset(
    {
        "",
        "*",
        "bin",
        "boot",
        "dev",
        "etc",
        "home",
        "lib",
        "opt",
        "root",
        "sbin",
        "sys",
        "usr",
        "var",
    }
)


def _whole_machine(candidate: str) -> Span | None:
    """Refuse the removal of a folder that is not one of the machine's own."""
    if not candidate.lower().startswith("rm"):
        return 0, len(candidate)
    folder = candidate[candidate.index("/") :]
    options = candidate[: candidate.index("/")].lower()
    is_recursive = "recursive" in options or any(
        "r" in word for word in options.split() if word.startswith("-") and word[1:2] != "-"
    )
    if not is_recursive or folder.strip("/*") not in _TOP_FOLDERS:
        return None
    return 0, len(candidate)


RULE = PatternRule(
    info=RuleInfo(
        rule_id="banned_output.destructive_shell",
        stages=frozenset({FindingStage.OUTPUT}),
        action=GuardrailAction.BLOCK,
        severity=Severity.CRITICAL,
        category="banned_output",
        description="A shell command that removes the whole machine or lets everybody write to it.",
        source="OWASP LLM05:2025; CWE-732 (permissions)",
        baseline=True,
    ),
    patterns=(
        r"\brm\s{1,16}(?:-{1,2}[a-z\-]{1,24}\s{1,16}){1,4}[\"']?/[\w.\-*/]{0,32}",
        r"\b(?:chmod|chown)\s{1,16}(?:-{1,2}[a-z]{1,16}\s{1,16}){0,3}[0-7]?777\b",
        r"\bmkfs(?:\.\w{2,8})?\s{1,16}(?:-\w{1,8}\s{1,16}){0,3}/dev/\w",
        r"\bdd\s{1,16}(?:\w{2,8}=\S{1,32}\s{1,16}){0,3}of=/dev/(?:sd|hd|nvme|vd|xvd|disk)",
        # The fork bomb, `:(){ :|:& };:`, without its ends: for them, each colon in prose and
        # each brace in code would be held back.
        r"\(\s?\)\s?\{\s?:\s?\|\s?:\s?&",
    ),
    sees_through=True,
    accept=_whole_machine,
)
