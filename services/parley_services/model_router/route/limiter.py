"""How many calls a route takes at once: found out by trying, and shared fairly."""

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass

from parley_services.kit.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class LimiterPolicy:
    """Bounds of the limit and of the queue."""

    first_limit: int = 64
    min_limit: int = 4
    max_limit: int = 1000
    backoff: float = 0.7
    """What the limit is multiplied by when the provider says that it is too much."""
    backoff_interval_seconds: float = 1.0
    """The least time between two such steps: calls in flight all say the same."""
    max_waiting: int = 256
    """Calls that wait for a place at most."""
    max_wait_seconds: float = 5.0
    """How long a call waits for a place at most."""
    shadow_share: float = 0.5
    """Share of the limit up to which calls beside the answers are let in."""


class NoPlace(Exception):
    """The route has no place for the call, and none is near."""


class Limiter:
    """
    Limits the calls in flight of one route.

    Additive increase, multiplicative decrease, as TCP does (Chiu and Jain, 1989): each call
    that ends well while the route is busy raises the limit by its share of one, each that
    the provider refuses as too much lowers it. Until the first such refusal each raises it by
    one, which is TCP's slow start. Who waits is served tenant by tenant in
    turn, so that one with many calls does not keep the others out.
    """

    def __init__(self, policy: LimiterPolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._limit = float(policy.first_limit)
        self._is_starting = True
        self._backed_off_at = float("-inf")
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._waiting_count = 0
        self.in_flight = 0
        """Calls that have a place."""
        self._shadow_count = 0

    @property
    def limit(self) -> int:
        """The most calls at once, for now."""
        return int(self._limit)

    async def enter(self, tenant_id: str) -> None:
        """
        Take a place, and wait for one if need be; each must be given back by `leave`.

        Raises NoPlace.
        """
        if not self.enter_now():
            await self._wait(tenant_id)  # Whoever leaves passes its place on.

    def enter_shadow(self) -> bool:
        """
        Let a call beside the answers in while the route has much room; return whether it is in.

        It takes no place that an answer could have, and is given back by `leave_shadow`.
        """
        if self.in_flight + self._shadow_count >= self._limit * self._policy.shadow_share:
            return False
        self._shadow_count += 1
        return True

    def leave_shadow(self) -> None:
        """Note that a call beside the answers ended. Nothing is learnt from it."""
        self._shadow_count -= 1

    def enter_now(self) -> bool:
        """Take a place if one is free and nobody waits for it; return whether it was taken."""
        if self.in_flight >= self.limit or self._waiting_count:
            return False
        self.in_flight += 1
        return True

    def leave(self, *, was_too_much: bool = False, ended_well: bool = False) -> None:
        """Give the place back and learn from how the call ended."""
        if was_too_much:
            self._back_off()
        elif ended_well and self.in_flight * 2 >= self._limit:
            step = 1.0 if self._is_starting else 1 / self._limit
            self._limit = min(self._limit + step, self._policy.max_limit)
        self.in_flight -= 1
        while self._waiting_count and self.in_flight < self.limit:
            self._admit_next()

    async def _wait(self, tenant_id: str) -> None:
        if self._waiting_count >= self._policy.max_waiting:
            raise NoPlace
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant_id, deque()).append(place)
        self._waiting_count += 1
        try:
            async with asyncio.timeout(self._policy.max_wait_seconds):
                await place
        except BaseException as error:
            if place.done() and not place.cancelled():
                self.leave()  # It came just too late; the next one takes it.
            else:
                self._forget(tenant_id, place)
            if isinstance(error, TimeoutError):
                raise NoPlace from None
            raise

    def _admit_next(self) -> None:
        tenant_id, places = self._waiting.popitem(last=False)
        place = places.popleft()
        if places:
            self._waiting[tenant_id] = places
        self._waiting_count -= 1
        if not place.done():  # Else whoever waited has just been cancelled.
            self.in_flight += 1
            place.set_result(None)

    def _forget(self, tenant_id: str, place: asyncio.Future[None]) -> None:
        places = self._waiting.get(tenant_id)
        if places is None or place not in places:
            return  # It was passed over already.
        places.remove(place)
        self._waiting_count -= 1
        if not places:
            del self._waiting[tenant_id]

    def _back_off(self) -> None:
        self._is_starting = False
        now = self._clock.monotonic()
        if now - self._backed_off_at >= self._policy.backoff_interval_seconds:
            self._backed_off_at = now
            self._limit = max(self._limit * self._policy.backoff, self._policy.min_limit)
