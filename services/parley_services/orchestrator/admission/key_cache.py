"""Whose key a call carries. Answers are kept for a short while."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, replace

from parley_services.kit.chat.subject import Subject
from parley_services.kit.clock import Clock
from parley_services.kit.errors import DependencyUnavailable, KeyMissing, ScopeMissing
from parley_services.orchestrator.deadline import Deadline
from parley_services.orchestrator.ports import Accounting
from parley_services.orchestrator.values.accounting import Principal

WATCHED_SECONDS = 30.0
"""Longest use of an answer while changes are watched. Budgets set meanwhile count after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    principal: Principal
    since: float


class KeyCache:
    """
    Authenticates API keys with accounting and remembers the answers.

    An answer is used for as long as accounting allows, and longer, up to WATCHED_SECONDS,
    while changes of keys are watched. While accounting is unavailable it is used for up to
    *stale_seconds*. At most *capacity* keys are remembered, the latest used ones.
    """

    def __init__(
        self,
        accounting: Accounting,
        clock: Clock,
        *,
        timeout_seconds: float,
        stale_seconds: float,
        capacity: int,
    ) -> None:
        self._accounting = accounting
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._stale_seconds = stale_seconds
        self._capacity = capacity
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._is_watched = False
        self._change_count = 0

    def begin_watch(self) -> None:
        """Forget all keys: from now on every change is told by `forget`."""
        self._known.clear()
        self._change_count += 1
        self._is_watched = True

    def end_watch(self) -> None:
        """Note that changes are no longer told."""
        self._is_watched = False

    def forget(self, key_id: str) -> None:
        """Forget a key that changed, so that it is asked for again."""
        self._change_count += 1
        for digest, known in list(self._known.items()):
            if known.principal.subject.key_id == key_id:
                del self._known[digest]

    async def principal(self, secret: str, deadline: Deadline) -> Principal:
        """
        Say whose key *secret* is.

        Raises KeyMissing, KeyInvalid, ScopeMissing without the scope `chat`, and
        DependencyUnavailable while accounting is unavailable and the key is not remembered.
        """
        if not secret:
            raise KeyMissing(
                "The call carries no API key: send the metadata `authorization: Bearer KEY`."
            )
        digest = hashlib.sha256(secret.encode()).digest()
        now = self._clock.monotonic()
        known = self._known.get(digest)
        if known is None or now - known.since >= self._max_age(known.principal):
            changes = self._change_count
            try:
                principal = await self._accounting.authenticate(
                    digest, timeout_seconds=deadline.timeout(self._timeout_seconds)
                )
            except DependencyUnavailable:
                if known is None or now - known.since >= self._stale_seconds:
                    raise
            else:
                known = _Known(principal=principal, since=now)
                # If a key changed meanwhile, it may be this one: the answer is for this turn only.
                if changes == self._change_count:
                    self._remember(digest, known)
        else:
            self._known.move_to_end(digest)
        if not known.principal.may_chat:
            raise ScopeMissing(
                "The key may not chat: use one with the scope `chat`.", metadata={"scope": "chat"}
            )
        return known.principal

    def _max_age(self, principal: Principal) -> float:
        own = principal.max_age_seconds
        return max(own, WATCHED_SECONDS) if self._is_watched else own

    def _remember(self, digest: bytes, known: _Known) -> None:
        self._known[digest] = known
        self._known.move_to_end(digest)
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)


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
