"""`parley chat`: one turn in the terminal, through the Python client."""

import asyncio
from typing import Annotated

import typer
from parley.chat.v1 import answer_pb2, finding_pb2
from parley.orchestrator.v1 import orchestrator_service_pb2 as pb
from parley_client import ChatStream, Parley, ParleyError

from parley_services.cli.connection import CliSettings
from parley_services.cli.console import console, dollars, error_console, styled
from parley_services.cli.enums import short_name

Text = Annotated[str, typer.Argument(help="What to ask.")]
Address = Annotated[str, typer.Option(help="Where the orchestrator is; else PARLEY_CLI_ADDRESS.")]
User = Annotated[str, typer.Option(help="On whose behalf, if the key may.")]
Template = Annotated[str, typer.Option(help="The prompt template.")]
Model = Annotated[str, typer.Option(help="A model, a group or `auto`.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Neither reuse nor keep an answer.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for the whole answer.")]


def chat(
    text: Text,
    address: Address = "",
    user: User = "",
    template: Template = "",
    model: Model = "",
    no_cache: NoCache = False,
    timeout: Timeout = 30.0,
) -> None:
    """Ask once and stream the answer."""
    request = pb.ChatRequest(
        user_id=user,
        template=template,
        model=model,
        cache_mode=pb.CACHE_MODE_BYPASS if no_cache else pb.CACHE_MODE_UNSPECIFIED,
    )
    settings = CliSettings()
    try:
        asyncio.run(_chat(text, request, address or settings.address, settings.key(), timeout))
    except ParleyError as error:
        error_console.print(styled((error.code.name, "red"), f" {error}"), soft_wrap=True)
        if error.reason:
            error_console.print(error.reason, style="dim")
        raise typer.Exit(1) from None


async def _chat(
    text: str, request: pb.ChatRequest, address: str, key: str, timeout_seconds: float
) -> None:
    async with (
        Parley(address, api_key=key) as parley,
        parley.chat(text, request=request, timeout_seconds=timeout_seconds) as stream,
    ):
        async for event in stream.events():
            match event.WhichOneof("event"):
                case "delta":
                    console.out(event.delta.text, end="")
                case "intervention":
                    finding = event.intervention.finding
                    action = short_name(finding_pb2.GuardrailAction, finding.action)
                    error_console.print(f"{action}: {finding.rule_id}", style="yellow")
                case "switched":
                    switched = event.switched
                    if switched.restarts:
                        console.out("")
                    error_console.print(
                        f"{switched.from_model} -> {switched.to_model}: {switched.reason}",
                        style="yellow",
                    )
                case "degraded":
                    degraded = event.degraded
                    error_console.print(f"{degraded.component}: {degraded.effect}", style="yellow")
                case _:
                    pass
        console.out("")
        _print_summary(stream)


def _print_summary(stream: ChatStream) -> None:
    completed = stream.completed
    if completed is None:
        return
    source = short_name(answer_pb2.AnswerSource, completed.source)
    parts = [
        source,
        completed.model,
        f"{completed.template} v{completed.template_version}",
        dollars(completed.cost_nano_usd),
        f"{completed.usage.input_token_count} + {completed.usage.output_token_count} tokens",
    ]
    if completed.saved_cost_nano_usd:
        parts.append(f"saved {dollars(completed.saved_cost_nano_usd)}")
    error_console.print(" · ".join(parts), style="dim")
