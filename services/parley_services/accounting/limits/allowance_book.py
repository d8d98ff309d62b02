"""Sets and lists allowances, and says which limits hold for whom."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from parley_services.accounting.limits.allowances import Allowance, Limits
from parley_services.accounting.limits.used_allowance import UsedAllowance
from parley_services.accounting.subjects import SubjectKey, SubjectLevel, defaults_of, keys_of
from parley_services.kit.chat.subject import Subject
from parley_services.kit.errors import NotFound

_ALLOWANCES_KEPT = 50_000


class AllowanceStore(Protocol):
    """Where allowances are."""

    async def put(self, allowance: Allowance) -> UsedAllowance:
        """Set an allowance in place of the one before."""
        ...

    async def delete(self, key: SubjectKey) -> bool:
        """Remove an allowance; say whether there was one."""
        ...

    async def page(self, tenant_id: str, *, offset: int, limit: int) -> list[UsedAllowance]:
        """Return allowances by subject."""
        ...

    async def limits_set(self, keys: Sequence[SubjectKey]) -> dict[SubjectKey, Allowance]:
        """Return the allowances among *keys* that were set."""
        ...


class AllowanceBook:
    """All allowances."""

    def __init__(self, store: AllowanceStore, *, defaults: Mapping[SubjectLevel, Limits]) -> None:
        self._store = store
        self._defaults = defaults

    async def put(self, allowance: Allowance) -> UsedAllowance:
        """Set an allowance; it holds from the next reservation on. Raises InvalidArgument."""
        allowance.check()
        return await self._store.put(allowance)

    async def delete(self, key: SubjectKey) -> None:
        """Remove an allowance; the default holds again. Raises NotFound."""
        if not await self._store.delete(key):
            raise NotFound(
                "There is no such allowance: list those that are set.",
                resource_type="allowance",
                resource_name=key.name,
            )

    async def page(self, tenant_id: str, *, offset: int, limit: int) -> list[UsedAllowance]:
        """Return allowances by subject; of one tenant, or with an empty id of all."""
        return await self._store.page(tenant_id, offset=offset, limit=limit)

    async def has_hard_budget(self, subject: Subject) -> bool:
        """Tell whether a hard budget holds for *subject* at any level."""
        limits = await self.limits_of(keys_of(subject))
        return any(budget.is_hard for each in limits.values() for budget in each.budgets)

    async def limits_of(self, keys: Sequence[SubjectKey]) -> Mapping[SubjectKey, Limits]:
        """Return the limits that hold for each of *keys*."""
        wanted = [each for key in keys for each in (key, *defaults_of(key))]
        found = await self._store.limits_set(wanted)

        def own(key: SubjectKey) -> Limits | None:
            allowance = found.get(key)
            return None if allowance is None else allowance.limits

        return {key: resolve(key, own, self._defaults) for key in keys}


class CachedAllowances:
    """
    An `AllowanceStore` that remembers allowances, for a store that nobody else changes.

    So a turn is admitted without a query.
    """

    def __init__(self, store: AllowanceStore) -> None:
        self._store = store
        self._known: dict[SubjectKey, Allowance | None] = {}
        self._version = 0

    async def put(self, allowance: Allowance) -> UsedAllowance:
        used = await self._store.put(allowance)
        self._forget()
        return used

    async def delete(self, key: SubjectKey) -> bool:
        was_set = await self._store.delete(key)
        self._forget()
        return was_set

    async def page(self, tenant_id: str, *, offset: int, limit: int) -> list[UsedAllowance]:
        return await self._store.page(tenant_id, offset=offset, limit=limit)

    async def limits_set(self, keys: Sequence[SubjectKey]) -> dict[SubjectKey, Allowance]:
        known = self._known
        if any(key not in known for key in keys):
            version = self._version
            found = await self._store.limits_set(keys)
            # What was read may be older than a change that was made meanwhile.
            if version == self._version:
                if len(known) > _ALLOWANCES_KEPT:
                    known.clear()
                known.update((key, found.get(key)) for key in keys)
            return found
        return {key: each for key in keys if (each := known[key]) is not None}

    def _forget(self) -> None:
        self._known.clear()
        self._version += 1


def resolve(
    key: SubjectKey,
    own: Callable[[SubjectKey], Limits | None],
    defaults: Mapping[SubjectLevel, Limits],
) -> Limits:
    """Return the limits that hold for *key*: its own, a default that was set, the policy's."""
    for each in (key, *defaults_of(key)):
        limits = own(each)
        if limits is not None:
            return limits
    return defaults[key.level]
