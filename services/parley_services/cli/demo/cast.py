"""What every scene works with."""

from dataclasses import dataclass

from parley.chat.v1 import answer_pb2, finding_pb2
from parley.orchestrator.v1 import orchestrator_service_pb2 as pb
from parley_client import ChatStream, Parley
from rich.console import Console

from parley_services.cli.console import dollars
from parley_services.cli.enums import short_name
from parley_services.kit.rpc.peers import Peers


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """The terminal, a client as an application would use it, and the services behind."""

    console: Console
    parley: Parley
    peers: Peers

    async def ask(self, text: str, *, quiet: bool = False, **fields: object) -> ChatStream:
        """Ask, show the answer as it streams, and say what it took."""
        request = pb.ChatRequest(user_id="ada")
        request.MergeFrom(pb.ChatRequest(**fields))  # type: ignore[arg-type]
        if not quiet:
            self.console.print(f"> {text}", style="bold")
        async with self.parley.chat(text, request=request) as stream:
            async for event in stream.events():
                if not quiet:
                    self._show(event)
        if not quiet:
            self.console.print()
            self.console.print(f"  {summary_of(stream)}", style="dim", soft_wrap=True)
        return stream

    def _show(self, event: pb.ChatResponse) -> None:
        match event.WhichOneof("event"):
            case "delta":
                self.console.print(event.delta.text, end="", style="green", soft_wrap=True)
            case "intervention":
                finding = event.intervention.finding
                action = short_name(finding_pb2.GuardrailAction, finding.action)
                self.console.print(f"  {action}: {finding.rule_id}", style="yellow")
            case "switched":
                switched = event.switched
                self.console.print(
                    f"  {switched.from_model} -> {switched.to_model} ({switched.reason})",
                    style="yellow",
                )
            case _:
                pass


def summary_of(stream: ChatStream) -> str:
    """Return where an answer came from, how fast, and for how much, in one line."""
    completed = stream.completed
    if completed is None:
        return "no answer"
    source = short_name(answer_pb2.AnswerSource, completed.source)
    first = completed.first_delta_latency.ToTimedelta().total_seconds() * 1e3
    parts = [
        source.replace("_", " "),
        completed.model,
        f"first word after {first:.1f} ms",
        dollars(completed.cost_nano_usd),
    ]
    if completed.saved_cost_nano_usd:
        parts.append(f"saved {dollars(completed.saved_cost_nano_usd)}")
    if 0 < completed.cache_similarity < 1:
        parts.append(f"similarity {completed.cache_similarity:.2f}")
    return " · ".join(parts)
