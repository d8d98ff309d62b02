"""The guardrails: every check, under the policy of whoever it is for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from parley_services.guardrails.checks import Checks, InputReport, input_size_bytes
from parley_services.guardrails.format.format_checker import FormatChecker
from parley_services.guardrails.offload import Offload
from parley_services.guardrails.policy.policy import Policies, Policy
from parley_services.guardrails.rule import PatternRule, Rule, RuleInfo
from parley_services.guardrails.rules import SCAN_RULES
from parley_services.guardrails.stats import RuleCounts, RuleStats
from parley_services.guardrails.streams.output_scanner import (
    OutputReport,
    OutputScanner,
    Step,
)
from parley_services.guardrails.streams.scan_rules import OutputContext
from parley_services.guardrails.streams.stream_plan import max_hold_characters
from parley_services.guardrails.streams.tool_call_scan import scan_tool_call
from parley_services.guardrails.text.limits import DEFAULT_LIMITS, Limits, utf8_length
from parley_services.kit.chat.finding import Finding, FindingStage, GuardrailAction
from parley_services.kit.chat.input_source import InputSource, InputText, TextFormat
from parley_services.kit.chat.message import ResponseFormat, ResponseFormatType, ToolCall
from parley_services.kit.clock import Clock

_SAMPLE = (
    "The committee, which met in 2024, chose (with 12 votes) the second proposal; see "
    'https://example.com/minutes?id=7 or call 555-0100: it\'s "cheaper" by 40%, they said. '
    "a_b = {'key': [1, 2]}; print(f'{a_b!r}') # x@y <b>bold</b> `code` -- 3.14 + 2/3 = ... \n\n"
)

STOPPED = "The answer was stopped by a guardrail before its end."
"""The format error of an answer that was to be JSON."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What a check did, for the record. Holds no text."""

    policy: str
    rule_ids: tuple[str, ...]
    normalized_text_sha256: str
    duration_seconds: float
    failed_rule_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRule:
    """A rule as a policy uses it."""

    info: RuleInfo
    action: GuardrailAction
    """The strictest that it does at any of its stages."""

    max_hold_characters: int
    """The most characters of a stream that it may hold back; 0 if it looks at none."""


