"""Applies one policy to texts."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from parley_services.guardrails.classify.classifier import EMPTY, load_classifier, read
from parley_services.guardrails.classify.judge import Judge
from parley_services.guardrails.matching.failures import Failures
from parley_services.guardrails.matching.placeholders import Numbering
from parley_services.guardrails.matching.text_plan import Finds, Found, TextPlan
from parley_services.guardrails.policy.policy import Policy
from parley_services.guardrails.rule import (
    STAGES,
    ClassifierRule,
    EntityRule,
    PatternRule,
    Rule,
    RuleInfo,
)
from parley_services.guardrails.streams.answer_length import LENGTH
from parley_services.guardrails.streams.leakage import LEAK, LeakWatch
from parley_services.guardrails.streams.output_scanner import OutputContext, OutputScanner
from parley_services.guardrails.streams.stream_plan import StreamPlan
from parley_services.guardrails.text.limits import (
    DEFAULT_LIMITS,
    Limits,
    require_size,
    require_text,
    utf8_length,
)
from parley_services.guardrails.verdict import Verdict, strictest
from parley_services.kit.chat.finding import Finding, FindingStage, GuardrailAction, Placeholder
from parley_services.kit.chat.input_source import InputText

_PlacingRule = TypeVar("_PlacingRule", PatternRule, EntityRule)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedText:
    """A text after the check."""

    text: str
    """With every redaction applied."""

    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputReport:
    """What a check of the input found."""

    verdict: Verdict
    texts: tuple[CheckedText, ...]
    placeholders: tuple[Placeholder, ...]
    """What the placeholders stand for, where the policy restores them."""

    blocking_finding: Finding | None
    rule_ids: tuple[str, ...]
    normalized_text_sha256: str
    failed_rule_ids: tuple[str, ...]


def input_size_bytes(texts: Sequence[InputText]) -> int:
    """Return the bytes of *texts* as UTF-8, in all."""
    return sum(utf8_length(each.text) for each in texts)


class Checks:
    """The rules of one policy, compiled."""

    def __init__(
        self, policy: Policy, rules: Sequence[Rule], limits: Limits = DEFAULT_LIMITS
    ) -> None:
        """Compile *rules*. Raises PatternInvalid and PatternUnbounded."""
        self.policy = policy
        self._limits = limits
        patterns = [rule for rule in rules if isinstance(rule, PatternRule)]
        classifiers = [rule for rule in rules if isinstance(rule, ClassifierRule)]
        entities = [rule for rule in rules if isinstance(rule, EntityRule)]
        self._judges = {
            stage: [
                Judge(rule, action, load_classifier(rule.model))
                for rule in classifiers
                if (action := policy.action(rule.info, stage)) is not GuardrailAction.UNSPECIFIED
            ]
            for stage in STAGES
        }
        self._texts = {
            stage: TextPlan(_chosen(policy, patterns, stage), _chosen(policy, entities, stage))
            for stage in (FindingStage.INPUT, FindingStage.CONTEXT)
        }
        restoring = _chosen(policy, patterns, FindingStage.OUTPUT)
        if not policy.restore:
            restoring = [each for each in restoring if each[1] is not GuardrailAction.RESTORE]
        self._stream = StreamPlan(restoring)
        self._stops_leaks = policy.action(LEAK, FindingStage.OUTPUT) is GuardrailAction.BLOCK
        length_action = policy.action(LENGTH, FindingStage.OUTPUT)
        self._length_rule = (
            (policy.max_answer_characters, length_action)
            if policy.max_answer_characters is not None
            and length_action is not GuardrailAction.UNSPECIFIED
            else None
        )
        self.output_rules: tuple[RuleInfo, ...] = (
            *(rule.info for rule, _ in restoring),
            *(judge.rule.info for judge in self._judges[FindingStage.OUTPUT]),
            *((LEAK,) if self._stops_leaks else ()),
            *((LENGTH,) if self._length_rule else ()),
        )

    def asks_model(self, texts: Sequence[InputText]) -> bool:
        """Whether to judge *texts* takes a model's milliseconds, however short they are."""
        return any(self._texts[each.source.stage].asks_model for each in texts)

    def check_input(self, texts: Sequence[InputText]) -> InputReport:
        """
        Judge *texts*, which go to a model together.

        Raises InputTooLarge above the limit in all, and InvalidArgument for a binary text.
        """
        require_size(input_size_bytes(texts), self._limits.max_input_bytes, "An input")
        for index, each in enumerate(texts):
            require_text(each.text, f"texts[{index}].text")
        failures = Failures()
        numbering = Numbering(failures)
        digest = hashlib.sha256()
        checked = []
        for each in texts:
            stage = each.source.stage
            finds = self._texts[stage].find(each.text, failures)
            digest.update(finds.normalized)
            judges = self._judges[stage]
            reading = read(each.text) if judges else EMPTY
            length = len(each.text)
            judged = [judge.finding(reading, length, stage, failures) for judge in judges]
            checked.append(_checked(each, finds, numbering, [one for one in judged if one]))
        findings = [finding for each in checked for finding in each.findings]
        blocking = [each for each in findings if each.action is GuardrailAction.BLOCK]
        return InputReport(
            verdict=strictest(findings),
            texts=tuple(checked),
            placeholders=self._restorable(numbering),
            blocking_finding=max(blocking, key=lambda each: each.severity, default=None),
            rule_ids=self._input_rule_ids(texts),
            normalized_text_sha256=digest.hexdigest(),
            failed_rule_ids=tuple(sorted(failures.rule_ids)),
        )

    def scan_output(self, context: OutputContext) -> OutputScanner:
        """Begin to judge an answer."""
        return OutputScanner(
            self._stream,
            context,
            judges=self._judges[FindingStage.OUTPUT],
            leaks=LeakWatch(context.system_text)
            if self._stops_leaks and context.system_text
            else None,
            length_rule=self._length_rule,
            limits=self._limits,
        )

    def _restorable(self, numbering: Numbering) -> tuple[Placeholder, ...]:
        if not self.policy.restore:
            return ()
        return tuple(
            Placeholder(placeholder=placeholder, original=original)
            for placeholder, original in numbering.originals.items()
        )

    def _input_rule_ids(self, texts: Sequence[InputText]) -> tuple[str, ...]:
        stages = {each.source.stage for each in texts}
        return tuple(
            sorted(
                {info.rule_id for stage in stages for info in self._texts[stage].rules}
                | {judge.rule.info.rule_id for stage in stages for judge in self._judges[stage]}
            )
        )


