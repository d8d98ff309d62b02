"""
Moves old entries out of the database, so that it does not grow for ever.

The oldest entries of a stream go to a file, in order, after their chain was checked; a
checkpoint stays that says where the chain goes on and what was booked up to there. So the
entries that are left are verified from the checkpoint on, balances stay provable, and the
files are a chain of their own from the first entry to the checkpoint.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import structlog

from parley_services.accounting.clock_reader import to_us
from parley_services.accounting.ledger.entry import GENESIS, Entry
from parley_services.accounting.reports.balances import paying_keys
from parley_services.kit.clock import Clock

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Where a stream begins in the database. Everything up to it is in the archive."""

    tenant_id: str
    sequence: int = 0
    """The last archived entry."""
    row_hash: bytes = GENESIS
    cost_nano_usd: int = 0
    """The sum of all archived entries."""
    create_time_us: int = 0
    """When the last of them was booked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Entries that leave together."""

    checkpoint: Checkpoint
    """What they follow."""
    entries: Sequence[Entry]

    def check(self) -> None:
        """Raise ChainBroken unless the entries are the next ones of the chain, unchanged."""
        sequence, row_hash = self.checkpoint.sequence, self.checkpoint.row_hash
        for entry in self.entries:
            sequence += 1
            if entry.sequence != sequence or entry.hash_after(row_hash, sequence) != entry.row_hash:
                raise ChainBroken(self.checkpoint.tenant_id, sequence)
            row_hash = entry.row_hash

    def next_checkpoint(self) -> Checkpoint:
        """Return where the stream begins without these entries."""
        last = self.entries[-1]
        return Checkpoint(
            tenant_id=self.checkpoint.tenant_id,
            sequence=last.sequence,
            row_hash=last.row_hash,
            cost_nano_usd=self.checkpoint.cost_nano_usd
            + sum(entry.cost_nano_usd for entry in self.entries),
            create_time_us=max(
                self.checkpoint.create_time_us, *(entry.create_time_us for entry in self.entries)
            ),
        )

    def used(self) -> Mapping[str, int]:
        """Return what the entries cost each subject, by the text of its key."""
        used: defaultdict[str, int] = defaultdict(int)
        for entry in self.entries:
            for key in paying_keys(entry):
                used[key.text] += entry.cost_nano_usd
        return used


class ChainBroken(Exception):
    """Entries that do not fit are not archived: the fault must stay where it can be found."""

    def __init__(self, tenant_id: str, sequence: int) -> None:
        super().__init__(f"entry {sequence}")
        self.tenant_id = tenant_id
        self.sequence = sequence


class ArchivedStore(Protocol):
    """A ledger whose oldest entries can leave."""

    async def next_part(self, before_us: int) -> Part | None:
        """Return the oldest entries of some stream that were booked before *before_us*."""
        ...

    async def remove(self, part: Part) -> bool:
        """Remove *part* and move its checkpoint on; say whether nobody else did before."""
        ...

    async def remove_released(self, before_us: int) -> int:
        """Forget turns that used nothing and began before *before_us*; return how many."""
        ...


Keep = Callable[[Part], Awaitable[None]]
"""Puts a part where it stays; returns once it is on the disk. The same part may come twice."""


class Archiver:
    """Archives what is older than *detail_days*."""

    def __init__(
        self,
        store: ArchivedStore,
        keep: Keep,
        *,
        detail_days: int,
        clock: Clock,
    ) -> None:
        self._store = store
        self._keep = keep
        self._detail = timedelta(days=detail_days)
        self._clock = clock

    async def run(self) -> None:
        """
        Archive all that is old enough. What a failure left is archived the next time.

        A chain that is broken is logged and stays as it is.
        """
        try:
            await self.archive()
        except ChainBroken as broken:
            log.error("ledger_fault", tenant_id=broken.tenant_id, sequence=broken.sequence)

    async def archive(self) -> int:
        """Archive all that is old enough; return how many entries it was. Raises ChainBroken."""
        before_us = to_us(self._clock.now() - self._detail)
        archived = 0
        while (part := await self._store.next_part(before_us)) is not None:
            part.check()
            # First kept, then removed: a crash between the two keeps it twice, the same.
            await self._keep(part)
            if await self._store.remove(part):
                archived += len(part.entries)
        while await self._store.remove_released(before_us):
            continue
        return archived
