"""Which cached answers were given lately, so that a rating of one reaches the cache."""

from collections import OrderedDict

from parley_services.orchestrator.values.cache import GivenHit, Hit

CAPACITY = 10_000
"""Turns that are remembered. People rate at once or not at all."""

RIGHT_FROM_STARS, WRONG_TO_STARS = 4, 2
"""Three stars say nothing about whether the answer was one to this question."""


class GivenHits:
    """The latest turns of this replica that got a cached answer."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._by_turn: OrderedDict[tuple[str, str], GivenHit] = OrderedDict()

    def note(self, tenant_id: str, request_id: str, hit: Hit) -> None:
        """Remember what a turn got; beyond the capacity the oldest is forgotten."""
        self._by_turn[tenant_id, request_id] = GivenHit(
            request_id=request_id,
            tenant_id=tenant_id,
            entry_id=hit.entry_id,
            probability=hit.probability,
        )
        if len(self._by_turn) > self._capacity:
            self._by_turn.popitem(last=False)

    def take(self, tenant_id: str, request_id: str) -> GivenHit | None:
        """Return what a turn got, once: a second rating of it is not a second hit."""
        return self._by_turn.pop((tenant_id, request_id), None)


def verdict(stars: int) -> bool | None:
    """Return whether a rating calls an answer right, or None if it does not say."""
    if stars >= RIGHT_FROM_STARS:
        return True
    return False if stars <= WRONG_TO_STARS else None