def _chosen(
    policy: Policy, rules: Sequence[_PlacingRule], stage: FindingStage
) -> list[tuple[_PlacingRule, GuardrailAction]]:
    chosen = [(rule, policy.action(rule.info, stage)) for rule in rules]
    return [(rule, action) for rule, action in chosen if action is not GuardrailAction.UNSPECIFIED]


def _checked(
    given: InputText, finds: Finds, numbering: Numbering, judged: Sequence[Finding]
) -> CheckedText:
    pieces: list[str] = []
    end = 0
    for found in finds.found:
        if found.hit.action is GuardrailAction.REDACT and found.start >= end:
            original = given.text[found.start : found.end]
            pieces += (given.text[end : found.start], numbering.placeholder(found.hit, original))
            end = found.end
    pieces.append(given.text[end:])
    stage = given.source.stage
    findings = tuple(_finding(found, stage) for found in finds.found)
    return CheckedText(text="".join(pieces), findings=(*findings, *judged))


def _finding(found: Found, stage: FindingStage) -> Finding:
    info = found.hit.rule.info
    return Finding(
        rule_id=info.rule_id,
        stage=stage,
        action=found.hit.action,
        severity=info.severity,
        category=info.category,
        start=found.start,
        end=found.end,
        score=found.hit.score,
    )
