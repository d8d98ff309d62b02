"""`parley up --apart`: runs each service in a process of its own, on this machine."""

import asyncio
import signal
import sys
from typing import Annotated

import typer

from parley_services.cli.console import error_console
from parley_services.cli.process.serve import serve
from parley_services.kit.rpc.peers import SERVICES

Apart = Annotated[bool, typer.Option("--apart", help="Each service in a process of its own.")]


def up(apart: Apart = False) -> None:
    """Run the whole suite on this machine, in one process or in six."""
    if not apart:
        serve([])
        return
    raise typer.Exit(asyncio.run(_run_apart()))


async def _run_apart() -> int:
    """Start all services, and stop all when one ends or a signal comes. Return the exit code."""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "parley_services.cli.main", "serve", name
        )
        for name in SERVICES
    ]
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stopping.set)
    ends = {
        asyncio.create_task(process.wait()): name
        for process, name in zip(processes, SERVICES, strict=True)
    }
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait([*ends, stop], return_when=asyncio.FIRST_COMPLETED)
    failed = [name for end, name in ends.items() if end.done()]
    if failed and not stopping.is_set():
        error_console.print(f"{', '.join(failed)} ended; stopping the others.", style="red")
    stop.cancel()
    for process in processes:
        if process.returncode is None:
            process.terminate()
    await asyncio.wait(ends)
    return 1 if failed and not stopping.is_set() else 0
