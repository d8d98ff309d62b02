"""Statistics in a file beside the embedded store."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import orjson
import structlog

from parley_services.semantic_cache.statistics import Counts, Key
from parley_services.semantic_cache.store.store import StoreUnavailable

log = structlog.get_logger()


class FileStatistics:
    """
    A StatisticsStore in one JSON file, which one process at a time has.

    Each write replaces the file as a whole, some 300 bytes a template, in a thread. A file
    that cannot be read is begun anew. Open it under the lock of the embedded store.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counts: dict[tuple[int, Key], Counts] | None = None

    async def read(
        self, *, place: int | None = None, tenant_id: str = ""
    ) -> list[tuple[int, Key, Counts]]:
        return [
            (number, key, counts)
            for (number, key), counts in (await self._loaded()).items()
            if place in (None, number) and tenant_id in ("", key[0])
        ]

    async def write(self, place: int, counts: Mapping[Key, Counts]) -> None:
        held = dict(await self._loaded())
        held.update({(place, key): each for key, each in counts.items()})
        rows = [[number, *key, each.plain()] for (number, key), each in held.items()]
        try:
            await asyncio.to_thread(self._replace, rows)
        except OSError as error:
            raise StoreUnavailable("the file of the statistics cannot be written") from error
        self._counts = held

    async def _loaded(self) -> dict[tuple[int, Key], Counts]:
        if self._counts is None:
            self._counts = await asyncio.to_thread(self._load)
        return self._counts

    def _load(self) -> dict[tuple[int, Key], Counts]:
        try:
            rows = orjson.loads(self._path.read_bytes())
            return {
                (place, (tenant_id, template)): Counts.of(plain)
                for place, tenant_id, template, plain in rows
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError):
            log.warning("cache_statistics_begun_anew", path=str(self._path))
            return {}

    def _replace(self, rows: list[list[object]]) -> None:
        draft = self._path.with_name(f"{self._path.name}.draft")
        draft.write_bytes(orjson.dumps(rows))
        draft.replace(self._path)
