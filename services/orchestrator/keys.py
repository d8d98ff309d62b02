"""Whose key a call carries. Answers are kept for a short while."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, replace

from services.kit.clock import Clock
from services.kit.errors import DependencyUnavailable, KeyMissing, ScopeMissing
from services.orchestrator.accounts import Accounts, Principal
from services.orchestrator.deadline import Deadline
from services.orchestrator.values import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    principal: Principal
    since: float


class Keyring:
    """
    Authenticates API keys with accounting and remembers the answers.

    An answer is used for as long as accounting allows. While accounting is away it is used
    for up to *stale_seconds*. At most *capacity* keys are remembered, the latest used ones.
    """

    def __init__(
        self,
        accounts: Accounts,
        clock: Clock,
        *,
        timeout_seconds: float,
        stale_seconds: float,
        capacity: int,
    ) -> None:
        self._accounts = accounts
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._stale_seconds = stale_seconds
        self._capacity = capacity
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    async def principal(self, secret: str, deadline: Deadline) -> Principal:
        """
        Say whose key *secret* is.

        Raises KeyMissing, KeyInvalid, ScopeMissing without the scope `chat`, and
        DependencyUnavailable while accounting is away and the key is not remembered.
        """
        if not secret:
            raise KeyMissing(
                "The call carries no API key: send the metadata `authorization: Bearer KEY`."
            )
        digest = hashlib.sha256(secret.encode()).digest()
        now = self._clock.monotonic()
        known = self._known.get(digest)
        if known is None or now - known.since >= known.principal.max_age_seconds:
            try:
                principal = await self._accounts.authenticate(
                    digest, timeout_seconds=deadline.timeout(self._timeout_seconds)
                )
            except DependencyUnavailable:
                if known is None or now - known.since >= self._stale_seconds:
                    raise
            else:
                known = _Known(principal=principal, since=now)
                self._known[digest] = known
                if len(self._known) > self._capacity:
                    self._known.popitem(last=False)
        self._known.move_to_end(digest)
        if not known.principal.may_chat:
            raise ScopeMissing(
                "The key may not chat: use one with the scope `chat`.", metadata={"scope": "chat"}
            )
        return known.principal


def acting_for(principal: Principal, user_id: str) -> Subject:
    """
    Return who the turn is for: the key's own user, or *user_id* where the key may name others.

    Raises ScopeMissing where it may not.
    """
    own = principal.subject
    if not user_id or user_id == own.user_id:
        return own
    if not principal.may_act_for_users:
        raise ScopeMissing(
            "The key may not act for other users: leave `user_id` empty or use another key.",
            metadata={"scope": "act_for_users"},
        )
    return replace(own, user_id=user_id)
