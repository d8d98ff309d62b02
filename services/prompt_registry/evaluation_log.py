"""The evaluation log: one line a turn, without any text. Imports neither grpc nor protobuf."""

from datetime import timedelta

from services.kit.clock import Clock
from services.prompt_registry.outcome import Evaluation
from services.prompt_registry.store import EvaluationFilter, OutcomeStore, Page

FORGET_AT_ONCE = 1_000
"""Turns that one commit forgets, so that reports need not wait for it long."""


class EvaluationLog:
    """Turns as they ended, kept for a time."""

    def __init__(self, *, store: OutcomeStore, clock: Clock, retention_days: float) -> None:
        self._store = store
        self._clock = clock
        self._retention = timedelta(days=retention_days)

    async def page(
        self, chosen: EvaluationFilter, *, position: int, limit: int
    ) -> Page[Evaluation]:
        """Return turns in the order in which they were recorded."""
        return await self._store.evaluations(chosen, position=position, limit=limit)

    async def forget_old(self) -> int:
        """Delete the turns that are kept no longer; return how many."""
        before = self._clock.now() - self._retention
        total = 0
        while True:
            count = await self._store.forget_evaluations(before, limit=FORGET_AT_ONCE)
            total += count
            if count < FORGET_AT_ONCE:
                return total
