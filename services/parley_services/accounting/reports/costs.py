"""What was spent, as it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from parley_services.accounting.ledger.entry import Entry
from parley_services.kit.chat.usage import Usage
from parley_services.kit.chat.wire_enum import WireEnum


class CostGrouping(WireEnum):
    """How spending is grouped."""

    UNSPECIFIED = 0
    """Not at all: the total only."""
    USER = 1
    MODEL = 2
    TEMPLATE = 3
    TEAM = 4
    TAG = 5
    HOUR = 6
    DAY = 7
    KEY = 8
    TENANT = 9

    @property
    def is_by_time(self) -> bool:
        """Whether groups are listed by time, not by cost."""
        return self in (CostGrouping.HOUR, CostGrouping.DAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostQuery:
    """Which spending, and how to group it."""

    tenant_id: str = ""
    """Empty: of all tenants."""
    grouping: CostGrouping = CostGrouping.UNSPECIFIED
    tag: str = ""
    """The tag's name, with `TAG`."""
    start_time: datetime | None = None
    """From this end of a turn on."""
    end_time: datetime | None = None
    """Before this end of a turn."""
    offset: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class CostGroup:
    """Spending of one group. Shadow calls and expired turns are part of it."""

    name: str = ""
    """Hours and days as `2026-01-31T13` and `2026-01-31`, in UTC."""
    request_count: int = 0
    attempt_count: int = 0
    cache_hit_count: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_nano_usd: int = 0
    saved_cost_nano_usd: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSummary:
    """Groups of one page, and the sum of all pages."""

    groups: Sequence[CostGroup]
    total: CostGroup
    has_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryQuery:
    """Which entries of a tenant's stream."""

    tenant_id: str
    request_id: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None
    after_sequence: int = 0
    limit: int = 100


class CostReader(Protocol):
    """Reads the ledger."""

    async def summary(self, query: CostQuery) -> CostSummary:
        """Return spending, the dearest group first, or by time."""
        ...

    async def entries(self, query: EntryQuery) -> list[Entry]:
        """Return entries, oldest first."""
        ...
