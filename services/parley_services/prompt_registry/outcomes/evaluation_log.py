"""
The evaluation log: one line a turn, with its texts only for tenants that want that. Imports
neither grpc nor protobuf.
"""

from datetime import timedelta

from parley_services.kit.clock import Clock
from parley_services.prompt_registry.outcomes.outcome import Evaluation
from parley_services.prompt_registry.outcomes.turn_texts import TextPolicy
from parley_services.prompt_registry.stores.store import EvaluationFilter, OutcomeStore, Page

FORGET_AT_ONCE = 1_000
"""Turns that one commit forgets, so that reports need not wait for it long."""

PAGE_WITH_TEXTS = 6
"""Turns of one page with texts: each may have 128,000 characters of 4 bytes, and a message
over TCP has 4 MiB."""


class EvaluationLog:
    """Turns as they ended, kept for a time."""

    def __init__(
        self,
        *,
        store: OutcomeStore,
        clock: Clock,
        retention_days: float,
        text_retention_days: float,
        text_policy: TextPolicy,
    ) -> None:
        self._store = store
        self._clock = clock
        self._retention = timedelta(days=retention_days)
        self._text_retention = timedelta(days=text_retention_days)
        self._text_policy = text_policy

    async def page(
        self, chosen: EvaluationFilter, *, position: int, limit: int
    ) -> Page[Evaluation]:
        """
        Return turns in the order in which they were recorded.

        A page with texts is short: it must fit into one message, however long they are.
        """
        if chosen.include_texts:
            limit = min(limit, PAGE_WITH_TEXTS)
        return await self._store.evaluations(chosen, position=position, limit=limit)

    async def forget_old(self) -> int:
        """
        Delete the turns that are kept no longer; return how many.

        Texts go after a time of their own, and at once if their tenant no longer wants them
        kept.
        """
        now = self._clock.now()
        texts = FORGET_AT_ONCE
        while texts == FORGET_AT_ONCE:
            texts = await self._store.forget_texts(
                now - self._text_retention,
                tenants=self._text_policy.tenants,
                limit=FORGET_AT_ONCE,
            )
        before = now - self._retention
        total = 0
        while True:
            count = await self._store.forget_evaluations(before, limit=FORGET_AT_ONCE)
            total += count
            if count < FORGET_AT_ONCE:
                return total
