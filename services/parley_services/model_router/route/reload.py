"""Takes over a changed configuration file, and keeps the last good one when it is wrong."""

import hashlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import structlog

from parley_services.kit.background import every
from parley_services.model_router.route.catalogue import Catalogue
from parley_services.model_router.route.config import ConfigInvalid, RouterConfig, parse_config
from parley_services.model_router.router import Router

log = structlog.get_logger()

INTERVAL_SECONDS: Final = 2.0
"""How often the file is looked at: soon enough for a person who has just saved it."""


class ConfigFile:
    """
    Watches one file by its content, so that links and mounts that are swapped count too.

    Providers are made at start; a file that names others is refused until the next start.
    """

    def __init__(
        self,
        path: Path,
        current: RouterConfig,
        router: Router,
        catalogue_of: Callable[[RouterConfig], Catalogue],
    ) -> None:
        self._path = path
        self._current = current
        self._router = router
        self._catalogue_of = catalogue_of
        self._seen = self._digest(path.read_bytes())

    def check(self) -> bool:
        """Take over the file if it changed and is valid; return whether it was taken over."""
        try:
            content = self._path.read_bytes()
        except OSError:
            return False  # In the middle of being replaced, or gone: the last one stays.
        digest = self._digest(content)
        if digest == self._seen:
            return False
        self._seen = digest
        try:
            config = parse_config(content)
            if config.providers != self._current.providers:
                raise ConfigInvalid("Changed providers are taken over at the next start only.")
            catalogue = self._catalogue_of(config)
            catalogue.group("")
        except (ConfigInvalid, LookupError, ValueError) as error:
            log.error("config_refused", reason=str(error))
            return False
        self._current = config
        self._router.use(catalogue)
        log.info("config_taken_over")
        return True

    def watching(self) -> AbstractAsyncContextManager[None]:
        """Check again and again while the context lasts."""

        async def check() -> None:
            self.check()

        return every(INTERVAL_SECONDS, check, name="config_file")

    @staticmethod
    def _digest(content: bytes) -> bytes:
        return hashlib.sha256(content).digest()
