"""Applies one policy to texts."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from parley_services.guardrails.classify.classifier import load_classifier
from parley_services.guardrails.classify.judge import Judge
from parley_services.guardrails.matching.failures import Failures
from parley_services.guardrails.matching.look import CheckedText, Look
from parley_services.guardrails.matching.placeholders import Numbering
from parley_services.guardrails.matching.text_plan import TextPlan
from parley_services.guardrails.policy.policy import HiddenNumbers, Policy
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
from parley_services.guardrails.streams.output_scanner import OutputScanner
from parley_services.guardrails.streams.scan_rules import OutputContext, ScanRules
from parley_services.guardrails.streams.stream_plan import StreamPlan
from parley_services.guardrails.text.image_url import split_image_url
from parley_services.guardrails.text.limits import (
    DEFAULT_LIMITS,
    Limits,
    require_size,
    require_text,
    utf8_length,
)
from parley_services.guardrails.verdict import Verdict, strictest
from parley_services.kit.chat.finding import Finding, FindingStage, GuardrailAction, Placeholder
from parley_services.kit.chat.input_source import InputSource, InputText, TextFormat

_PlacingRule = TypeVar("_PlacingRule", PatternRule, EntityRule)


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
            stage: TextPlan(
                _chosen(policy, patterns, stage), _chosen(policy, entities, stage), stage=stage
            )
            for stage in (FindingStage.INPUT, FindingStage.CONTEXT)
        }
        restoring = _chosen(policy, patterns, FindingStage.OUTPUT)
        if not policy.restore:
            restoring = [each for each in restoring if each[1] is not GuardrailAction.RESTORE]
        length_action = policy.action(LENGTH, FindingStage.OUTPUT)
        self._scan_rules = ScanRules(
            plan=StreamPlan(restoring),
            judges=self._judges[FindingStage.OUTPUT],
            leak_watch=(
                LeakWatch
                if policy.action(LEAK, FindingStage.OUTPUT) is GuardrailAction.BLOCK
                else None
            ),
            length_rule=(
                (policy.max_answer_characters, length_action)
                if policy.max_answer_characters is not None
                and length_action is not GuardrailAction.UNSPECIFIED
                else None
            ),
            blocks_numbers=policy.hidden_numbers is HiddenNumbers.BLOCK,
            restores_tool_arguments=policy.restore_tool_arguments,
            limits=limits,
        )
        self.output_rules: tuple[RuleInfo, ...] = (
            *(rule.info for rule, _ in restoring),
            *(judge.rule.info for judge in self._judges[FindingStage.OUTPUT]),
            *((LEAK,) if self._scan_rules.leak_watch else ()),
            *((LENGTH,) if self._scan_rules.length_rule else ()),
        )

    def asks_model(self, texts: Sequence[InputText]) -> bool:
        """Whether to judge *texts* takes a model's milliseconds, however short they are."""
        return any(self._texts[each.source.stage].asks_model for each in texts)

    def check_input(self, texts: Sequence[InputText]) -> InputReport:
        """
        Judge *texts*, which go to a model together.

        Raises InputTooLarge above the limit in all, and InvalidArgument for a binary text, for
        JSON that is none, and for a data URL that is no image.
        """
        split = self._split(texts)
        failures = Failures()
        numbering = Numbering(failures)
        digest = hashlib.sha256()
        checked = []
        for index, (each, (text, image)) in enumerate(zip(texts, split, strict=True)):
            stage = each.source.stage
            look = Look(
                plan=self._texts[stage],
                judges=self._judges[stage],
                stage=stage,
                numbering=numbering,
                failures=failures,
                blocks_numbers=self._scan_rules.blocks_numbers,
            )
            if each.format is TextFormat.JSON and text.strip():
                found, normalized = look.at_json(text, _field(index))
            else:
                found, normalized = look.at_text(text)
            digest.update(normalized)
            checked.append(replace(found, text=found.text + image) if image else found)
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
        return OutputScanner(self._scan_rules, context)

    def _split(self, texts: Sequence[InputText]) -> list[tuple[str, str]]:
        """Return of each text what rules read, and the bytes of an image, which none reads."""
        split = [
            split_image_url(each.text, _field(index))
            if each.source is InputSource.IMAGE_URL
            else (each.text, "")
            for index, each in enumerate(texts)
        ]
        limits = self._limits
        size_bytes = sum(utf8_length(text) for text, _ in split)
        require_size(size_bytes, limits.max_input_bytes, "An input")
        image_bytes = sum(len(image) for _, image in split)
        require_size(image_bytes, limits.max_image_bytes, "An input's images")
        for index, (text, _) in enumerate(split):
            require_text(text, _field(index))
        return split

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


def _field(index: int) -> str:
    return f"texts[{index}].text"


def _chosen(
    policy: Policy, rules: Sequence[_PlacingRule], stage: FindingStage
) -> list[tuple[_PlacingRule, GuardrailAction]]:
    chosen = [(rule, policy.action(rule.info, stage)) for rule in rules]
    return [(rule, action) for rule, action in chosen if action is not GuardrailAction.UNSPECIFIED]
