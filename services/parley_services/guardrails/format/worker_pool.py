"""A few worker processes that check schemas and are killed when they take too long."""

import os
import selectors
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Semaphore
from typing import Final

import orjson
import structlog

from parley_services.kit.errors import Overloaded

RETRY_AFTER_SECONDS: Final = 1.0

_START_SECONDS: Final = 30.0
"""A busy machine starts a process slowly."""

_PIPE_BYTES: Final = 64 * 1024
_MODULE: Final = "parley_services.guardrails.format.schema_worker"

log = structlog.get_logger()


class WorkTooLong(Exception):
    """A worker was killed: it took too long or too much memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerBounds:
    """How many processes there are and what each may take."""

    processes: int = 1
    seconds: float = 1.0
    """For one schema, with one answer, from when a process is free for it."""

    memory_bytes: int = 512 * 1024 * 1024
    max_waiting: int = 64
    """Schemas that are checked or wait for a process; more are refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaWork:
    """A schema to be compiled, and with an *answer* an answer to be checked by it."""

    schema: str
    answer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaWorkDone:
    """What a worker says."""

    is_usable: bool
    problems: tuple[str, ...] = ()


class SchemaWorkers:
    """
    Processes that are started when first needed, one for each thread that waits for it.

    Each is started anew after it was killed, which takes about 0.1 s.
    """

    def __init__(self, bounds: WorkerBounds) -> None:
        self._bounds = bounds
        self._places = Semaphore(bounds.max_waiting)
        self._threads = ThreadPoolExecutor(bounds.processes, thread_name_prefix="schema")
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for _ in range(bounds.processes):
            self._idle.put(_Worker(bounds))

    def submit(self, work: SchemaWork) -> "Future[SchemaWorkDone]":
        """
        Return what *work* comes to, later. Its result may raise WorkTooLong.

        Raises Overloaded if too much work waits.
        """
        if not self._places.acquire(blocking=False):
            raise Overloaded(
                "Too many JSON Schemas wait to be checked: try again later.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        future = self._threads.submit(self._do, work)
        future.add_done_callback(lambda _: self._places.release())
        return future

    def close(self) -> None:
        """End the processes. What one of them is at ends within its time."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        while not self._idle.empty():
            self._idle.get().end()

    def _do(self, work: SchemaWork) -> SchemaWorkDone:
        worker = self._idle.get()
        try:
            return worker.ask(work)
        finally:
            self._idle.put(worker)


class _Worker:
    def __init__(self, bounds: WorkerBounds) -> None:
        self._bounds = bounds
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, work: SchemaWork) -> SchemaWorkDone:
        process = self._started()
        request = orjson.dumps({"schema": work.schema, "answer": work.answer})
        deadline = time.monotonic() + self._bounds.seconds
        try:
            reply = _exchange(process, len(request).to_bytes(4) + request, deadline)
        except (OSError, EOFError, TimeoutError) as error:
            log.warning("schema worker killed", error_kind=type(error).__name__)
            self.end()
            raise WorkTooLong from None
        said = orjson.loads(reply)
        return SchemaWorkDone(
            is_usable="problems" in said, problems=tuple(said.get("problems", ()))
        )

    def end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.end()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _MODULE, str(self._bounds.memory_bytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
            # It says that it is ready, so that its start does not count as its work.
            _exchange(self._process, b"", time.monotonic() + _START_SECONDS)
        except (OSError, EOFError, TimeoutError) as error:
            log.error("schema worker did not start", error_kind=type(error).__name__)
            self.end()
            raise Overloaded(
                "The process that checks JSON Schemas did not start: try again later.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            ) from None
        return self._process


def _exchange(process: "subprocess.Popen[bytes]", request: bytes, deadline: float) -> bytes:
    """
    Write *request* and return the next frame that comes back.

    Raises TimeoutError at *deadline*, EOFError or OSError if the process ends.
    """
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None
    unsent = memoryview(request)
    received = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        if unsent:
            os.set_blocking(stdin.fileno(), False)
            selector.register(stdin, selectors.EVENT_WRITE)
        while len(received) < 4 or len(received) - 4 < int.from_bytes(received[:4]):
            ready = selector.select(max(deadline - time.monotonic(), 0))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                if key.fileobj is stdin:
                    unsent = unsent[os.write(stdin.fileno(), unsent[:_PIPE_BYTES]) :]
                    if not unsent:
                        selector.unregister(stdin)
                    continue
                piece = os.read(stdout.fileno(), _PIPE_BYTES)
                if not piece:
                    raise EOFError
                received += piece
    return bytes(received[4:])
