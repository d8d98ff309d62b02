"""Short leases: one replica generates an answer while the others wait for it."""

from dataclasses import dataclass
from typing import Protocol

from parley_services.kit.clock import Clock
from parley_services.kit.errors import DependencyUnavailable, InvalidArgument, Overloaded
from parley_services.semantic_cache.outcome import Miss, MissReason
from parley_services.semantic_cache.partition import Partition, entry_id_of, is_entry_id
from parley_services.semantic_cache.store.store import StoreUnavailable

MAX_LEASE_SECONDS = 60.0
_MAX_REQUEST_ID_CHARACTERS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who may generate the answer to one text in one partition, and until when."""

    key: str
    """The id that the answer's entry will have."""

    holder: str
    """The request id of the turn that holds it."""

    tenant_id: str
    expire_time: float
    """Seconds since the Unix epoch."""

    @property
    def lease_id(self) -> str:
        return f"{self.key}/{self.holder}"


class LeaseStore(Protocol):
    """Holds at most one living lease for a key. Methods raise StoreUnavailable."""

    async def take(self, lease: Lease, *, now: float) -> Lease:
        """
        Keep *lease* unless another holder's lives at *now*, and return the one in force.

        Atomic among all that share the store. A holder that takes again extends.
        """
        ...

    async def give_back(self, lease: Lease) -> None:
        """Remove the lease of this key, holder and tenant, if it is there."""
        ...


class MemoryLeases:
    """A LeaseStore for the one process that has the embedded store open."""

    def __init__(self, max_leases: int = 10_000) -> None:
        self._leases: dict[str, Lease] = {}
        self._max_leases = max_leases

    async def take(self, lease: Lease, *, now: float) -> Lease:
        """Keep or return a lease. Raises Overloaded if there are too many."""
        held = self._leases.get(lease.key)
        if held is not None and held.expire_time > now and held.holder != lease.holder:
            return held
        if held is None and len(self._leases) >= self._max_leases:
            self._leases = {
                key: each for key, each in self._leases.items() if each.expire_time > now
            }
            if len(self._leases) >= self._max_leases:
                raise Overloaded(
                    "Too many answers are being generated at once; go on without a lease.",
                    retry_after_seconds=1.0,
                )
        self._leases[lease.key] = lease
        return lease

    async def give_back(self, lease: Lease) -> None:
        held = self._leases.get(lease.key)
        if held and (held.holder, held.tenant_id) == (lease.holder, lease.tenant_id):
            del self._leases[lease.key]


class Leasing:
    """Grants leases by *clock*; replicas that share a store need clocks that agree roughly."""

    def __init__(self, leases: LeaseStore, clock: Clock) -> None:
        self._leases = leases
        self._clock = clock

    async def acquire(
        self, partition: Partition, text: str, *, request_id: str, ttl_seconds: float
    ) -> Lease:
        """
        Return the lease in force: the caller's own if its holder is *request_id*.

        *ttl_seconds* is above 0 and up to 60. Acquiring again with the same request id
        extends. Raises InvalidArgument, DependencyUnavailable and Overloaded.
        """
        if not partition.tenant_id:
            raise InvalidArgument.field("partition.tenant_id", "Name the tenant.")
        if not text.strip():
            raise InvalidArgument.field("text", "Give the user's text; it may not be blank.")
        if not 0 < len(request_id) <= _MAX_REQUEST_ID_CHARACTERS:
            raise InvalidArgument.field("request_id", "Give 1 to 128 characters.")
        if not 0 < ttl_seconds <= MAX_LEASE_SECONDS:
            raise InvalidArgument.field("ttl", "Give a time above zero, up to 60 seconds.")
        now = self._clock.now().timestamp()
        lease = Lease(
            key=entry_id_of(partition, text),
            holder=request_id,
            tenant_id=partition.tenant_id,
            expire_time=now + ttl_seconds,
        )
        try:
            return await self._leases.take(lease, now=now)
        except StoreUnavailable as error:
            raise _unavailable() from error

    async def on_miss(
        self, miss: Miss, partition: Partition, text: str, *, request_id: str, ttl_seconds: float
    ) -> Lease | None:
        """
        Return the lease in force for the answer that *miss* lacks.

        None where no answer would be kept, and where leases cannot be had: the caller goes on
        without. Raises InvalidArgument.
        """
        if miss.reason in (MissReason.NOT_CACHEABLE, MissReason.STORE_UNAVAILABLE):
            return None
        try:
            return await self.acquire(
                partition, text, request_id=request_id, ttl_seconds=ttl_seconds
            )
        except (DependencyUnavailable, Overloaded):
            return None

    async def release(self, tenant_id: str, lease_id: str) -> None:
        """
        Give a lease back; one that is gone or another's changes nothing.

        Raises InvalidArgument and DependencyUnavailable.
        """
        key, _, holder = lease_id.partition("/")
        if not is_entry_id(key) or not holder:
            raise InvalidArgument.field("lease_id", "Give the id that AcquireLease returned.")
        if not tenant_id:
            raise InvalidArgument.field("tenant_id", "Name the tenant.")
        lease = Lease(key=key, holder=holder, tenant_id=tenant_id, expire_time=0.0)
        try:
            await self._leases.give_back(lease)
        except StoreUnavailable as error:
            raise _unavailable() from error


def _unavailable() -> DependencyUnavailable:
    return DependencyUnavailable(
        "The store of leases cannot be reached; go on without a lease.", retry_after_seconds=1.0
    )
