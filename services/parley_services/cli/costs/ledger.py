"""`parley ledger`: verifies the ledger."""

from pathlib import Path
from typing import Annotated

import typer
from parley.accounting.v1 import accounting_service_pb2 as pb

from parley_services.accounting.reports.archive_files import verify_archive as archived
from parley_services.cli.console import console, dollars, styled
from parley_services.cli.costs.keys import call_accounting
from parley_services.cli.enums import short_name

app = typer.Typer(name="ledger", help="Verifies the ledger.", no_args_is_help=True)

_TIMEOUT_SECONDS = 600.0


@app.callback()
def ledger() -> None:
    """Verify the ledger."""


@app.command()
def verify(tenant: Annotated[str, typer.Option(help="Only this tenant.")] = "") -> None:
    """Walk the hash chains and add up; name what does not fit, and then exit with 1."""
    request = pb.VerifyLedgerRequest(tenant_id=tenant)
    found = call_accounting(lambda stub: stub.VerifyLedger(request, timeout=_TIMEOUT_SECONDS))
    for fault in found.faults:
        console.print(
            styled((short_name(pb.LedgerFaultKind, fault.kind), "red"), f": {_where(fault)}"),
            soft_wrap=True,
        )
    if found.faults:
        raise typer.Exit(1)
    console.print(f"{found.checked_count:,} entries fit.")


@app.command()
def verify_archive(
    folder: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="One tenant's folder.")
    ],
) -> None:
    """Walk the chain of a tenant's archived entries, from files, without a server."""
    head, count, faults = archived(folder)
    for fault in faults:
        console.print(styled((fault.kind.key, "red"), f": entry {fault.sequence}"))
    if faults:
        raise typer.Exit(1)
    console.print(f"{count:,} entries fit. The last is {head.sequence}, with the hash")
    console.print(head.row_hash.hex(), soft_wrap=True)


def _where(fault: pb.VerifyLedgerResponse.LedgerFault) -> str:
    if fault.sequence:
        return f"entry {fault.sequence} of {fault.tenant_id}"
    whose = " of ".join(filter(None, (fault.subject, fault.tenant_id))) or "all"
    return (
        f"{whose} has {dollars(fault.found_nano_usd)}, "
        f"but the entries say {dollars(fault.expected_nano_usd)}"
    )
