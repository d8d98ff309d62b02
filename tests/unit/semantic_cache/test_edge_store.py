"""What only the embedded store does: it is a folder, and its process may die."""

import asyncio
import signal
import sys

import pytest

from services.semantic_cache.edge_store import open_edge_store
from services.semantic_cache.store import Selection, StoreUnavailable
from tests.support.semantic_cache import entry

ACME = Selection(tenant_id="acme")

DIES_AFTER_STORING = """
import asyncio, os, signal, sys
from pathlib import Path
from services.semantic_cache.edge_store import open_edge_store
from tests.support.semantic_cache import entry

async def main():
    async with open_edge_store(Path(sys.argv[1]), dimension=3) as store:
        for number in range(100):
            await store.put(entry(f"text {number}"), [1.0, 0.0, 0.0])
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_what_was_stored_survives_kill_9(tmp_path):
    folder = tmp_path / "answers"
    dying = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DIES_AFTER_STORING, str(folder)
    )
    assert await dying.wait() == -signal.SIGKILL
    async with open_edge_store(folder, dimension=3) as store:
        assert await store.count(ACME) == 100
        assert await store.get(entry("text 99").entry_id) == entry("text 99")
        assert await store.nearest([1.0, 0.0, 0.0], ACME, now=0.0, floor=0.9, limit=1)


async def test_closing_and_opening_keeps_entries_and_filters(tmp_path):
    for _ in range(3):
        async with open_edge_store(tmp_path / "answers", dimension=3) as store:
            await store.put(entry(tags=("faq",)), [1.0, 0.0, 0.0])
            assert await store.count(Selection(tenant_id="acme", tag="faq")) == 1


async def test_one_process_a_folder(tmp_path):
    async with open_edge_store(tmp_path / "answers", dimension=3):
        with pytest.raises(StoreUnavailable, match="another process"):
            async with open_edge_store(tmp_path / "answers", dimension=3):
                pass


async def test_a_folder_that_cannot_be_read_is_put_aside(tmp_path):
    folder = tmp_path / "answers"
    folder.mkdir()
    (folder / "edge_config.json").write_text("not JSON")
    async with open_edge_store(folder, dimension=3) as store:
        await store.put(entry(), [1.0, 0.0, 0.0])
        assert await store.count(ACME) == 1
    assert len(list(tmp_path.glob("answers.unreadable-*"))) == 1


async def test_upkeep_does_not_stop_lookups(tmp_path):
    async with open_edge_store(tmp_path / "answers", dimension=3) as store:
        for number in range(50):
            await store.put(entry(f"text {number}"), [1.0, float(number), 0.0])
        await store.maintain()
        assert await store.count(ACME) == 50
        assert await store.byte_count() > 0
