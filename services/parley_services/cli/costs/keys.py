"""`parley keys`: makes, lists, rotates and ends API keys."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from google.protobuf.duration_pb2 import Duration
from parley.accounting.v1 import accounting_service_pb2 as pb
from parley.accounting.v1 import accounting_service_pb2_grpc as pb_grpc
from parley.chat.v1 import subject_pb2
from rich.table import Table

from parley_services.cli.connection import open_peers, run
from parley_services.cli.console import console

app = typer.Typer(name="keys", help="Manages API keys.", no_args_is_help=True)

T = TypeVar("T")

_TIMEOUT_SECONDS = 10.0
_PAGE = 100

KeyId = Annotated[str, typer.Argument(help="The key's id.")]


@app.command()
def create(
    tenant: Annotated[str, typer.Option(help="The tenant.")] = "default",
    user: Annotated[str, typer.Option(help="The default user of its turns.")] = "",
    team: Annotated[str, typer.Option(help="The team.")] = "",
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    scope: Annotated[list[str] | None, typer.Option(help="chat, read or admin.")] = None,
    for_users: Annotated[bool, typer.Option(help="May name other users.")] = False,
    days: Annotated[int, typer.Option(min=0, help="Days it lives; 0: for ever.")] = 0,
) -> None:
    """Make a key. Its secret is shown this once."""
    try:
        scopes = [pb.KeyScope.Value(f"KEY_SCOPE_{each.upper()}") for each in scope or ["chat"]]
    except ValueError:
        raise typer.BadParameter("A scope is chat, read or admin.") from None
    request = pb.CreateKeyRequest(
        subject=subject_pb2.Subject(tenant_id=tenant, team_id=team, user_id=user),
        scopes=scopes,
        impersonation_allowed=for_users,
        display_name=name,
        ttl=Duration(seconds=days * 86_400) if days else None,
    )
    made = call_accounting(lambda stub: stub.CreateKey(request, timeout=_TIMEOUT_SECONDS))
    console.print(f"{made.key.key_id}\n{made.secret}")


@app.command(name="list")
def list_keys(tenant: Annotated[str, typer.Option(help="The tenant.")] = "default") -> None:
    """List a tenant's newest keys, without their secrets."""
    request = pb.ListKeysRequest(tenant_id=tenant, page_size=_PAGE)
    found = call_accounting(lambda stub: stub.ListKeys(request, timeout=_TIMEOUT_SECONDS))
    table = Table("id", "begins with", "for", "user", "made", "state")
    for key in found.keys:
        state = "revoked" if key.HasField("revoke_time") else "good"
        made = f"{key.create_time.ToDatetime():%Y-%m-%d %H:%M}"
        table.add_row(key.key_id, key.prefix, key.display_name, key.subject.user_id, made, state)
    console.print(table)


@app.command()
def rotate(
    key_id: KeyId,
    grace_hours: Annotated[
        float, typer.Option(min=0, max=720, help="How long the old secret works on.")
    ] = 24.0,
) -> None:
    """Make a new secret for a key. It is shown this once."""
    grace = Duration(seconds=int(grace_hours * 3600))
    request = pb.RotateKeyRequest(key_id=key_id, grace=grace)
    console.print(
        call_accounting(lambda stub: stub.RotateKey(request, timeout=_TIMEOUT_SECONDS)).secret
    )


@app.command()
def revoke(key_id: KeyId) -> None:
    """End a key at once."""
    request = pb.RevokeKeyRequest(key_id=key_id)
    call_accounting(lambda stub: stub.RevokeKey(request, timeout=_TIMEOUT_SECONDS))
    console.print(f"{key_id} is revoked.")


def call_accounting(
    method: Callable[["pb_grpc.AccountingServiceAsyncStub"], Awaitable[T]],
) -> T:
    """Return accounting's answer. A refusal is printed, and ends the command with 1."""

    async def call() -> T:
        async with open_peers() as peers:
            stub: pb_grpc.AccountingServiceAsyncStub = pb_grpc.AccountingServiceStub(
                peers.channel("accounting")
            )
            return await method(stub)

    return run(call())
