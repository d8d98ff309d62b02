"""Who a turn is for: `parley.chat.v1.subject`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """
    Who a turn is for. Each level has limits and budgets of its own.

    The tenant is the boundary that no data crosses; ids that are not known are empty.
    """

    tenant_id: str = ""
    team_id: str = ""
    user_id: str = ""
    key_id: str = ""
