"""What a budget lets a turn do: `parley.chat.v1.budget`."""

from parley_services.kit.chat.wire_enum import WireEnum


class BudgetDecision(WireEnum):
    """What the budget policy lets a turn do."""

    UNSPECIFIED = 0
    ALLOW = 1
    DOWNGRADE = 2
    CACHE_FIRST = 3
    CACHE_ONLY = 4
