"""A classifier at work under a policy."""

from dataclasses import dataclass

from parley_services.guardrails.classify.classifier import Classifier, Reading
from parley_services.guardrails.matching.failures import CLOSED, Failures
from parley_services.guardrails.rule import ClassifierRule
from parley_services.kit.chat.finding import Finding, FindingStage, GuardrailAction


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges whole texts by *rule*."""

    rule: ClassifierRule
    action: GuardrailAction
    """The strictest that may be done."""

    classifier: Classifier

    def finding(
        self, reading: Reading, length: int, stage: FindingStage, failures: Failures
    ) -> Finding | None:
        """
        Return what is found in a text of *length* characters, all of which it spans, or None.

        An error is noted in *failures*; a rule that may block then does.
        """
        try:
            score = (
                self.classifier.highest_score(reading)
                if self.rule.reads_parts
                else self.classifier.score(reading)
            )
        except Exception as error:
            failures.note(self.rule.info.rule_id, error)
            if self.action not in CLOSED:
                return None
            score = 1.0
        action = self.rule.action_at(score, self.action)
        if action is GuardrailAction.UNSPECIFIED:
            return None
        info = self.rule.info
        return Finding(
            rule_id=info.rule_id,
            stage=stage,
            action=action,
            severity=info.severity,
            category=info.category,
            start=0,
            end=length,
            score=score,
        )
