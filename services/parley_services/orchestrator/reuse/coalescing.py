"""
One model call for identical turns on different replicas.

Turns on one replica share a generation. Between replicas a generation lock in the cache
decides: the replica that holds it generates, the others look again until the answer is there,
the lock is free, or they have waited long enough.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from parley_services.kit.clock import Clock
from parley_services.kit.errors import ServiceError
from parley_services.orchestrator.ports import Cache
from parley_services.orchestrator.values.cache import Found, Held, Hit, Vacant

MAX_LOCK_SECONDS = 60.0
"""The cache grants no longer ones."""

FIRST_PAUSE_SECONDS = 0.02
MAX_PAUSE_SECONDS = 0.2
"""Bounds of the pause between two looks. It grows by half each time."""

_RELEASE_TIMEOUT_SECONDS = 1.0


Look = Callable[[], Awaitable[Found]]


@dataclass(slots=True)
class _Wait:
    task: asyncio.Task[Hit | Vacant]
    waiting: int = 0


@dataclass(slots=True, kw_only=True)
class Coalescing:
    """The locks that this replica holds and the answers that it waits for, by coalescing key."""

    cache: Cache
    clock: Clock
    wait_seconds: float
    """How long a turn waits for another replica's answer; 0 takes no locks."""

    _held: dict[bytes, tuple[str, str]] = field(default_factory=dict)
    _waits: dict[bytes, _Wait] = field(default_factory=dict)
    _releasing: set[asyncio.Task[None]] = field(default_factory=set)

    def note(self, key: bytes, tenant_id: str, lock_id: str) -> None:
        """Remember a lock that a lookup took."""
        self._held[key] = (tenant_id, lock_id)

    async def wait(
        self, key: bytes, look: Look, *, is_in_flight: Callable[[], bool]
    ) -> Hit | Vacant:
        """
        Return the other replica's answer, or that there is none and the caller may go on.

        It may go on at once where the answer is under way on this replica. Turns that wait for
        the same answer look once for all; the last to leave ends it. Raises what *look* raises.
        """
        wait = self._waits.get(key)
        if wait is None or wait.task.done():
            wait = self._waits[key] = _Wait(
                asyncio.create_task(self._until_there(look, is_in_flight))
            )
        wait.waiting += 1
        try:
            return await asyncio.shield(wait.task)
        finally:
            wait.waiting -= 1
            if not wait.waiting:
                wait.task.cancel()
                if self._waits.get(key) is wait:
                    del self._waits[key]

    def take(self, key: bytes | None) -> str:
        """Return the lock of *key* for a record that gives it back; empty without one."""
        return self._held.pop(key, ("", ""))[1] if key is not None else ""

    def give_back(self, key: bytes | None) -> None:
        """Give the lock of *key* back in the background, if there is one."""
        held = self._held.pop(key, None) if key is not None else None
        if held is not None:
            task = asyncio.create_task(self._release(*held))
            self._releasing.add(task)
            task.add_done_callback(self._releasing.discard)

    async def _until_there(self, look: Look, is_in_flight: Callable[[], bool]) -> Hit | Vacant:
        end = self.clock.monotonic() + self.wait_seconds
        pause = FIRST_PAUSE_SECONDS
        while not is_in_flight() and self.clock.monotonic() < end:
            await asyncio.sleep(pause)
            found = await look()
            if not isinstance(found, Held):
                return found
            pause = min(MAX_PAUSE_SECONDS, pause * 1.5)
        return Vacant()

    async def _release(self, tenant_id: str, lock_id: str) -> None:
        with suppress(ServiceError):  # It expires.
            await self.cache.release(tenant_id, lock_id, timeout_seconds=_RELEASE_TIMEOUT_SECONDS)
