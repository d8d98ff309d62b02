"""Limits how long each of many steps of one task may take, at next to no cost for quick ones."""

import asyncio


class StepTimeout:
    """
    Watches the steps of a task, one after the other, with one timer for all of them.

    `asyncio.timeout` makes and cancels a timer for each step; here the timer is moved only when
    it fires.

        timeout.begin(10.0)
        try:
            data = await read()
        except asyncio.CancelledError:
            if timeout.expired():
                raise TooSlow from None
            raise
        finally:
            timeout.end()
    """

    __slots__ = ("_cancels", "_due", "_fired", "_loop", "_task", "_timer")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._due = 0.0
        self._cancels = 0
        self._fired = False

    def begin(self, limit_seconds: float) -> None:
        """Begin a step of the running task, which is cancelled after *limit_seconds*."""
        task = self._task = asyncio.current_task()
        assert task is not None
        self._cancels = task.cancelling()
        self._fired = False
        due = self._due = self._loop.time() + limit_seconds
        if self._timer is None or self._timer.when() > due:
            self._set_timer()

    def expired(self) -> bool:
        """Whether the step was cancelled because it took too long, and by nobody else."""
        task = self._task
        return self._fired and task is not None and task.uncancel() <= self._cancels

    def end(self) -> None:
        """End the step."""
        self._task = None

    def close(self) -> None:
        """Drop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._task is None:
            return
        if self._loop.time() < self._due:
            self._set_timer()
        else:
            self._fired = True
            self._task.cancel()
