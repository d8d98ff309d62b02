"""What only the embedded store does: it is a folder, and its process may die."""

import asyncio
import signal
import sys
from contextlib import asynccontextmanager

import pytest
from parley_services.semantic_cache.store.edge import open_edge_store
from parley_services.semantic_cache.store.store import Selection, StoreUnavailable
from parley_services.semantic_cache.verify.calibration import Observation

from tests.support.semantic_cache import entry

ACME = Selection(tenant_id="acme")

DIES_AFTER_STORING = """
import asyncio, os, signal, sys
from pathlib import Path
from parley_services.semantic_cache.verify.calibration import Observation
from parley_services.semantic_cache.store.edge import open_edge_store
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


@asynccontextmanager
async def filled(folder, *, living, removed):
    """A store with so many living entries, and so many that were removed again."""
    async with open_edge_store(folder, dimension=3) as store:
        for number in range(removed):
            await store.put(entry(f"old {number}", tags=("old",)), [1.0, float(number), 0.0])
        for number in range(living):
            await store.put(entry(f"text {number}"), [1.0, 0.0, float(number)])
        await store.remove(Selection(tenant_id="acme", tag="old"))
        yield store


async def test_maintenance_moves_the_living_once_more_were_removed(tmp_path):
    async with filled(tmp_path / "answers", living=60, removed=1_100) as store:
        assert (tmp_path / "answers").is_dir()
        await store.maintain()
        assert await store.count(ACME) == 60
        assert await store.get(entry("text 59").entry_id) == entry("text 59")
    assert not (tmp_path / "answers").exists()
    assert (tmp_path / "answers.current").read_text() == "answers.2"
    async with open_edge_store(tmp_path / "answers", dimension=3) as store:
        assert await store.count(ACME) == 60
        near = await store.nearest([1.0, 0.0, 0.0], ACME, now=0.0, floor=0.9, limit=1)
        assert near[0].entry.text == "text 0"


async def test_maintenance_leaves_a_store_in_place_that_wastes_little(tmp_path):
    async with filled(tmp_path / "answers", living=60, removed=500) as store:
        await store.maintain()
        assert await store.byte_count() > 0
    assert not (tmp_path / "answers.current").exists()


async def test_what_changes_during_a_move_is_changed_in_the_end(tmp_path):
    async with filled(tmp_path / "answers", living=120, removed=0) as store:
        await store.put(entry("bare"), None)
        moving = asyncio.create_task(store.move())
        # Each turn of the loop lets one part be moved; the rest is not there yet.
        await asyncio.sleep(0)
        learnt = (Observation(score=1.0, correct=True),)
        for number in range(120):
            await store.learn(entry(f"text {number}").entry_id, learnt)
        await store.put(entry("new", answer="new"), [1.0, 0.0, 0.0])
        await store.remove(Selection(tenant_id="acme", entry_id=entry("text 7").entry_id))
        await store.put(entry("text 8", answer="again"), [1.0, 0.0, 0.0])
        await store.put(entry("oldest", create_time=-1.0), [1.0, 0.0, 0.0])
        assert await store.remove_oldest(ACME, 1) == 1
        assert not moving.done()
        await moving
        assert await store.count(ACME) == 121
        assert (await store.get(entry("new").entry_id)).answer.text == "new"
        assert await store.get(entry("text 7").entry_id) is None
        assert (await store.get(entry("text 8").entry_id)).answer.text == "again"
        assert (await store.get(entry("text 119").entry_id)).observations == learnt
        assert await store.get(entry("bare").entry_id) == entry("bare")


async def test_a_move_that_is_cancelled_changes_nothing(tmp_path):
    async with filled(tmp_path / "answers", living=120, removed=0) as store:
        moving = asyncio.create_task(store.move())
        await asyncio.sleep(0)
        moving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await moving
        await store.put(entry("new"), [1.0, 0.0, 0.0])
        await store.move()
        assert await store.count(ACME) == 121
    async with open_edge_store(tmp_path / "answers", dimension=3) as store:
        assert await store.count(ACME) == 121


async def test_what_an_unfinished_move_left_is_removed_at_the_next_start(tmp_path):
    async with filled(tmp_path / "answers", living=3, removed=0):
        pass
    (tmp_path / "answers.2").mkdir()
    (tmp_path / "answers.2" / "half").write_text("written")
    async with open_edge_store(tmp_path / "answers", dimension=3) as store:
        assert await store.count(ACME) == 3
    assert not (tmp_path / "answers.2").exists()
