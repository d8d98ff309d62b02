"""How much goes on while accounting is unavailable."""

from collections import defaultdict

from parley_services.kit.chat.budget import BudgetDecision
from parley_services.kit.errors import DependencyUnavailable
from parley_services.orchestrator.values.accounting import Principal, Reservation


class OfflineAllowance:
    """
    Lets each tenant make *turn_limit* turns while accounting is unavailable.

    A key under a hard budget gets none: what cannot be checked is refused. The turns are
    booked from the outbox once accounting is back, and the allowance is whole again then.
    """

    def __init__(self, *, turn_limit: int) -> None:
        self._turn_limit = turn_limit
        self._used: defaultdict[str, int] = defaultdict(int)

    def take(self, principal: Principal, cause: DependencyUnavailable) -> Reservation:
        """Return a reservation on trust. Raises *cause* again if there is no more."""
        tenant_id = principal.subject.tenant_id
        if principal.has_hard_budget or self._used[tenant_id] >= self._turn_limit:
            raise cause
        self._used[tenant_id] += 1
        return Reservation(reservation_id="", decision=BudgetDecision.ALLOW)

    def refill(self) -> None:
        """Make the allowance whole again."""
        self._used.clear()
