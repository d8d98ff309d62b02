"""Commits work in groups: what comes while a transaction runs shares the next one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from parley_services.kit.errors import Overloaded, ServiceError

W = TypeVar("W")

_GROUP_LIMIT = 256
"""Work in one transaction."""

QUEUE_LIMIT = 20_000


@dataclass(slots=True)
class _Waiting(Generic[W]):
    work: W
    future: asyncio.Future[Any]

    def end(self, result: object) -> None:
        """Give whoever waits the result, or raise it there if it is an exception."""
        # The caller may have left; the work is committed nevertheless.
        if self.future.done():
            return
        if isinstance(result, Exception):
            self.future.set_exception(result)
        else:
            self.future.set_result(result)


class GroupCommit(Generic[W]):
    """
    Hands groups of work to *commit*, one group at a time, and each its result.

    *commit* returns a result for each work of its group, or the ServiceError that it is refused
    with. If it crashes, the work of the group is committed one by one, so that only what
    crashes by itself fails.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[W]], Awaitable[Sequence[Any]]],
        *,
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        self._commit_group = commit
        self._queue_limit = queue_limit
        self._waiting: deque[_Waiting[W]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def commit(self, work: W) -> Any:
        """
        Return the result of *work* after the commit.

        Raises what it is refused with, Overloaded if too much waits. On cancel it may still be
        committed.
        """
        if len(self._waiting) >= self._queue_limit:
            raise Overloaded(
                "Too many bookings wait for the database: try again soon.",
                retry_after_seconds=0.5,
            )
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(work, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    async def aclose(self) -> None:
        """Commit what waits."""
        while self._running is not None:
            await asyncio.wait([self._running])

    async def _run(self) -> None:
        try:
            while self._waiting:
                count = min(len(self._waiting), _GROUP_LIMIT)
                await self._commit([self._waiting.popleft() for _ in range(count)])
        finally:
            self._running = None

    async def _commit(self, group: list[_Waiting[W]]) -> None:
        results: Sequence[Any]
        try:
            results = await self._commit_group([each.work for each in group])
        except ServiceError as error:
            results = [error] * len(group)
        except Exception as error:
            if len(group) > 1:
                for each in group:
                    await self._commit([each])
                return
            results = [error]
        for each, result in zip(group, results, strict=True):
            each.end(result)
