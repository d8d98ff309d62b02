"""Keeps tenants, and all of them together, within their capacities."""

from parley_services.semantic_cache.store.store import AnswerStore, Selection

_MAX_TENANTS = 10_000


class Evictor:
    """
    Removes the oldest quarter where a capacity is exceeded.

    Counting costs more than storing, so it counts once in a while: a capacity may be exceeded
    by 1 %. Remembers 10,000 tenants; with more of them it counts more often.
    """

    def __init__(self, store: AnswerStore, *, capacity: int, max_tenants: int = _MAX_TENANTS):
        self._store = store
        self._capacity = capacity
        self._max_tenants = max_tenants
        self._since_count: dict[str, int] = {}

    async def make_room(self, tenant_id: str, tenant_capacity: int) -> int:
        """Remove what is too much after one more entry; return how many. StoreUnavailable."""
        removed = 0
        for selected, capacity in ((tenant_id, tenant_capacity), ("", self._capacity)):
            since = self._since_count.pop(selected, capacity // 100) + 1
            if since <= capacity // 100:
                self._since_count[selected] = since
                continue
            self._since_count[selected] = 0
            while len(self._since_count) > self._max_tenants:
                del self._since_count[next(iter(self._since_count))]
            selection = Selection(tenant_id=selected)
            if await self._store.count(selection) > capacity:
                removed += await self._store.remove_oldest(selection, max(1, capacity // 4))
        return removed
