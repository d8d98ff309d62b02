"""The keys of a provider: several take turns, and one that is refused rests for a while."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from parley_services.kit.clock import Clock
from parley_services.model_router.attempt.failures import FailureKind

log = structlog.get_logger()

SHOWN_CHARACTERS: Final = 4
MIN_SHOWN_LENGTH: Final = 16
"""Of a shorter key the last characters would be too large a part to show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPolicy:
    """How long a refused key rests. Each further refusal doubles the rest."""

    first_rest_seconds: float = 30.0
    """Of a key that never worked."""
    proven_rest_seconds: float = 1.0
    """Of a key that has worked, from its second refusal in a row: the first may be a mistake of
    the provider, and is tried again at once."""
    max_rest_seconds: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHealth:
    """How one key does, without the key."""

    ending: str
    """Its last four characters; empty if there is no key, or a short one."""
    rest_reason: str = ""
    """The kind of failure for which it rests; empty while it is used."""
    retry_after_seconds: float = 0.0
    """When it is tried again."""


@dataclass(slots=True, kw_only=True)
class _Key:
    secret: str
    worked: bool = False
    refusals: int = 0
    """In a row."""
    reason: str = ""
    rests_until: float = field(default=float("-inf"))
    is_probed: bool = False


class ProviderKeyPool:
    """
    Hands out keys in turn.

    A key that the provider refuses rests, longer each time; then one call tries it while the
    others still do without it. Nothing is dead for ever: keys come back when an account is
    paid or a provider's own trouble is over.
    """

    def __init__(
        self,
        provider: str,
        keys: Sequence[str],
        *,
        clock: Clock,
        policy: KeyPolicy | None = None,
    ) -> None:
        """Know *keys*; an empty text is a key where none is needed."""
        self._provider = provider
        self._clock = clock
        self._policy = policy or KeyPolicy()
        self._keys = {secret: _Key(secret=secret) for secret in keys}
        self._next = 0

    @property
    def usable(self) -> Sequence[str]:
        """The keys that a call may be made with now."""
        return [secret for secret, key in self._keys.items() if self._is_usable(key)]

    @property
    def retry_after_seconds(self) -> float:
        """Seconds until a key may be used; 0 if one may now."""
        now = self._clock.monotonic()
        return min((max(0.0, key.rests_until - now) for key in self._keys.values()), default=0.0)

    def pick(self) -> str | None:
        """Return the next key, or None if all rest. To be followed by `begin` if it is used."""
        if not (usable := self.usable):
            return None
        self._next += 1
        return usable[(self._next - 1) % len(usable)]

    def begin(self, secret: str) -> None:
        """Say that a call is made with that key; it ends by one of the three below."""
        key = self._keys[secret]
        key.is_probed = key.refusals > 0

    def accepted(self, secret: str) -> None:
        """Say that the provider took the key."""
        key = self._keys[secret]
        if key.refusals > 1 or key.reason:
            log.info("provider_key_works", provider=self._provider)
        key.worked, key.is_probed = True, False
        key.refusals, key.reason, key.rests_until = 0, "", float("-inf")

    def refused(self, secret: str, kind: FailureKind) -> None:
        """Say that the provider refused the key; it rests, unless this may be a mistake."""
        key = self._keys[secret]
        key.is_probed = False
        key.refusals += 1
        is_proven = key.worked and kind is FailureKind.KEY_REFUSED
        rests = key.refusals - is_proven
        if rests <= 0:
            return
        policy = self._policy
        first = policy.proven_rest_seconds if is_proven else policy.first_rest_seconds
        # The exponent is bounded, or weeks of refusals would overflow a float.
        rest_seconds = min(first * 2.0 ** min(rests - 1, 30), policy.max_rest_seconds)
        key.reason = kind.value
        key.rests_until = self._clock.monotonic() + rest_seconds
        log.warning(
            "provider_key_rests",
            provider=self._provider,
            reason=kind.value,
            retry_after_seconds=rest_seconds,
            count=len(self.usable),
        )

    def released(self, secret: str) -> None:
        """Say that the call says nothing of the key."""
        self._keys[secret].is_probed = False

    def health(self) -> Sequence[KeyHealth]:
        """Return how each key does."""
        now = self._clock.monotonic()
        return [
            KeyHealth(
                ending=key.secret[-SHOWN_CHARACTERS:]
                if len(key.secret) >= MIN_SHOWN_LENGTH
                else "",
                rest_reason=key.reason,
                retry_after_seconds=max(0.0, key.rests_until - now) if key.reason else 0.0,
            )
            for key in self._keys.values()
        ]

    def _is_usable(self, key: _Key) -> bool:
        if not key.reason:
            return True
        return self._clock.monotonic() >= key.rests_until and not key.is_probed
