"""The keys of a provider: several take turns, and one that is refused is used no more."""

from collections.abc import Sequence

import structlog

log = structlog.get_logger()


class ProviderKeyPool:
    """
    Hands out keys in turn.

    A key that the provider refuses (401, 403) is dead until the process starts again or
    the keys are set anew: asking with it again cannot succeed.
    """

    def __init__(self, provider: str, keys: Sequence[str]) -> None:
        """Know *keys*; an empty text is a key where none is needed."""
        self._provider = provider
        self._alive = list(dict.fromkeys(keys))
        self._next = 0

    def __len__(self) -> int:
        """Return how many keys are alive."""
        return len(self._alive)

    @property
    def alive(self) -> Sequence[str]:
        """The keys that may be used."""
        return self._alive

    def pick(self) -> str | None:
        """Return the next key, or None if all are dead."""
        if not self._alive:
            return None
        key = self._alive[self._next % len(self._alive)]
        self._next += 1
        return key

    def refuse(self, key: str) -> None:
        """Use *key* no more."""
        if key in self._alive:
            self._alive.remove(key)
            log.error("key_refused", provider=self._provider, count=len(self._alive))
