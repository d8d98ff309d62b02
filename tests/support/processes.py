"""Runs the suite as users do: `parley serve`, in one process or in six, on free ports."""

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SERVICES = (
    "accounting",
    "guardrails",
    "prompt_registry",
    "semantic_cache",
    "model_router",
    "orchestrator",
)
PLACEMENTS = ("one_process", "apart")
KEY = "a-key-for-tests"
ROOT = Path(__file__).parent.parent.parent

_START_SECONDS = 180.0
_STOP_SECONDS = 30.0


class Suite:
    """A suite that runs, each process known by the services in it."""

    def __init__(self, *, apart: bool, folder: Path, environment: dict[str, str]) -> None:
        self.apart = apart
        self.folder = folder
        ports = [_free_port() for _ in SERVICES] if apart else [_free_port()] * len(SERVICES)
        self.addresses = {
            name: f"127.0.0.1:{port}" for name, port in zip(SERVICES, ports, strict=True)
        }
        self._environment = {
            **os.environ,
            "PARLEY_DATA_DIR": str(folder),
            "PARLEY_ACCOUNTING_BOOTSTRAP_KEY": KEY,
            "PARLEY_LOG_LEVEL": "warning",
            "PARLEY_SERVER_DRAIN_SECONDS": "0",
            "PARLEY_CLI_ADDRESS": self.addresses["orchestrator"],
            "PARLEY_API_KEY": KEY,
            **{
                f"PARLEY_PEERS_{name.upper()}": f"dns:///{address}"
                for name, address in self.addresses.items()
            },
            **environment,
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def address(self) -> str:
        """Where the orchestrator listens."""
        return self.addresses["orchestrator"]

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that run."""
        return tuple(process.pid for process in self._processes.values())

    def start(self, *names: str) -> None:
        """Start the processes of these services, of all without any, and wait until they serve."""
        wanted = (names or SERVICES) if self.apart else ("orchestrator",)
        for name in wanted:
            self._serve(name, *([name] if self.apart else []))
        for name in wanted:
            self._wait_until_serving(name)

    def start_replica(self, service: str) -> str:
        """Start one more process of *service*, with its own folder; return its address."""
        number = sum(name.startswith(service) for name in self._processes) + 1
        name = f"{service}-{number}"
        self.addresses[name] = f"127.0.0.1:{_free_port()}"
        self._serve(name, service, PARLEY_DATA_DIR=str(self.folder / name))
        self._wait_until_serving(name)
        return self.addresses[name]

    def stop(self, *names: str, kill: bool = False) -> None:
        """End the processes of these services, of all without any: softly, or by SIGKILL."""
        ending = [self._processes.pop(name) for name in names or tuple(self._processes)]
        for process in ending:
            process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        for process in ending:
            process.wait(_STOP_SECONDS)

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `parley ARGUMENTS` against this suite."""
        return subprocess.run(
            [sys.executable, "-m", "parley_services.cli.main", *arguments],
            env={**self._environment, "NO_COLOR": "1", "COLUMNS": "120"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def _serve(self, name: str, *services: str, **environment: str) -> None:
        self._processes[name] = subprocess.Popen(
            [sys.executable, "-m", "parley_services.cli.main", "serve", *services],
            env={
                **self._environment,
                "PARLEY_SERVER_ADDRESS": self.addresses[name],
                **environment,
            },
            cwd=ROOT,
        )

    def _wait_until_serving(self, name: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        with grpc.insecure_channel(self.addresses[name]) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            while True:
                try:
                    stub.Check(health_pb2.HealthCheckRequest(), timeout=1)
                    return
                except grpc.RpcError:
                    ended = self._processes[name].poll() is not None
                    if ended or time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)


@contextmanager
def suite(*, apart: bool, environment: dict[str, str] | None = None) -> Iterator[Suite]:
    """Run all services on loopback in a folder of their own; stop them at the end."""
    with tempfile.TemporaryDirectory() as folder:
        running = Suite(apart=apart, folder=Path(folder), environment=environment or {})
        try:
            running.start()
            yield running
        finally:
            running.stop()


_given_ports: set[int] = set()


def _free_port() -> int:
    """
    Return a port that nobody has, and that nobody gets before a process listens on it.

    It lies below those that the kernel gives to connections, in a part of its own for each
    process of pytest-xdist.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 20_000 + worker % 6 * 2_000
    while True:
        port = random.randrange(first, first + 2_000)
        with socket.socket() as probe, suppress(OSError):
            if port not in _given_ports:
                probe.bind(("127.0.0.1", port))
                _given_ports.add(port)
                return port
