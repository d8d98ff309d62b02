"""`parley cache`: what the semantic cache did, would do, and should forget."""

from collections.abc import Callable
from typing import Annotated, Any

import typer
from parley.semantic_cache.v1 import semantic_cache_service_pb2 as pb
from parley.semantic_cache.v1 import semantic_cache_service_pb2_grpc as pb_grpc
from rich.table import Table

from parley_services.cli.connection import open_peers, run
from parley_services.cli.console import console, dollars

_TIMEOUT_SECONDS = 10.0

_PAGE_SIZE = 200
"""The cache counts the entries of no more templates at once."""

app = typer.Typer(help="Look into the semantic cache.", no_args_is_help=True)

Tenant = Annotated[str, typer.Option(help="The tenant.")]


@app.command()
def stats(tenant: Annotated[str, typer.Option(help="Only this tenant.")] = "") -> None:
    """Show hits, misses, refusals and savings of all replicas and all time, and entries now."""
    response = _ask(lambda stub: _all_stats(stub, tenant))
    table = Table(
        "tenant",
        "template",
        "entries",
        "lookups",
        "exact",
        "semantic",
        "fallback",
        "saved",
        "false hits",
    )
    for each in response.partitions:
        table.add_row(
            each.tenant_id,
            each.template,
            str(each.entry_count),
            str(each.lookup_count),
            _with_share(each.exact_hit_count, each.lookup_count),
            _with_share(each.semantic_hit_count, each.lookup_count),
            _with_share(each.fallback_hit_count, each.lookup_count),
            dollars(each.saved_cost_nano_usd),
            _false_hits(each),
        )
    console.print(table)
    for title, counts in (
        ("Misses", [each.miss_reason_counts for each in response.partitions]),
        ("Candidates refused", [each.refusal_counts for each in response.partitions]),
        ("Answers not kept", [each.store_refusal_counts for each in response.partitions]),
    ):
        totals = {key: sum(each.get(key, 0) for each in counts) for each in counts for key in each}
        if totals:
            reasons = ", ".join(f"{key} {totals[key]}" for key in sorted(totals))
            console.print(f"{title}: {reasons}")
    console.print(f"{response.entry_count} entries, {response.byte_count / 2**20:.1f} MiB on disk")


@app.command()
def explain(
    text: Annotated[str, typer.Argument(help="The user's text.")],
    tenant: Tenant = "default",
) -> None:
    """
    Show the tenant's entries near a text, and why each would be given or not.

    The entries come from all templates. `partition:` names what else must be equal for one to
    be given, beside whatever the verifier says of the texts.
    """
    response = _ask(
        lambda stub: stub.ExplainLookup(
            pb.ExplainLookupRequest(
                partition=pb.Partition(tenant_id=tenant), text=text, any_partition=True
            ),
            timeout=_TIMEOUT_SECONDS,
        )
    )
    if not response.candidates:
        console.print("No entry of the tenant is near.")
        return
    table = Table("entry", "similarity", "probability", "refused because", "written for")
    for each in response.candidates:
        table.add_row(
            each.entry_id,
            f"{each.similarity:.3f}",
            f"{each.probability:.3f}",
            each.refusal or "-",
            each.original_text or "(hidden by policy)",
        )
    console.print(table)


@app.command()
def purge(
    tenant: Tenant,
    entry: Annotated[str, typer.Option(help="Only the entry of this id.")] = "",
    template: Annotated[str, typer.Option(help="Only entries of this template.")] = "",
    version: Annotated[int, typer.Option(help="Only entries of this template version.")] = 0,
    tag: Annotated[str, typer.Option(help="Only entries with this tag.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove entries; without a condition, all of the tenant."""
    narrowed = bool(entry or template or version or tag)
    if not narrowed and not yes:
        typer.confirm(f"Remove all entries of {tenant}?", abort=True)
    response = _ask(
        lambda stub: stub.PurgeEntries(
            pb.PurgeEntriesRequest(
                tenant_id=tenant,
                entry_id=entry,
                template=template,
                template_version=version,
                tag=tag,
            ),
            timeout=_TIMEOUT_SECONDS,
        )
    )
    console.print(f"Removed {response.removed_count} entries.")


async def _all_stats(
    stub: "pb_grpc.SemanticCacheServiceAsyncStub", tenant: str
) -> pb.GetStatsResponse:
    """Return the statistics with the templates of all pages."""
    request = pb.GetStatsRequest(tenant_id=tenant, page_size=_PAGE_SIZE)
    whole = await stub.GetStats(request, timeout=_TIMEOUT_SECONDS)
    while whole.next_page_token:
        request.page_token = whole.next_page_token
        page = await stub.GetStats(request, timeout=_TIMEOUT_SECONDS)
        whole.partitions.extend(page.partitions)
        whole.next_page_token = page.next_page_token
    return whole


def _ask(
    call: "Callable[[pb_grpc.SemanticCacheServiceAsyncStub], Any]",
) -> Any:
    async def ask() -> Any:
        async with open_peers() as peers:
            stub: pb_grpc.SemanticCacheServiceAsyncStub = pb_grpc.SemanticCacheServiceStub(
                peers.channel("semantic_cache")
            )
            return await call(stub)

    return run(ask())


def _with_share(count: int, total: int) -> str:
    return f"{count} ({count / total:.0%})" if total else str(count)


def _false_hits(each: pb.GetStatsResponse.PartitionStats) -> str:
    if not each.reported_right_count + each.reported_wrong_count:
        return "no reports"
    low, high = each.false_hit_rate_low, each.false_hit_rate_high
    return f"{each.false_hit_rate:.1%} ({low:.1%} to {high:.1%})"
