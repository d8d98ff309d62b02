"""What all tests share."""

import asyncio
import inspect

import pytest

GRACE_SECONDS = 2.0
"""How long a task that is ending, as grpc's own, may take to do so."""


def pytest_collection_modifyitems(items):
    """
    Say which tests run in one process of pytest-xdist (`-n`, with `--dist loadgroup`).

    Those of a file, which share its fixtures; of the suite, those of one placement, which
    share the processes that they talk to.
    """
    for item in items:
        group = item.path.relative_to(item.config.rootpath).as_posix()
        placement = getattr(item, "callspec", None) and item.callspec.params.get("running")
        if placement:
            group = placement
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(autouse=True)
def no_task_left_running(request):
    """Fail an async test that leaves a task running."""
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("_tasks_end")


@pytest.fixture
async def _tasks_end():
    before = asyncio.all_tasks()
    yield
    started = asyncio.all_tasks() - before - {asyncio.current_task()}
    if started:
        await asyncio.wait(started, timeout=GRACE_SECONDS)
    left = [task for task in started if not task.done()]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    if left:
        pytest.fail(f"tasks left running: {[task.get_coro() for task in left]}")
