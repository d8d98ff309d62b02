"""The first key: without one, nobody could make any."""

import contextlib
import os
from pathlib import Path

from parley_services.accounting.keys.keys import KeyScope, KeyStore, NewKey, new_secret
from parley_services.kit.chat.subject import Subject

FILE_NAME = "bootstrap.key"

_FIRST_KEY = NewKey(
    subject=Subject(tenant_id="default", user_id="default"),
    scopes=frozenset({KeyScope.CHAT, KeyScope.READ, KeyScope.ADMIN}),
    may_act_for_users=True,
    display_name="bootstrap",
)


async def ensure_first_key(keys: KeyStore, *, secret: str, data_dir: Path) -> Path | None:
    """
    Make the first key if there is none.

    Its secret is *secret*, or if that is empty a new one that is written to
    `bootstrap.key` in *data_dir*, readable by its owner only; then the path is returned. The
    file is written before the key, so that no crash leaves a key whose secret is lost.
    """
    if secret:
        await keys.bootstrap(_FIRST_KEY, secret)
        return None
    path = data_dir / FILE_NAME
    made, was_there = _read_or_write(path)
    if await keys.bootstrap(_FIRST_KEY, made):
        return path
    if not was_there:
        path.unlink()
    return None


def _read_or_write(path: Path) -> tuple[str, bool]:
    """Return the secret in the file, and whether it was there before."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_text().strip(), True
    path.parent.mkdir(parents=True, exist_ok=True)
    secret = new_secret()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(descriptor)
    return secret, False
