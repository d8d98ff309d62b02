"""A turn, from its reservation to its booking."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from parley_services.kit.chat.budget import BudgetDecision
from parley_services.kit.chat.subject import Subject
from parley_services.kit.chat.usage import Usage


class TurnState(StrEnum):
    """Where a turn is. Only HELD sets money aside."""

    HELD = "held"
    SETTLED = "settled"
    RELEASED = "released"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnKey:
    """A turn's identity: request ids are unique within a tenant."""

    tenant_id: str
    request_id: str

    @property
    def text(self) -> str:
        """The key as one text, for the store. Ids hold no control characters."""
        return f"{self.tenant_id}\x1f{self.request_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What is known of a turn. Each change makes a new value."""

    key: TurnKey
    reservation_id: str
    """Empty for a turn that ran while accounting was away."""
    state: TurnState
    subject: Subject
    create_time_us: int
    """Microseconds since 1970."""

    decision: BudgetDecision = BudgetDecision.ALLOW
    policy_rule: str = ""
    model: str = ""
    """The model that the amount is priced for."""
    downgrade_model: str = ""
    input_token_count: int = 0
    """Of one call; of all running ones together once an extension has said so."""
    input_send_count: int = 1
    """How often that input may be sent before the next extension."""
    spent_nano_usd: int = 0
    """What ended attempts cost, as far as the last extension said."""
    max_output_token_count: int = 0
    """0: unknown."""
    covered_output_token_count: int = 0
    produced_output_token_count: int = 0
    """As far as the last extension reported."""
    step: int = 0
    """The last extension."""
    amount_nano_usd: int = 0
    """What is set aside."""
    charged_token_count: int = 0
    """What was taken from the tokens per minute."""
    lease_ns: int = 0
    """How long the lease runs from each extension on."""
    deadline_ns: int = 0
    """When the lease ends, as `Timestamp.monotonic_ns`."""

    template: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    booked_attempts: tuple[int, ...] = ()
    """Numbers of the attempts in the ledger; 0 for an entry without a call."""
    cost_nano_usd: int = 0
    """What was booked, corrections included."""
    expiry_cost_nano_usd: int = 0
    """What was booked at the expiry and not corrected since."""

    @property
    def estimated_usage(self) -> Usage:
        """
        The best estimate of what the turn used, if no one says.

        That is what was produced as far as the last extension said, else what was set aside.
        """
        if self.decision is BudgetDecision.CACHE_ONLY:
            return Usage(estimated=True)
        output = self.produced_output_token_count if self.step else self.covered_output_token_count
        return Usage(
            input_token_count=self.input_token_count, output_token_count=output, estimated=True
        )
