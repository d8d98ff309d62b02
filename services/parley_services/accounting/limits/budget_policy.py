"""The policy: what happens when money runs short, as data. `policy.yaml` is the default."""

from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from parley_services.accounting.limits.allowances import NO_LIMITS, Budget, BudgetPeriod, Limits
from parley_services.accounting.subjects import SubjectLevel

DEFAULT_PATH = Path(__file__).with_name("policy.yaml")

_NANO = 1_000_000_000
_Usd = Annotated[Decimal, Field(ge=0, le=10**9, decimal_places=9)]
_PerMinute = Annotated[int, Field(ge=0, le=10**9)]


class PolicyAction(StrEnum):
    """What a rule does."""

    DOWNGRADE = "downgrade"
    """A cheaper model answers."""
    CACHE_FIRST = "cache_first"
    """The cache answers if it can, else a cheaper model."""
    CACHE_ONLY = "cache_only"
    """The cache answers if it can, else nothing does."""
    DENY = "deny"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Condition(_Part):
    """When a rule applies: what is booked and set aside has reached an amount."""

    level: SubjectLevel
    period: BudgetPeriod
    committed_usd_at_least: _Usd

    @property
    def committed_nano_usd(self) -> int:
        """The amount in billionths of a US dollar."""
        return int(self.committed_usd_at_least * _NANO)


class Consequence(_Part):
    """What a rule does to a turn."""

    action: PolicyAction
    model: str = ""
    """The cheaper model, with `downgrade` and `cache_first`."""
    max_input_token_count: Annotated[int, Field(ge=1)] | None = None
    """Turns with more input are refused."""


class Rule(_Part):
    """One rule of the policy."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    when: Condition
    then: Consequence


class OutputEstimate(_Part):
    """How many output tokens a turn sets aside."""

    token_count: Annotated[int, Field(ge=1, le=10**6)] = 512
    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.9
    extension_token_count: Annotated[int, Field(ge=1, le=10**6)] = 512


class DefaultBudget(_Part):
    """A budget of each subject of a level."""

    period: BudgetPeriod
    limit_usd: _Usd
    hard: bool


class DefaultLimits(_Part):
    """The limits of each subject of a level."""

    budgets: tuple[DefaultBudget, ...] = ()
    requests_per_minute: _PerMinute = 0
    tokens_per_minute: _PerMinute = 0
    max_concurrent_turns: Annotated[int, Field(ge=0, le=10**6)] = 0

    def to_limits(self) -> Limits:
        """Return the same with amounts in billionths of a US dollar."""
        return Limits(
            budgets=tuple(
                Budget(
                    period=each.period,
                    limit_nano_usd=int(each.limit_usd * _NANO),
                    is_hard=each.hard,
                )
                for each in self.budgets
            ),
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            max_concurrent_turns=self.max_concurrent_turns,
        )


class AlertPolicy(_Part):
    """When a budget alerts."""

    warning_percent: Annotated[int, Field(ge=1, le=99)] = 80


class Policy(_Part):
    """A whole policy file."""

    default_model: str = "claude-sonnet-5-5"
    """Prices a turn that names a group or nothing, until the router has said what it offers."""
    output_estimate: OutputEstimate = OutputEstimate()
    defaults: dict[SubjectLevel, DefaultLimits] = {}
    rules: tuple[Rule, ...] = ()
    alerts: AlertPolicy = AlertPolicy()

    def default_limits(self, level: SubjectLevel) -> Limits:
        """Return what holds for a subject of *level* without an allowance."""
        default = self.defaults.get(level)
        return NO_LIMITS if default is None else default.to_limits()


def load_policy(path: Path = DEFAULT_PATH) -> Policy:
    """
    Read a policy file.

    Raises ValueError that names the first wrong field, OSError if it cannot be read.
    """
    try:
        return Policy.model_validate(yaml.safe_load(path.read_text()))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"The policy file {path} is wrong at {where}: {first['msg']}.") from error
    except yaml.YAMLError as error:
        raise ValueError(f"The policy file {path} is not YAML.") from error
