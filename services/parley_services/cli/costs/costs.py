"""`parley costs`: what was spent, by whom, and what a month will cost."""

import csv
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from parley.accounting.v1 import accounting_service_pb2 as pb
from rich.table import Table

from parley_services.cli.console import console, dollars
from parley_services.cli.costs import costs_export
from parley_services.cli.costs.keys import call_accounting
from parley_services.cli.enums import short_name

app = typer.Typer(name="costs", help="Shows what was spent.", no_args_is_help=True)
app.command()(costs_export.export)

_BAR_CHARACTERS = 30
_TIMEOUT_SECONDS = 10.0

By = Annotated[
    str, typer.Option(help="user, model, template, team, key, tenant, hour, day, or tag:NAME.")
]
Tenant = Annotated[str, typer.Option(help="Only this tenant.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="At most this many groups.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV, amounts in nano-dollars.")]


Since = Annotated[datetime | None, typer.Option(help="Turns that ended at or after it, in UTC.")]
Until = Annotated[datetime | None, typer.Option(help="Turns that ended before it, in UTC.")]


@app.command()
def summary(
    by: By = "user",
    tenant: Tenant = "",
    since: Since = None,
    until: Until = None,
    limit: Limit = 20,
    as_csv: AsCsv = False,
) -> None:
    """Show spending by group, the dearest first; hours and days in their order."""
    kind, _, tag = by.partition(":")
    try:
        grouping = pb.CostGrouping.Value(f"COST_GROUPING_{kind.upper()}")
    except ValueError:
        raise typer.BadParameter(f"There is no grouping {kind!r}.") from None
    request = pb.GetCostSummaryRequest(
        tenant_id=tenant, grouping=grouping, tag=tag, page_size=limit
    )
    if since is not None:
        request.start_time.FromDatetime(since.replace(tzinfo=UTC))
    if until is not None:
        request.end_time.FromDatetime(until.replace(tzinfo=UTC))
    response = call_accounting(lambda stub: stub.GetCostSummary(request, timeout=_TIMEOUT_SECONDS))
    if as_csv:
        _print_csv(response)
    else:
        _print_table(by, response)


@app.command()
def turn(
    request_id: Annotated[str, typer.Argument(help="The turn's request id.")],
    tenant: Annotated[str, typer.Option(help="Its tenant.")] = "default",
) -> None:
    """Show what one turn cost, entry by entry."""
    request = pb.GetTurnCostRequest(tenant_id=tenant, request_id=request_id)
    found = call_accounting(lambda stub: stub.GetTurnCost(request, timeout=_TIMEOUT_SECONDS))
    table = Table("attempt", "account", "provider", "model", "input", "output", "cost", "prices")
    for entry in found.entries:
        usage = entry.usage
        account = short_name(pb.LedgerAccount, entry.account)
        table.add_row(
            str(entry.attempt_number or "-"),
            f"{account}, correction" if entry.correction else account,
            entry.provider or "-",
            entry.model or "-",
            f"{usage.input_token_count:,}",
            f"{usage.output_token_count:,}" + (" estimated" if usage.estimated else ""),
            dollars(entry.cost_nano_usd),
            entry.price_version or "-",
        )
    console.print(table)
    console.print(f"In all {dollars(found.cost_nano_usd)}.")


@app.command()
def project(
    users: Annotated[int, typer.Option(help="Users a day.")],
    questions: Annotated[float, typer.Option(help="Questions of a user a day.")],
    input_tokens: Annotated[int, typer.Option(help="Input tokens of a question.")],
    output_tokens: Annotated[int, typer.Option(help="Output tokens of an answer.")],
    hit_rate: Annotated[float, typer.Option(help="Share that the cache answers, 0 to 1.")] = 0.0,
    model: Annotated[str, typer.Option(help="The model.")] = "",
    days: Annotated[int, typer.Option(help="Days of the month.")] = 30,
) -> None:
    """Project a month's cost."""
    request = pb.ProjectCostRequest(
        user_count=users,
        questions_per_user=questions,
        input_token_count=input_tokens,
        output_token_count=output_tokens,
        cache_hit_rate=hit_rate,
        model=model,
        day_count=days,
    )
    month = call_accounting(lambda stub: stub.ProjectCost(request, timeout=_TIMEOUT_SECONDS))
    console.print(f"{month.question_count:,} questions cost {dollars(month.cost_nano_usd)}.")
    console.print(f"Without the cache: {dollars(month.uncached_cost_nano_usd)}.")


def _print_table(by: str, response: pb.GetCostSummaryResponse) -> None:
    table = Table(by, "turns", "cache hits", "input", "output", "cost", "saved", "")
    for column in table.columns[1:7]:
        column.justify = "right"
    largest = max((group.cost_nano_usd for group in response.groups), default=0)
    for group in response.groups:
        table.add_row(*_cells(group, group.name or "-"), _bar(group.cost_nano_usd, largest))
    table.add_section()
    table.add_row(*_cells(response.total, "total"), "")
    console.print(table)


def _cells(group: pb.CostGroup, name: str) -> tuple[str, ...]:
    return (
        name,
        f"{group.request_count:,}",
        f"{group.cache_hit_count:,}",
        f"{group.usage.input_token_count:,}",
        f"{group.usage.output_token_count:,}",
        dollars(group.cost_nano_usd),
        dollars(group.saved_cost_nano_usd),
    )


def _bar(cost: int, largest: int) -> str:
    return "█" * max(1, cost * _BAR_CHARACTERS // largest) if cost > 0 else ""


def _print_csv(response: pb.GetCostSummaryResponse) -> None:
    writer = csv.writer(sys.stdout)
    fields = [
        field.name
        for field in pb.CostGroup.DESCRIPTOR.fields
        if field.message_type is None and field.name != "name"
    ]
    writer.writerow(["name", *fields, "input_token_count", "output_token_count"])
    for group in response.groups:
        usage = group.usage
        sums = [getattr(group, field) for field in fields]
        writer.writerow([group.name, *sums, usage.input_token_count, usage.output_token_count])
