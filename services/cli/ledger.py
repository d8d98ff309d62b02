"""`parley ledger`: checks the books."""

import asyncio
from typing import Annotated

import typer
from parley.accounting.v1 import accounting_service_pb2 as pb
from parley.accounting.v1 import accounting_service_pb2_grpc as pb_grpc

from services.cli.connection import open_peers
from services.cli.console import console

app = typer.Typer(name="ledger", help="Checks the books.", no_args_is_help=True)

_TIMEOUT_SECONDS = 600.0


@app.callback()
def ledger() -> None:
    """Check the books."""


@app.command()
def verify(tenant: Annotated[str, typer.Option(help="Only this tenant.")] = "") -> None:
    """Walk the hash chains; name each row that does not fit, and then exit with 1."""
    found = asyncio.run(_verify(tenant))
    for fault in found.faults:
        console.print(f"[red]{fault.kind}[/red]: entry {fault.sequence} of {fault.tenant_id}")
    if found.faults:
        raise typer.Exit(1)
    console.print(f"{found.checked_count:,} entries fit.")


async def _verify(tenant: str) -> pb.VerifyLedgerResponse:
    async with open_peers() as peers:
        stub: pb_grpc.AccountingServiceAsyncStub = pb_grpc.AccountingServiceStub(
            peers.channel("accounting")
        )
        request = pb.VerifyLedgerRequest(tenant_id=tenant)
        return await stub.VerifyLedger(request, timeout=_TIMEOUT_SECONDS)
