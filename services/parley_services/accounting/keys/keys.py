"""API keys: made, found by the digest of their secret, listed, rotated and revoked."""

import base64
import hashlib
import hmac
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from parley_services.kit.chat.subject import Subject
from parley_services.kit.chat.wire_enum import WireEnum
from parley_services.kit.clock import Clock
from parley_services.kit.errors import (
    KeyInvalid,
    NotFound,
    RateLimited,
)

SECRET_PREFIX = "parley_"
"""Lets secret scanners find keys that got into a repository."""

_PREFIX_CHARACTERS = len(SECRET_PREFIX) + 6
_SECRET_BYTES = 32
_DIGEST_BYTES = 32
DEFAULT_GRACE = timedelta(hours=24)


class KeyScope(WireEnum):
    """What a key may do."""

    UNSPECIFIED = 0
    CHAT = 1
    READ = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key without its secret."""

    key_id: str
    prefix: str
    """The first characters of the secret, to tell keys apart."""
    subject: Subject
    """Whose it is; `user_id` is the default user of its turns."""
    scopes: frozenset[KeyScope]
    may_act_for_users: bool
    display_name: str
    create_time: datetime
    expire_time: datetime | None = None
    revoke_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A key with the digests by which it is found."""

    key: Key
    secret_sha256: bytes
    old_secret_sha256: bytes | None = None
    """The digest of the secret before the last rotation."""
    old_secret_expire_time: datetime | None = None

    def accepts(self, digest: bytes, now: datetime) -> bool:
        """Tell whether a secret of that digest opens this key now."""
        if self.key.revoke_time is not None:
            return False
        if self.key.expire_time is not None and self.key.expire_time <= now:
            return False
        if hmac.compare_digest(self.secret_sha256, digest):
            return True
        return (
            self.old_secret_sha256 is not None
            and self.old_secret_expire_time is not None
            and now < self.old_secret_expire_time
            and hmac.compare_digest(self.old_secret_sha256, digest)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What a key shall be."""

    subject: Subject
    scopes: frozenset[KeyScope]
    may_act_for_users: bool = False
    display_name: str = ""
    ttl: timedelta | None = None


class KeyRepository(Protocol):
    """Where keys are. Each change is also noted for those who watch."""

    async def find(self, digest: bytes) -> StoredKey | None:
        """Return the key whose secret, new or old, has that digest."""
        ...

    async def tenant_of(self, key_id: str) -> str:
        """Return the tenant of a key. Raises NotFound."""
        ...

    async def add(self, stored: StoredKey) -> None:
        """Keep a new key."""
        ...

    async def add_first(self, stored: StoredKey) -> bool:
        """Keep a key if there is none at all; say whether it was kept."""
        ...

    async def change(self, key_id: str, change: Callable[[StoredKey], StoredKey]) -> StoredKey:
        """Replace a key by *change* of it, atomically. Raises NotFound."""
        ...

    async def page(self, tenant_id: str, *, offset: int, limit: int) -> list[Key]:
        """Return keys of a tenant, newest first."""
        ...


class FailureLimit:
    """Bounds how many wrong keys a replica looks up, so that guessing is slow."""

    def __init__(self, clock: Clock, *, per_second: float, burst: int) -> None:
        self._clock = clock
        self._per_second = per_second
        self._burst = burst
        self._room = float(burst)
        self._last_seconds = clock.monotonic()

    def note_failure(self) -> float | None:
        """Count one failure; if there are too many, return the seconds until there is room."""
        now = self._clock.monotonic()
        refill = (now - self._last_seconds) * self._per_second
        self._room = min(float(self._burst), self._room + refill)
        self._last_seconds = now
        if self._room < 1:
            return (1 - self._room) / self._per_second
        self._room -= 1
        return None


class KeyStore:
    """All keys of the suite."""

    def __init__(self, store: KeyRepository, *, clock: Clock, failures: FailureLimit) -> None:
        self._store = store
        self._clock = clock
        self._failures = failures

    async def authenticate(self, digest: bytes) -> Key:
        """
        Return the key whose secret has the SHA-256 *digest*.

        Raises KeyInvalid for an unknown, revoked or expired one, RateLimited instead if too
        many were wrong of late.
        """
        stored = await self._store.find(digest)
        if stored is not None and stored.accepts(digest, self._clock.now()):
            return stored.key
        retry_after_seconds = self._failures.note_failure()
        if retry_after_seconds is not None:
            raise RateLimited(
                "Too many wrong API keys were tried: wait before the next.",
                metadata={"subject": "keys", "unit": "failures"},
                retry_after_seconds=retry_after_seconds,
            )
        raise KeyInvalid("The API key is unknown, revoked or expired: use another one.")

    async def tenant_of(self, key_id: str) -> str:
        """Return the tenant of a key. Raises NotFound."""
        return await self._store.tenant_of(key_id)

    async def create(self, new: NewKey) -> tuple[Key, str]:
        """Make a key; return it and its secret, which is kept nowhere."""
        secret = new_secret()
        stored = self._stored(new, secret)
        await self._store.add(stored)
        return stored.key, secret

    async def bootstrap(self, new: NewKey, secret: str) -> bool:
        """Make a key with that secret if there is none at all; say whether it was made."""
        return await self._store.add_first(self._stored(new, secret))

    async def page(self, tenant_id: str, *, offset: int, limit: int) -> list[Key]:
        """Return keys of a tenant, newest first."""
        return await self._store.page(tenant_id, offset=offset, limit=limit)

    async def rotate(self, key_id: str, grace: timedelta | None) -> tuple[Key, str]:
        """
        Give a key a new secret; the old one works on for *grace*, by default a day.

        A secret that is in its grace already ends at once. Raises NotFound.
        """
        grace = DEFAULT_GRACE if grace is None else grace
        secret = new_secret()
        now = self._clock.now()

        def change(stored: StoredKey) -> StoredKey:
            if stored.key.revoke_time is not None:
                raise _unknown(key_id)
            return StoredKey(
                key=replace(stored.key, prefix=secret[:_PREFIX_CHARACTERS]),
                secret_sha256=digest_of(secret),
                old_secret_sha256=stored.secret_sha256,
                old_secret_expire_time=now + grace,
            )

        return (await self._store.change(key_id, change)).key, secret

    async def revoke(self, key_id: str) -> Key:
        """End a key at once. A revoked key stays as it is. Raises NotFound."""
        now = self._clock.now()

        def change(stored: StoredKey) -> StoredKey:
            if stored.key.revoke_time is not None:
                return stored
            return replace(stored, key=replace(stored.key, revoke_time=now))

        return (await self._store.change(key_id, change)).key

    def _stored(self, new: NewKey, secret: str) -> StoredKey:
        now = self._clock.now()
        key_id = f"key_{uuid.uuid4().hex}"
        key = Key(
            key_id=key_id,
            prefix=secret[:_PREFIX_CHARACTERS],
            subject=replace(new.subject, key_id=key_id),
            scopes=new.scopes,
            may_act_for_users=new.may_act_for_users,
            display_name=new.display_name,
            create_time=now,
            expire_time=None if new.ttl is None else now + new.ttl,
        )
        return StoredKey(key=key, secret_sha256=digest_of(secret))


def new_secret() -> str:
    """Return a new secret of 256 random bits."""
    random = base64.urlsafe_b64encode(secrets.token_bytes(_SECRET_BYTES)).rstrip(b"=")
    return SECRET_PREFIX + random.decode()


def digest_of(secret: str) -> bytes:
    """Return the SHA-256 of a secret. It is random, so it needs no salt and no slow hash."""
    return hashlib.sha256(secret.encode()).digest()


def _unknown(key_id: str) -> NotFound:
    return NotFound(
        "There is no such key: list the keys of the tenant.",
        resource_type="key",
        resource_name=key_id,
    )
