"""
The baseline rules: what is checked even where the guardrails service is unavailable.

These are the rules that no policy can switch off, and those that keep e-mail addresses
and telephone numbers from a provider, so that losing the service never shows more than
having it. They need no network and no files.
"""

from collections.abc import Sequence
from functools import cache

from parley_services.guardrails.checks import Checks, InputReport
from parley_services.guardrails.policy.policy import Policy
from parley_services.guardrails.rules import PATTERN_RULES
from parley_services.guardrails.streams.output_scanner import OutputScanner
from parley_services.guardrails.streams.scan_rules import OutputContext
from parley_services.kit.chat.input_source import InputText

_POLICY = Policy(name="baseline")
_ALSO = ("pii.email", "pii.phone", "restore.placeholder")


def check_input(texts: Sequence[InputText]) -> InputReport:
    """Judge *texts* by the baseline rules. Raises InputTooLarge."""
    return _checks().check_input(texts)


def scan_output(context: OutputContext) -> OutputScanner:
    """Begin to judge an answer by the baseline rules."""
    return _checks().scan_output(context)


def prepare() -> None:
    """Compile the rules now, which takes about half a second, and not at the first call."""
    _checks()


@cache
def _checks() -> Checks:
    rules = [rule for rule in PATTERN_RULES if rule.info.baseline or rule.info.rule_id in _ALSO]
    return Checks(_POLICY, rules)
