"""`parley serve`: runs services in this process until SIGTERM or Ctrl-C."""

import gc
from typing import Annotated

import typer
import uvloop

from parley_services.cli.console import error_console
from parley_services.cli.process.catalogue import NAMES, load
from parley_services.kit import log
from parley_services.kit.rpc.server import Host, ServerSettings, StartRefused
from parley_services.kit.rpc.server import serve as serve_host

Names = Annotated[
    list[str] | None, typer.Argument(metavar="[SERVICE]...", help="Which services. All if none.")
]


def serve(names: Names = None) -> None:
    """Run services in this process: all six, or those that are named."""
    settings = ServerSettings()
    log.configure(settings.log_level)
    try:
        services = load(names or NAMES)
        uvloop.run(_serve(Host(services, settings)))
    except (ValueError, StartRefused) as error:
        error_console.print(str(error), style="red", soft_wrap=True)
        raise typer.Exit(2) from None


async def _serve(host: Host) -> None:
    # What was loaded until now stays; the collector need not walk it again and again.
    gc.collect()
    gc.freeze()
    await serve_host(host)
