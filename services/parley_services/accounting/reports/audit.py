"""Verifies the ledger: the chains of its rows, and the sums that are kept of them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from parley_services.accounting.clock_reader import to_us
from parley_services.accounting.ledger.entry import ChainCheck, Entry, Fault
from parley_services.accounting.ledger.unit_of_work import LedgerStore, LedgerTransaction, ReadSet
from parley_services.accounting.limits.alerts import Alert, AlertKind
from parley_services.accounting.reports.balances import FROM_THE_FIRST, BalanceCheck, KeptFigures
from parley_services.accounting.subjects import SUITE, SubjectKey, SubjectLevel

_MOST_FAULTS = 1000
"""Faults that are named. A ledger with more is not repaired row by row."""


class LedgerReader(Protocol):
    """Reads whole streams."""

    async def figures(self) -> KeptFigures:
        """
        Return what is kept beside the ledger, all of one timestamp.

        It has the head of every stream, also of one whose head or whose rows are gone.
        """
        ...

    def stream(self, tenant_id: str) -> AsyncIterator[list[Entry]]:
        """Yield the entries of a stream in stored order, in parts."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was found."""

    checked_count: int
    faults: tuple[Fault, ...]
    """At most 1,000."""


async def verify(reader: LedgerReader, tenant_id: str = "") -> Verification:
    """
    Walk one tenant's stream, or all, and name each row and each sum that does not fit.

    The sums are read first, so entries that are written meanwhile do not disturb. On cancel
    nothing is left behind.
    """
    checked = 0
    faults: list[Fault] = []
    figures = await reader.figures()
    balances = BalanceCheck(figures)
    for head in figures.heads:
        if tenant_id and head.tenant_id != tenant_id:
            continue
        opening = figures.openings.get(head.tenant_id, FROM_THE_FIRST)
        check = ChainCheck(head.tenant_id, sequence=opening.sequence, row_hash=opening.row_hash)
        async for part in reader.stream(head.tenant_id):
            check.feed(part)
            balances.feed(part)
        checked += check.checked_count
        faults += check.finish(head)
    faults += balances.finish(tenant_id)
    return Verification(checked_count=checked, faults=tuple(faults[:_MOST_FAULTS]))


class Auditor:
    """Verifies the ledger and alerts if it does not fit."""

    def __init__(self, reader: LedgerReader, store: LedgerStore) -> None:
        self._reader = reader
        self._store = store

    async def verify(self, tenant_id: str) -> Verification:
        """Verify one tenant's stream, or all; each time there are faults, one alert says so."""
        found = await verify(self._reader, tenant_id)
        if found.faults:
            await self._store.commit(_Report(found.faults, tenant_id))
        return found


class _Report:
    """The command that alerts of faults."""

    read_set = ReadSet()

    def __init__(self, faults: tuple[Fault, ...], tenant_id: str) -> None:
        self._faults = faults
        self._tenant_id = tenant_id

    def run(self, transaction: LedgerTransaction) -> None:
        """Alert."""
        key = SUITE
        if self._tenant_id:
            key = SubjectKey(
                level=SubjectLevel.TENANT, tenant_id=self._tenant_id, subject_id=self._tenant_id
            )
        first = self._faults[0]
        transaction.alert(
            Alert(
                kind=AlertKind.LEDGER_FAULT,
                key=key,
                message=f"{len(self._faults)} rows or sums of the ledger do not fit; "
                f"the first: {first.description}.",
                used_nano_usd=first.found_nano_usd,
                limit_nano_usd=first.expected_nano_usd,
                create_time_us=to_us(transaction.timestamp.utc),
            )
        )
