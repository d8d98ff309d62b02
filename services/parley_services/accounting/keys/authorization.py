"""What the holder of an API key may do with accounting itself."""

from dataclasses import dataclass
from typing import Final

from parley_services.accounting.keys.keys import KeyScope, KeyStore, digest_of
from parley_services.accounting.subjects import SubjectLevel
from parley_services.kit.errors import KeyMissing, ScopeMissing

SCOPES: Final = {
    "ListKeys": KeyScope.READ,
    "ListAllowances": KeyScope.READ,
    "ListEntries": KeyScope.READ,
    "VerifyLedger": KeyScope.READ,
    "GetCostSummary": KeyScope.READ,
    "GetTurnCost": KeyScope.READ,
    "ProjectCost": KeyScope.READ,
    "ListAlerts": KeyScope.READ,
    "WatchAlerts": KeyScope.READ,
    "CreateKey": KeyScope.ADMIN,
    "RotateKey": KeyScope.ADMIN,
    "RevokeKey": KeyScope.ADMIN,
    "SetAllowance": KeyScope.ADMIN,
    "DeleteAllowance": KeyScope.ADMIN,
}
"""The scope that each method takes. A key with `admin` may read as well. What is not here is
for the services of the suite only."""

_NO_TENANT: Final = frozenset({"ProjectCost"})
_BY_KEY_ID: Final = frozenset({"RotateKey", "RevokeKey"})
_OPERATORS_LEVELS: Final = frozenset({SubjectLevel.SUITE, SubjectLevel.TENANT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a call is about, as far as it says so."""

    tenant_id: str = ""
    key_id: str = ""
    level: SubjectLevel | None = None


class Access:
    """Checks calls that come with an API key. Calls of the suite's services come without."""

    def __init__(self, keys: KeyStore) -> None:
        self._keys = keys

    async def check(self, method: str, secret: str, target: Target) -> None:
        """
        Return if the key *secret* may call *method* on *target*.

        A key acts on its own tenant only, and not on what the operator grants to it: the
        allowances of the tenant and of the suite. Raises KeyMissing, KeyInvalid, RateLimited,
        ScopeMissing, and NotFound for a key that is to be changed.
        """
        if not secret:
            raise KeyMissing("The call carries no API key: send `authorization: Bearer KEY`.")
        key = await self._keys.authenticate(digest_of(secret))
        needed = SCOPES.get(method)
        if needed is None:
            raise ScopeMissing(
                "Only the services of the suite may call this: there is no scope for it.",
                metadata={"method": method},
            )
        if needed not in key.scopes and KeyScope.ADMIN not in key.scopes:
            raise ScopeMissing(
                f"The key may not do this: use one with the scope `{needed.key}`.",
                metadata={"scope": needed.key},
            )
        if method in _NO_TENANT:
            return
        tenant_id = target.tenant_id
        if method in _BY_KEY_ID:
            tenant_id = await self._keys.tenant_of(target.key_id)
        if tenant_id != key.subject.tenant_id:
            raise ScopeMissing(
                "The key may act on its own tenant only: name that one.",
                metadata={"tenant": key.subject.tenant_id},
            )
        if needed is KeyScope.ADMIN and target.level in _OPERATORS_LEVELS:
            raise ScopeMissing(
                "The operator sets what a tenant may spend: ask them.",
                metadata={"level": target.level.key},
            )
