"""`parley models`: what can be asked for, what it costs, and how it does."""

from datetime import UTC

import typer
from google.protobuf.duration_pb2 import Duration
from parley.model_router.v1 import model_router_service_pb2 as pb
from parley.model_router.v1 import model_router_service_pb2_grpc as pb_grpc
from rich.table import Table

from parley_services.cli.connection import open_peers, run
from parley_services.cli.console import console
from parley_services.cli.enums import short_name

app = typer.Typer(help="The models that can be asked for.")

_TIMEOUT_SECONDS = 10.0


@app.callback(invoke_without_command=True)
def models() -> None:
    """List the models with prices, limits, features and health, and their chains."""
    run(_show())


async def _show() -> None:
    async with open_peers() as peers:
        stub: pb_grpc.ModelRouterServiceAsyncStub = pb_grpc.ModelRouterServiceStub(
            peers.channel("model_router")
        )
        listed = await stub.ListModels(pb.ListModelsRequest(), timeout=_TIMEOUT_SECONDS)
    console.print(_table_of_models(listed))
    console.print(_table_of_groups(listed))
    for line in resting_keys(listed):
        console.print(line, style="yellow")


def resting_keys(listed: pb.ListModelsResponse) -> list[str]:
    """Return a line for each provider's key that rests: which, why, and until when."""
    return [
        f"{provider.name}: key {f'...{key.ending}' if key.ending else 'without a name'} rests "
        f"({key.rest_reason}), tried again at {key.retry_time.ToDatetime(UTC):%H:%M:%S} UTC"
        for provider in listed.providers
        for key in provider.keys
        if key.rest_reason
    ]


def _table_of_models(listed: pb.ListModelsResponse) -> Table:
    table = Table(caption="Prices are US dollars for 1,000,000 tokens.")
    for title in ("model", "provider"):
        table.add_column(title)
    for title in ("context", "input", "cached", "output"):
        table.add_column(title, justify="right")
    table.add_column("features")
    table.add_column("health")
    for title in ("first token p50", "p99", "errors", "calls"):
        table.add_column(title, justify="right")
    for model in listed.models:
        health = model.health
        table.add_row(
            model.name,
            model.provider,
            f"{model.context_token_count:,}" if model.context_token_count else "?",
            _price(model, model.price.rates.input_nano_usd_per_million),
            _price(model, model.price.rates.cached_input_nano_usd_per_million),
            _price(model, model.price.rates.output_nano_usd_per_million),
            " ".join(model.features),
            short_name(pb.BreakerState, health.breaker),
            _milliseconds(health.first_token_p50) if health.HasField("first_token_p50") else "",
            _milliseconds(health.first_token_p99) if health.HasField("first_token_p99") else "",
            f"{health.error_rate:.0%}",
            f"{health.in_flight_count}/{health.concurrency_limit}",
        )
    return table


def _table_of_groups(listed: pb.ListModelsResponse) -> Table:
    table = Table()
    table.add_column("group")
    table.add_column("models, first choice first")
    for group in listed.groups:
        table.add_row(group.name, " > ".join(group.models))
    return table


def _price(model: pb.Model, nano_usd: int) -> str:
    return f"{nano_usd / 1e9:.3f}" if model.HasField("price") else "?"


def _milliseconds(duration: Duration) -> str:
    return f"{duration.ToTimedelta().total_seconds() * 1000:.0f} ms"
