"""`parley costs export`: the ledger of a tenant as CSV or Parquet."""

import csv
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Protocol

import orjson
import typer
from parley.accounting.v1 import accounting_service_pb2 as pb
from parley.accounting.v1 import accounting_service_pb2_grpc as pb_grpc
from parley.chat.v1 import attempt_pb2

from parley_services.cli.console import console
from parley_services.cli.costs.keys import call_accounting
from parley_services.cli.enums import short_name
from parley_services.kit.errors import InvalidArgument, ServiceError
from parley_services.kit.storage.parquet import Load, parquet_writer

Row = Mapping[str, Any]

_PAGE = 1000
_TIMEOUT_SECONDS = 30.0

COLUMNS: Mapping[str, str] = {
    "sequence": "integer",
    "create_time": "time",
    "tenant_id": "text",
    "request_id": "text",
    "attempt_number": "integer",
    "account": "text",
    "is_correction": "boolean",
    "team_id": "text",
    "user_id": "text",
    "key_id": "text",
    "provider": "text",
    "model": "text",
    "kind": "text",
    "input_token_count": "integer",
    "cached_input_token_count": "integer",
    "cache_write_token_count": "integer",
    "output_token_count": "integer",
    "reasoning_token_count": "integer",
    "estimated": "boolean",
    "cost_nano_usd": "integer",
    "saved_cost_nano_usd": "integer",
    "price_version": "text",
    "template": "text",
    "template_version": "integer",
    "tags": "text",
    "row_hash": "text",
}
"""The columns and their kinds, in their order. Tags are a JSON object, hashes hexadecimal."""


def export(
    path: Annotated[Path, typer.Argument(help="The file to write: .csv or .parquet.")],
    tenant: Annotated[str, typer.Option(help="The tenant.")] = "default",
    since: Annotated[datetime | None, typer.Option(help="Booked at or after it, in UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Booked before it, in UTC.")] = None,
) -> None:
    """Write a tenant's ledger to a file, one row an entry."""
    request = pb.ListEntriesRequest(tenant_id=tenant, page_size=_PAGE)
    if since is not None:
        request.start_time.FromDatetime(since.replace(tzinfo=UTC))
    if until is not None:
        request.end_time.FromDatetime(until.replace(tzinfo=UTC))
    try:
        with writing(path) as sink:
            count = call_accounting(lambda stub: _copy(stub, request, sink))
    except ServiceError as refusal:
        raise typer.BadParameter(refusal.message) from None
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be written: {error.strerror}.") from None
    console.print(f"{count:,} entries are in {path}.", soft_wrap=True)


class Sink(Protocol):
    """Takes rows."""

    def write(self, rows: Sequence[Row]) -> None:
        """Write *rows*, each with all columns."""
        ...


@contextmanager
def writing(path: Path, *, load: Load = importlib.import_module) -> Iterator[Sink]:
    """
    Yield what takes rows into *path*, by its suffix `.csv` or `.parquet`.

    The file is there, in place of any before, only once all went well. Raises InvalidArgument
    for another suffix, StateForbids if Parquet is asked for without the extra, OSError if the
    file cannot be written. *load* imports a module by its name.
    """
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        match path.suffix:
            case ".csv":
                with unfinished.open("w", newline="") as file:
                    writer = csv.DictWriter(file, COLUMNS)
                    writer.writeheader()
                    yield _Csv(writer)
            case ".parquet":
                with parquet_writer(unfinished, COLUMNS, instead="name a .csv", load=load) as write:
                    yield _Parquet(write)
            case _:
                raise InvalidArgument.field("path", "must end in .csv or .parquet")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


class _Csv:
    def __init__(self, writer: "csv.DictWriter[str]") -> None:
        self._writer = writer

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._writer.writerow({**row, "create_time": row["create_time"].isoformat()})


class _Parquet:
    def __init__(self, write: Callable[[Sequence[Row]], None]) -> None:
        self._write = write

    def write(self, rows: Sequence[Row]) -> None:
        self._write(rows)


async def _copy(
    stub: "pb_grpc.AccountingServiceAsyncStub", request: pb.ListEntriesRequest, sink: Sink
) -> int:
    """Copy the entries, a page at a time; return how many there were."""
    count = 0
    while True:
        page = await stub.ListEntries(request, timeout=_TIMEOUT_SECONDS)
        if page.entries:
            sink.write([row_of(entry) for entry in page.entries])
        count += len(page.entries)
        if not page.next_page_token:
            return count
        request.page_token = page.next_page_token


def row_of(entry: pb.LedgerEntry) -> Row:
    """Return the row of *entry*."""
    subject, usage = entry.subject, entry.usage
    kind = short_name(attempt_pb2.AttemptKind, entry.kind)
    return {
        "sequence": entry.sequence,
        "create_time": entry.create_time.ToDatetime(UTC),
        "tenant_id": entry.tenant_id,
        "request_id": entry.request_id,
        "attempt_number": entry.attempt_number,
        "account": short_name(pb.LedgerAccount, entry.account),
        "is_correction": entry.correction,
        "team_id": subject.team_id,
        "user_id": subject.user_id,
        "key_id": subject.key_id,
        "provider": entry.provider,
        "model": entry.model,
        "kind": kind,
        "input_token_count": usage.input_token_count,
        "cached_input_token_count": usage.cached_input_token_count,
        "cache_write_token_count": usage.cache_write_token_count,
        "output_token_count": usage.output_token_count,
        "reasoning_token_count": usage.reasoning_token_count,
        "estimated": usage.estimated,
        "cost_nano_usd": entry.cost_nano_usd,
        "saved_cost_nano_usd": entry.saved_cost_nano_usd,
        "price_version": entry.price_version,
        "template": entry.template,
        "template_version": entry.template_version,
        "tags": orjson.dumps(dict(entry.tags), option=orjson.OPT_SORT_KEYS).decode(),
        "row_hash": entry.row_hash.hex(),
    }
