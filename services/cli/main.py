"""The command `parley`."""

import typer

from services.cli import (
    chat,
    demo,
    health,
    models,
    serve,
    settings,
    up,
)

app = typer.Typer(
    name="parley",
    help="Serves LLM chat in production: guardrails, cache, prompts, routing, accounting.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(serve.serve)
app.command()(up.up)
app.command()(chat.chat)
app.command()(demo.demo)
app.command()(health.health)
app.command()(settings.settings)
app.add_typer(models.app, name="models")

if __name__ == "__main__":
    app()
