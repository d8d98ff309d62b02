"""What a turn and accounting tell each other."""

from dataclasses import dataclass

from parley_services.kit.chat.budget import BudgetDecision
from parley_services.kit.chat.subject import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Whose key it is and what the key may do."""

    subject: Subject
    may_chat: bool
    may_act_for_users: bool
    max_age_seconds: float
    has_hard_budget: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationRequest:
    """What a turn may need."""

    request_id: str
    subject: Subject
    model: str
    input_token_count: int
    max_output_token_count: int
    template: str
    tags: dict[str, str]
    turn_timeout_seconds: float
    reservation_id: str
    """Of this run of the turn; the reservation gets it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What was set aside for a turn, and what the policy lets it do."""

    reservation_id: str
    decision: BudgetDecision
    downgrade_model: str = ""
    policy_rule: str = ""
    covered_output_token_count: int = 0
    """How many output tokens the amount covers; 0: no bound."""

    @classmethod
    def unknown(cls, reservation_id: str) -> "Reservation":
        """Return what stands for a reservation whose answer never came."""
        return cls(reservation_id=reservation_id, decision=BudgetDecision.UNSPECIFIED)
