"""Puts the check of API keys before every method of the servicer."""

from typing import Any

from parley_services.accounting.keys.authorization import Access, Target
from parley_services.accounting.subjects import SubjectLevel
from parley_services.kit.rpc.bearer import bearer


class KeyedServicer:
    """
    A servicer whose methods first ask *access*, if the call carries an API key.

    A call without one is of the suite itself, or of somebody whom the port lets in: see
    `parley_services.kit.rpc.interceptors.ServiceTokenCheck`.
    """

    def __init__(self, servicer: Any, access: Access) -> None:
        self._servicer = servicer
        self._access = access

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._servicer, name)

        async def checked(request: Any, context: Any) -> Any:
            secret = bearer(context.invocation_metadata())
            if secret is not None:
                await self._access.check(name, secret, _target_of(request))
            return await method(request, context)

        return checked


def _target_of(request: Any) -> Target:
    """Return what *request* is about, wherever it says so."""
    about = getattr(request, "allowance", None) or getattr(request, "subject", None) or request
    level = getattr(about, "level", 0)
    return Target(
        tenant_id=getattr(about, "tenant_id", ""),
        key_id=getattr(request, "key_id", ""),
        level=SubjectLevel(level) or None,
    )
