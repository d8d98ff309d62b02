"""Starts a suite of its own and plays the scenes."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import typer
import uvloop
from parley_client import Parley, ParleyError

from parley_services.cli.console import console, error_console, styled
from parley_services.cli.demo.cast import Cast
from parley_services.cli.demo.scenes import SCENES
from parley_services.cli.process.catalogue import load
from parley_services.kit import log
from parley_services.kit.rpc.server import Host, ServerSettings, StartRefused

DEMO_KEY = "parley-demo"


def demo() -> None:
    """Show a whole suite at work: needs no server, no key and no network."""
    with tempfile.TemporaryDirectory(prefix="parley-demo-") as folder, _environment(folder):
        log.configure("error")
        try:
            failed = uvloop.run(_play())
        except StartRefused as error:
            error_console.print(str(error), style="red")
            raise typer.Exit(2) from None
    if failed:
        raise typer.Exit(1)


async def _play() -> int:
    """Play all scenes and return how many failed."""
    failed = 0
    console.rule(styled(("Parley", "bold")))
    with console.status("Starting six services in one process ..."):
        host = Host(load(), ServerSettings())
        await host.__aenter__()
    try:
        console.print(
            f"Six services run in this process and listen on 127.0.0.1:{host.port}. "
            "The model is simulated; everything around it is real.",
        )
        async with Parley(f"127.0.0.1:{host.port}", api_key=DEMO_KEY) as parley:
            cast = Cast(console=console, parley=parley, peers=host.peers)
            for number, scene in enumerate(SCENES, 1):
                console.print()
                console.rule(f"{number} · {scene.title}", align="left", style="cyan")
                try:
                    await scene.play(cast)
                except ParleyError as error:
                    failed += 1
                    console.print(styled((error.code.name, "red"), f" {error}"))
        console.print()
        console.rule(styled(("That was Parley", "bold")))
        console.print(
            styled(
                "Next: ", ("parley serve", "bold"), ", then ", ('parley chat "Hello"', "bold"), "."
            )
        )
    finally:
        await host.__aexit__(None, None, None)
    return failed


@contextmanager
def _environment(folder: str) -> Iterator[None]:
    """Set up a suite that leaves nothing behind and calls nobody, whatever is set outside."""
    mine = {
        "PARLEY_DATA_DIR": folder,
        "PARLEY_SERVER_ADDRESS": "127.0.0.1:0",
        "PARLEY_SERVER_DRAIN_SECONDS": "0",
        "PARLEY_ACCOUNTING_BOOTSTRAP_KEY": DEMO_KEY,
        "PARLEY_MODEL_ROUTER_SIMULATE": "always",
        "PARLEY_MODEL_ROUTER_SIMULATED_FIRST_TOKEN_SECONDS": "0.15",
        "PARLEY_MODEL_ROUTER_SIMULATED_TOKEN_SECONDS": "0.012",
    }
    before = {name: value for name, value in os.environ.items() if name.startswith("PARLEY_")}
    for name in before:
        del os.environ[name]
    os.environ.update(mine)
    try:
        yield
    finally:
        for name in mine:
            del os.environ[name]
        os.environ.update(before)
