"""The command `parley`."""

import sys

import grpc
import typer

from parley_services.cli import cache, chat, demo, guardrails, models
from parley_services.cli.console import print_refusal
from parley_services.cli.costs import costs, keys, ledger
from parley_services.cli.process import health, serve, settings, up
from parley_services.cli.prompts import evals, experiments, prompts

app = typer.Typer(
    name="parley",
    help="Serves LLM chat in production: guardrails, cache, prompts, routing, accounting.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(serve.serve)
app.command()(up.up)
app.command()(demo.demo)
app.command()(chat.chat)
app.command()(health.health)
app.command()(settings.settings)
app.add_typer(cache.app, name="cache")
app.add_typer(costs.app, name="costs")
app.add_typer(evals.app, name="evals")
app.add_typer(experiments.app, name="experiments")
app.add_typer(guardrails.app, name="guardrails")
app.add_typer(keys.app, name="keys")
app.add_typer(ledger.app, name="ledger")
app.add_typer(models.app, name="models")
app.add_typer(prompts.app, name="prompts")


def run() -> None:
    """Run the command; a call that a service refuses is one line, not a traceback."""
    try:
        app()
    except grpc.aio.AioRpcError as error:
        print_refusal(error)
        sys.exit(1)


if __name__ == "__main__":
    run()