class Guardrails:
    """Judges what goes to a model and what comes back."""

    def __init__(
        self,
        policies: Policies,
        rules: Sequence[Rule],
        clock: Clock,
        offload: Offload,
        formats: FormatChecker,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Compile every policy. Raises PatternInvalid and PatternUnbounded."""
        self._policies = policies
        self._rules = rules
        self._clock = clock
        self._offload = offload
        self._formats = formats
        self._checks = {policy.name: Checks(policy, rules, limits) for policy in policies.all}
        self._infos = sorted(
            (*SCAN_RULES, *(rule.info for rule in rules)), key=lambda each: each.rule_id
        )
        self._stats = RuleStats(info.rule_id for info in self._infos)

    def prepare(self) -> None:
        """Build RE2's automata, which it does lazily, on a text like those to come."""
        for checks in self._checks.values():
            scanner = checks.scan_output(OutputContext())
            for word in _SAMPLE.split(" "):
                scanner.feed(word + " ")
            scanner.end()
            checks.check_input([InputText(text=_SAMPLE)])

    async def check_input(
        self, texts: Sequence[InputText], *, tenant_id: str, template: str
    ) -> tuple[InputReport, Audit]:
        """
        Judge *texts*, which go to a model together.

        Raises InputTooLarge, InvalidArgument for a binary text and for a schema of an answer
        that cannot be used, and Overloaded.
        """
        started = self._clock.monotonic()
        for index, each in enumerate(texts):
            if each.source is InputSource.RESPONSE_FORMAT and each.format is TextFormat.JSON:
                schema = ResponseFormat(type=ResponseFormatType.JSON_SCHEMA, json_schema=each.text)
                await self._formats.require_usable(schema, f"texts[{index}].text")
        checks = self._for(tenant_id, template)
        report = await self._offload.run(
            input_size_bytes(texts),
            lambda: checks.check_input(texts),
            is_slow=checks.asks_model(texts),
        )
        self._stats.record(
            rule_ids=report.rule_ids,
            findings=[finding for each in report.texts for finding in each.findings],
            failed_rule_ids=report.failed_rule_ids,
        )
        return report, Audit(
            policy=checks.policy.name,
            rule_ids=report.rule_ids,
            normalized_text_sha256=report.normalized_text_sha256,
            duration_seconds=self._clock.monotonic() - started,
            failed_rule_ids=report.failed_rule_ids,
        )

    async def scan_output(
        self, context: OutputContext, *, tenant_id: str, template: str
    ) -> "OutputScan":
        """
        Begin to judge an answer.

        Raises InputTooLarge for a *context* above its limit, InvalidArgument for an unusable
        schema, and Overloaded.
        """
        checks = self._for(tenant_id, template)
        await self._formats.require_usable(context.response_format)
        scanner = checks.scan_output(context)
        user_bytes = sum(map(utf8_length, context.user_texts))
        if user_bytes >= self._offload.from_bytes:
            await self._offload.run(user_bytes, scanner.prepare_own_values)
        return OutputScan(
            scanner=scanner,
            policy=checks.policy.name,
            rule_ids=tuple(info.rule_id for info in checks.output_rules),
            stats=self._stats,
            clock=self._clock,
            offload=self._offload,
            formats=self._formats,
            response_format=context.response_format,
        )

    def policy(self, tenant_id: str, template: str) -> Policy:
        """Return the policy for *tenant_id* and *template*."""
        return self._policies.find(tenant_id, template)

    def rules(self, policy: Policy) -> tuple[ListedRule, ...]:
        """Return the rules as *policy* uses them, sorted by id."""
        held = {
            rule.info.rule_id: max_hold_characters(rule)
            for rule in self._rules
            if isinstance(rule, PatternRule) and FindingStage.OUTPUT in rule.info.stages
        }
        return tuple(
            ListedRule(
                info=info,
                action=max(policy.action(info, stage) for stage in info.stages),
                max_hold_characters=held.get(info.rule_id, 0),
            )
            for info in self._infos
        )

    def stats(self) -> tuple[RuleCounts, ...]:
        """Return how often each rule ran, what it did about its findings, and when it failed."""
        return self._stats.snapshot()

    def log_summary(self) -> None:
        """Log how many texts each rule flagged, redacted, blocked, restored and failed at."""
        for counts in self._stats.snapshot():
            for what, count in counts.outcomes():
                if count:
                    log.info(f"guardrail rule {what}", rule_id=counts.rule_id, count=count)

    def _for(self, tenant_id: str, template: str) -> Checks:
        return self._checks[self._policies.find(tenant_id, template).name]


class OutputScan:
    """An `OutputScanner` whose time is taken and whose findings are counted."""

    def __init__(
        self,
        *,
        scanner: OutputScanner,
        policy: str,
        rule_ids: tuple[str, ...],
        stats: RuleStats,
        clock: Clock,
        offload: Offload,
        formats: FormatChecker,
        response_format: ResponseFormat,
    ) -> None:
        self._scanner = scanner
        self._policy = policy
        self._rule_ids = rule_ids
        self._stats = stats
        self._clock = clock
        self._offload = offload
        self._formats = formats
        self._response_format = response_format
        self._shown: list[str] = []
        self._seconds = 0.0
        self._size_bytes = 0

    @property
    def blocking_finding(self) -> Finding | None:
        """The finding that ended the answer, if one did."""
        return self._scanner.blocking_finding

    async def feed(self, text: str) -> list[Step]:
        """
        Return what may be shown now that *text* has come.

        Raises InputTooLarge and Overloaded. After a cancel the scan is of no more use.
        """
        started = self._clock.monotonic()
        size_bytes = utf8_length(text)
        self._size_bytes += size_bytes
        steps = await self._offload.run(size_bytes, lambda: self._scanner.feed(text))
        self._seconds += self._clock.monotonic() - started
        return self._showing(steps)

    async def tool_call(self, call: ToolCall) -> list[Step]:
        """
        Return *call* as it may run, after what was done about it.

        Raises InputTooLarge and Overloaded. After a cancel the scan is of no more use.
        """
        started = self._clock.monotonic()
        size_bytes = utf8_length(call.arguments_json)
        steps = await self._offload.run(size_bytes, lambda: scan_tool_call(self._scanner, call))
        self._seconds += self._clock.monotonic() - started
        return steps

    async def end(self) -> list[Step]:
        """Return what is left to show now that the answer is over. Raises Overloaded."""
        started = self._clock.monotonic()
        # The classifiers read the whole answer here.
        steps = await self._offload.run(self._size_bytes, self._scanner.end)
        self._seconds += self._clock.monotonic() - started
        return self._showing(steps)

    async def report(self) -> tuple[OutputReport, Audit]:
        """
        Return what was found in all. To be called once, after `end` or a block.

        Raises InvalidArgument if the answer cannot be checked by its schema in time, and
        Overloaded.
        """
        report = replace(self._scanner.report(), format_error=await self._format_error())
        self._stats.record(
            rule_ids=self._rule_ids,
            findings=report.findings,
            failed_rule_ids=report.failed_rule_ids,
        )
        return report, Audit(
            policy=self._policy,
            rule_ids=self._rule_ids,
            normalized_text_sha256=report.normalized_text_sha256,
            duration_seconds=self._seconds,
            failed_rule_ids=report.failed_rule_ids,
        )

    def _showing(self, steps: list[Step]) -> list[Step]:
        if self._response_format.is_json:
            self._shown += [step for step in steps if isinstance(step, str)]
        return steps

    async def _format_error(self) -> str:
        """Return why what the client gets breaks its form, empty if it does not."""
        if not self._response_format.is_json:
            return ""
        if self._scanner.blocking_finding is not None:
            return STOPPED
        return await self._formats.format_error(self._response_format, "".join(self._shown))
