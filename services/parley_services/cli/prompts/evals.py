"""`parley evals`: how turns ended, compared by version, and as files."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb

from parley_services.cli.console import console
from parley_services.cli.prompts.registry import TIMEOUT_SECONDS, Stub, ask
from parley_services.kit.errors import InvalidArgument

if TYPE_CHECKING:
    from parley_services.prompt_registry.outcomes.outcome import Evaluation

app = typer.Typer(help="How turns ended, by version of their prompt.", no_args_is_help=True)

Template = Annotated[str, typer.Argument(help="The template.")]
OfTemplate = Annotated[str, typer.Option(help="Only of this template.")]
Tenant = Annotated[str, typer.Option(help="Only of this tenant.")]
Since = Annotated[str, typer.Option(help="Only turns that ended since: 30m, 24h, 7d, or a time.")]
Until = Annotated[str, typer.Option(help="Only turns that ended before: 30m, 24h, 7d, or a time.")]

_AGO = re.compile(r"(\d{1,6})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@app.command()
def report(
    template: Template,
    tenant: Tenant = "",
    since: Since = "",
    until: Until = "",
    png: Annotated[
        Path | None, typer.Option(help="Also draw it into this PNG; needs the extra `plots`.")
    ] = None,
) -> None:
    """
    Compare the versions and arms of a template, with intervals of 95 %.

    A star marks what differs from the first line for sure: the intervals do not overlap.
    """
    from parley_services.cli.prompts.eval_report import draw, report_table
    from parley_services.prompt_registry.outcomes.eval_report import EvalReport

    async def work(stub: Stub) -> None:
        found = EvalReport()
        request = _request(template, tenant, since, until)
        async for each in _evaluations(stub, request):
            found.add(each)
        lines = found.lines()
        if not lines:
            console.print("No turns.")
            return
        console.print(report_table(lines))
        if png is not None:
            draw(lines, png, title=template)
            console.print(f"Drawn into {png}")

    ask(work)


@app.command()
def export(
    path: Annotated[Path, typer.Argument(help="The file, .jsonl or .parquet (extra `parquet`).")],
    template: OfTemplate = "",
    tenant: Tenant = "",
    since: Since = "",
    until: Until = "",
    texts: Annotated[
        bool, typer.Option("--texts", help="With what people wrote, where it is kept.")
    ] = False,
) -> None:
    """Write one row a turn into a file, oldest first."""
    from parley_services.prompt_registry.outcomes.eval_export import writing

    async def work(stub: Stub) -> None:
        count = 0
        request = _request(template, tenant, since, until, texts=texts)
        with writing(path, texts=texts) as sink:
            async for each in _evaluations(stub, request):
                sink.write(each)
                count += 1
        console.print(f"{count} turns")

    ask(work)


async def _evaluations(
    stub: Stub, request: pb.ListEvaluationsRequest
) -> "AsyncIterator[Evaluation]":
    from parley_services.prompt_registry import from_proto

    while True:
        page = await stub.ListEvaluations(request, timeout=TIMEOUT_SECONDS)
        for each in page.evaluations:
            yield from_proto.evaluation(each)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _request(
    template: str, tenant: str, since: str, until: str, *, texts: bool = False
) -> pb.ListEvaluationsRequest:
    request = pb.ListEvaluationsRequest(
        template=template, tenant_id=tenant, page_size=1_000, include_texts=texts
    )
    if since:
        request.start_time.FromDatetime(moment("since", since, now=datetime.now(UTC)))
    if until:
        request.end_time.FromDatetime(moment("until", until, now=datetime.now(UTC)))
    return request


def moment(name: str, text: str, *, now: datetime) -> datetime:
    """Return the time of `30m`, `24h`, `7d` before *now*, or of a time of ISO 8601, in UTC."""
    ago = _AGO.fullmatch(text)
    if ago:
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidArgument.field(
            f"--{name}", "Use 30m, 24h, 7d, or a time as 2026-01-31T12:00."
        ) from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
