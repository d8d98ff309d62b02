"""What happens to a text at which a rule raises an error."""

from typing import Final

import structlog

from parley_services.kit.chat.finding import GuardrailAction

CLOSED: Final = (GuardrailAction.BLOCK, GuardrailAction.REDACT)
"""What a rule would have stopped or hidden is stopped when the rule fails: it has seen
nothing, so nothing says that the text is good."""

log = structlog.get_logger()


class Failures:
    """The rules that raised an error while one text was judged."""

    def __init__(self) -> None:
        self.rule_ids: set[str] = set()

    def note(self, rule_id: str, error: Exception) -> None:
        """Take down that *rule_id* failed. The first time it is logged, without any text."""
        if rule_id not in self.rule_ids:
            self.rule_ids.add(rule_id)
            log.error("guardrail rule failed", rule_id=rule_id, exc_info=error)
