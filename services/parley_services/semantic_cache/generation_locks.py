"""Generation locks: one replica generates an answer while the others wait for it."""

from dataclasses import dataclass
from typing import Protocol

from parley_services.kit.clock import Clock
from parley_services.kit.errors import DependencyUnavailable, InvalidArgument, Overloaded
from parley_services.semantic_cache.outcome import Miss, MissReason
from parley_services.semantic_cache.partition import Partition, entry_id_of, is_entry_id
from parley_services.semantic_cache.store.store import StoreUnavailable

_MAX_REQUEST_ID_CHARACTERS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationLock:
    """Who may generate the answer to one text in one partition, and until when."""

    key: str
    """The id that the answer's entry will have."""

    holder: str
    """The request id of the turn that holds it."""

    tenant_id: str
    expire_time: float
    """Seconds since the Unix epoch."""

    @property
    def lock_id(self) -> str:
        return f"{self.key}/{self.holder}"


class GenerationLockStore(Protocol):
    """Holds at most one unexpired lock for a key. Methods raise StoreUnavailable."""

    async def acquire(self, lock: GenerationLock, *, now: float) -> GenerationLock:
        """
        Keep *lock* unless another holder's is unexpired at *now*; return the one in force.

        Atomic among all that share the store. A holder that acquires again extends.
        """
        ...

    async def release(self, lock: GenerationLock) -> None:
        """Remove the lock of this key, holder and tenant, if it is there."""
        ...


class MemoryGenerationLocks:
    """A GenerationLockStore for the one process that has the embedded store open."""

    def __init__(self, max_locks: int = 10_000) -> None:
        self._locks: dict[str, GenerationLock] = {}
        self._max_locks = max_locks

    async def acquire(self, lock: GenerationLock, *, now: float) -> GenerationLock:
        """Keep or return a lock. Raises Overloaded if there are too many."""
        held = self._locks.get(lock.key)
        if held is not None and held.expire_time > now and held.holder != lock.holder:
            return held
        if held is None and len(self._locks) >= self._max_locks:
            self._locks = {key: each for key, each in self._locks.items() if each.expire_time > now}
            if len(self._locks) >= self._max_locks:
                raise Overloaded(
                    "Too many answers are being generated at once; go on without a lock.",
                    retry_after_seconds=1.0,
                )
        self._locks[lock.key] = lock
        return lock

    async def release(self, lock: GenerationLock) -> None:
        held = self._locks.get(lock.key)
        if held and (held.holder, held.tenant_id) == (lock.holder, lock.tenant_id):
            del self._locks[lock.key]


class GenerationLocks:
    """Grants locks by *clock*; the clocks of replicas that share a store must roughly agree."""

    def __init__(self, locks: GenerationLockStore, clock: Clock) -> None:
        self._locks = locks
        self._clock = clock

    async def acquire(
        self, partition: Partition, text: str, *, request_id: str, ttl_seconds: float
    ) -> GenerationLock:
        """
        Return the lock in force: the caller's own if its holder is *request_id*.

        *ttl_seconds* is above 0 and up to 60. Acquiring again with the same request id
        extends. Raises InvalidArgument, DependencyUnavailable and Overloaded.
        """
        if not partition.tenant_id:
            raise InvalidArgument.field("partition.tenant_id", "Name the tenant.")
        if not text.strip():
            raise InvalidArgument.field("text", "Give the user's text; it may not be blank.")
        if not 0 < len(request_id) <= _MAX_REQUEST_ID_CHARACTERS:
            raise InvalidArgument.field("request_id", "Give 1 to 128 characters.")
        now = self._clock.now().timestamp()
        lock = GenerationLock(
            key=entry_id_of(partition, text),
            holder=request_id,
            tenant_id=partition.tenant_id,
            expire_time=now + ttl_seconds,
        )
        try:
            return await self._locks.acquire(lock, now=now)
        except StoreUnavailable as error:
            raise _unavailable() from error

    async def on_miss(
        self, miss: Miss, partition: Partition, text: str, *, request_id: str, ttl_seconds: float
    ) -> GenerationLock | None:
        """
        Return the lock in force for the answer that *miss* lacks.

        None where no answer would be kept, and where locks cannot be had: the caller goes on
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

    async def release(self, tenant_id: str, lock_id: str) -> None:
        """
        Release a lock; one that is gone or held by another turn is left as it is.

        Raises InvalidArgument and DependencyUnavailable.
        """
        key, _, holder = lock_id.partition("/")
        if not is_entry_id(key) or not holder:
            raise InvalidArgument.field(
                "lock_id", "Give the id that AcquireGenerationLock returned."
            )
        lock = GenerationLock(key=key, holder=holder, tenant_id=tenant_id, expire_time=0.0)
        try:
            await self._locks.release(lock)
        except StoreUnavailable as error:
            raise _unavailable() from error


def _unavailable() -> DependencyUnavailable:
    return DependencyUnavailable(
        "The store of locks cannot be reached; go on without a lock.", retry_after_seconds=1.0
    )
