"""Verifies the ledger: the chains of its rows, and the sums that are kept of them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from services.accounting.ledger import ChainCheck, Entry, Fault, StreamHead

_MOST_FAULTS = 1000
"""Faults that are named. A ledger with more is not repaired row by row."""


class LedgerReader(Protocol):
    """Reads whole streams."""

    async def heads(self) -> list[StreamHead]:
        """Return the head of every stream, also of one whose head or whose rows are gone."""
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
    Walk one tenant's stream, or all, and name each row that does not fit.

    The heads are read first, so entries that are written meanwhile do not disturb. On
    cancel nothing is left behind.
    """
    checked = 0
    faults: list[Fault] = []
    for head in await reader.heads():
        if tenant_id and head.tenant_id != tenant_id:
            continue
        check = ChainCheck(head.tenant_id)
        async for part in reader.stream(head.tenant_id):
            check.feed(part)
        checked += check.checked_count
        faults += check.finish(head)
    return Verification(checked_count=checked, faults=tuple(faults[:_MOST_FAULTS]))
