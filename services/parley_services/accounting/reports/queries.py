"""Answers questions about spending, and streams what happens."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Protocol

from parley_services.accounting.ledger.entry import Entry
from parley_services.accounting.ledger.pricing import Pricer
from parley_services.accounting.limits.alerts import Alert
from parley_services.accounting.limits.allowance_book import AllowanceBook
from parley_services.accounting.reports.audit import Auditor, Verification
from parley_services.accounting.reports.costs import (
    CostGrouping,
    CostQuery,
    CostReader,
    CostSummary,
    EntryQuery,
)
from parley_services.accounting.reports.projection import Projection, Workload, project
from parley_services.accounting.workers.change_notifier import ChangeNotifier, follow
from parley_services.kit.clock import Clock
from parley_services.kit.errors import InvalidArgument, NotFound

_AT_ONCE = 100
_MOST_ENTRIES_OF_A_TURN = 1000


class AlertReader(Protocol):
    """Reads alerts."""

    async def page(self, tenant_id: str, *, offset: int, limit: int) -> list[Alert]:
        """Return alerts, newest first."""
        ...

    async def after(self, number: int, *, tenant_id: str = "", limit: int) -> list[Alert]:
        """Return alerts after *number*, oldest first."""
        ...


class KeyChanges(Protocol):
    """Reads which keys changed."""

    async def last_change(self) -> int:
        """Return the number of the newest change, 0 if there was none."""
        ...

    async def changes_after(self, number: int, limit: int) -> list[tuple[int, str]]:
        """Return the changes after *number*, oldest first: their numbers and key ids."""
        ...


class AccountingQueries:
    """Answers what may be asked about the ledger."""

    def __init__(
        self,
        *,
        reader: CostReader,
        auditor: Auditor,
        allowances: AllowanceBook,
        alerts: AlertReader,
        key_changes: KeyChanges,
        pricer: Pricer,
        clock: Clock,
        alert_notifier: ChangeNotifier,
        key_notifier: ChangeNotifier,
        poll_interval_seconds: float,
    ) -> None:
        self.allowances = allowances
        self.key_notifier = key_notifier
        self._reader = reader
        self._auditor = auditor
        self._alerts = alerts
        self._key_changes = key_changes
        self._pricer = pricer
        self._clock = clock
        self._alert_notifier = alert_notifier
        self._poll_interval_seconds = poll_interval_seconds

    async def summary(
        self,
        *,
        tenant_id: str,
        grouping: CostGrouping,
        tag: str,
        start_time: datetime | None,
        end_time: datetime | None,
        offset: int,
        limit: int,
    ) -> CostSummary:
        """Return spending, grouped. Raises InvalidArgument for a tag where none is needed."""
        if (grouping is CostGrouping.TAG) != bool(tag):
            raise InvalidArgument.field("tag", "must be given with COST_GROUPING_TAG, else empty")
        return await self._reader.summary(
            CostQuery(
                tenant_id=tenant_id,
                grouping=grouping,
                tag=tag,
                start_time=start_time,
                end_time=end_time,
                offset=offset,
                limit=limit,
            )
        )

    async def entries(
        self,
        *,
        tenant_id: str,
        request_id: str,
        start_time: datetime | None,
        end_time: datetime | None,
        after_sequence: int,
        limit: int,
    ) -> list[Entry]:
        """Return entries of a tenant, oldest first."""
        return await self._reader.entries(
            EntryQuery(
                tenant_id=tenant_id,
                request_id=request_id,
                start_time=start_time,
                end_time=end_time,
                after_sequence=after_sequence,
                limit=limit,
            )
        )

    async def turn(self, tenant_id: str, request_id: str) -> list[Entry]:
        """Return the entries of one turn. Raises NotFound without any."""
        found = await self._reader.entries(
            EntryQuery(tenant_id=tenant_id, request_id=request_id, limit=_MOST_ENTRIES_OF_A_TURN)
        )
        if not found:
            raise NotFound(
                "Nothing is booked for this turn: it runs still, used nothing, or is unknown.",
                resource_type="turn",
                resource_name=request_id,
            )
        return found

    async def verify(self, tenant_id: str) -> Verification:
        """Verify one tenant's stream, or all, and alert if a row or a sum does not fit."""
        return await self._auditor.verify(tenant_id)

    def project(self, usage: Workload) -> Projection:
        """Return what a month of *usage* costs. Raises PriceUnknown."""
        return project(usage, self._pricer, self._clock.now())

    async def alerts(self, tenant_id: str, *, offset: int, limit: int) -> list[Alert]:
        """Return alerts, newest first."""
        return await self._alerts.page(tenant_id, offset=offset, limit=limit)

    async def alert_stream(self, tenant_id: str, *, after: int) -> AsyncGenerator[Alert, None]:
        """Yield alerts after a number, for ever."""

        async def fetch(number: int) -> list[tuple[int, Alert]]:
            found = await self._alerts.after(number, tenant_id=tenant_id, limit=_AT_ONCE)
            return [(alert.alert_number, alert) for alert in found]

        async for alert in follow(
            fetch,
            after=after,
            notifier=self._alert_notifier,
            poll_interval_seconds=self._poll_interval_seconds,
        ):
            yield alert

    async def key_changes(self) -> AsyncGenerator[str, None]:
        """Yield an empty id, then the ids of keys that change, for ever."""
        after = await self._key_changes.last_change()
        yield ""

        async def fetch(number: int) -> list[tuple[int, str]]:
            return await self._key_changes.changes_after(number, _AT_ONCE)

        async for key_id in follow(
            fetch,
            after=after,
            notifier=self.key_notifier,
            poll_interval_seconds=self._poll_interval_seconds,
        ):
            yield key_id
