"""The guardrails: every check, under the policy of whoever it is for."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.guardrails.checks import Checks, InputReport, InputText
from services.guardrails.leakage import LEAK
from services.guardrails.output_scanner import OutputContext, OutputReport, OutputScanner, Step
from services.guardrails.policy import Policies, Policy
from services.guardrails.rule import PatternRule, Rule, RuleInfo
from services.guardrails.stats import RuleCounts, RuleStats
from services.guardrails.stream_plan import max_hold_characters
from services.guardrails.verdict import Action, Finding, Stage
from services.kit.clock import Clock

_SAMPLE = (
    "The committee, which met in 2024, chose (with 12 votes) the second proposal; see "
    'https://example.com/minutes?id=7 or call 555-0100: it\'s "cheaper" by 40%, they said. '
    "a_b = {'key': [1, 2]}; print(f'{a_b!r}') # x@y <b>bold</b> `code` -- 3.14 + 2/3 = ... \n\n"
)


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
    action: Action
    """The strictest that it does at any of its stages."""

    max_hold_characters: int
    """The most characters of a stream that it may hold back; 0 if it looks at none."""


class Guardrails:
    """Judges what goes to a model and what comes back."""

    def __init__(self, policies: Policies, rules: Sequence[Rule], clock: Clock) -> None:
        """Compile every policy. Raises PatternInvalid and PatternUnbounded."""
        self._policies = policies
        self._rules = rules
        self._clock = clock
        self._checks = {policy.name: Checks(policy, rules) for policy in policies.all}
        self._stats = RuleStats([LEAK.rule_id, *(rule.info.rule_id for rule in rules)])

    def prepare(self) -> None:
        """Build RE2's automata, which it does lazily, on a text like those to come."""
        for checks in self._checks.values():
            scanner = checks.scan_output(OutputContext())
            for word in _SAMPLE.split(" "):
                scanner.feed(word + " ")
            scanner.end()
            checks.check_input([InputText(text=_SAMPLE)])

    def check_input(
        self, texts: Sequence[InputText], *, tenant_id: str, template: str
    ) -> tuple[InputReport, Audit]:
        """Judge *texts*, which go to a model together. Raises InputTooLarge."""
        started = self._clock.monotonic()
        checks = self._for(tenant_id, template)
        report = checks.check_input(texts)
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

    def scan_output(self, context: OutputContext, *, tenant_id: str, template: str) -> "OutputScan":
        """Begin to judge an answer."""
        checks = self._for(tenant_id, template)
        return OutputScan(checks, context, self._stats, self._clock)

    def policy(self, tenant_id: str, template: str) -> Policy:
        """Return the policy for *tenant_id* and *template*."""
        return self._policies.find(tenant_id, template)

    def rules(self, policy: Policy) -> tuple[ListedRule, ...]:
        """Return the rules as *policy* uses them, sorted by id."""
        held = {
            rule.info.rule_id: max_hold_characters(rule)
            for rule in self._rules
            if isinstance(rule, PatternRule) and Stage.OUTPUT in rule.info.stages
        }
        infos = [LEAK, *(rule.info for rule in self._rules)]
        return tuple(
            ListedRule(
                info=info,
                action=max(policy.action(info, stage) for stage in info.stages),
                max_hold_characters=held.get(info.rule_id, 0),
            )
            for info in sorted(infos, key=lambda each: each.rule_id)
        )

    def stats(self) -> tuple[RuleCounts, ...]:
        """Return how often each rule ran, found something and blocked."""
        return self._stats.snapshot()

    def _for(self, tenant_id: str, template: str) -> Checks:
        return self._checks[self._policies.find(tenant_id, template).name]


class OutputScan:
    """An `OutputScanner` whose time is taken and whose findings are counted."""

    def __init__(
        self, checks: Checks, context: OutputContext, stats: RuleStats, clock: Clock
    ) -> None:
        self._checks = checks
        self._scanner: OutputScanner = checks.scan_output(context)
        self._stats = stats
        self._clock = clock
        self._seconds = 0.0

    @property
    def blocking_finding(self) -> Finding | None:
        """The finding that ended the answer, if one did."""
        return self._scanner.blocking_finding

    def feed(self, text: str) -> list[Step]:
        """Return what may be shown now that *text* has come. Raises InputTooLarge."""
        started = self._clock.monotonic()
        steps = self._scanner.feed(text)
        self._seconds += self._clock.monotonic() - started
        return steps

    def end(self) -> list[Step]:
        """Return what is left to show now that the answer is over."""
        started = self._clock.monotonic()
        steps = self._scanner.end()
        self._seconds += self._clock.monotonic() - started
        return steps

    def report(self) -> tuple[OutputReport, Audit]:
        """Return what was found in all. To be called once, after `end` or a block."""
        report = self._scanner.report()
        rule_ids = tuple(info.rule_id for info in self._checks.output_rules)
        self._stats.record(
            rule_ids=rule_ids, findings=report.findings, failed_rule_ids=report.failed_rule_ids
        )
        return report, Audit(
            policy=self._checks.policy.name,
            rule_ids=rule_ids,
            normalized_text_sha256=report.normalized_text_sha256,
            duration_seconds=self._seconds,
            failed_rule_ids=report.failed_rule_ids,
        )
