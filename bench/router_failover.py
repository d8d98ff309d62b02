"""
How many answers end well when streams break in the middle, and whether text repeats.

`python -m bench.router_failover` asks the simulated provider, which breaks 5 % of streams
at random places and fails 15 % of calls, for 2,000 answers through the whole router.
"""

import asyncio
from collections import Counter

from parley_services.kit.chat.message import Message, Role
from parley_services.model_router.app import open_model_router
from parley_services.model_router.generation import GenerationRequest
from parley_services.model_router.providers.provider import TextDelta
from parley_services.model_router.providers.simulated.answers import Script
from parley_services.model_router.router import Router
from parley_services.model_router.servicer import ModelRouterServicer
from parley_services.model_router.settings import ModelRouterSettings
from parley_services.model_router.stream.events import AttemptEnded, Completed, RouterEvent
from rich.console import Console
from rich.table import Table

CALLS = 2000
QUESTIONS = (
    "What is Parley?",
    "What is the capital of France?",
    "How does a large language model work?",
    "What does a circuit breaker do?",
    "Tell me about photosynthesis.",
)


class Registry:
    """Takes the place of a server, to get at the router behind the servicer."""

    router: Router

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Ignore the handlers."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, object]) -> None:
        """Keep the router of the servicer that *handlers* are bound to."""
        servicer = handlers["ListModels"].unary_unary.__self__  # type: ignore[attr-defined]
        assert isinstance(servicer, ModelRouterServicer)
        self.router = servicer._router


async def run(cut_rate: float, failure_rate: float) -> Counter[str]:
    """Return how the calls ended."""
    settings = ModelRouterSettings(
        simulate="always",
        simulated_cut_rate=cut_rate,
        simulated_failure_rate=failure_rate,
        simulated_first_token_seconds=0,
        simulated_token_seconds=0,
        first_pause_seconds=0,
        jitter_seconds=0,
        retry_share=1.0,
        retry_reserve=CALLS,
    )
    script, ended = Script.load(), Counter[str]()
    async with open_model_router(settings) as register:
        registry = Registry()
        register(registry)  # type: ignore[arg-type]
        for number in range(CALLS):
            request = GenerationRequest(
                request_id=f"r{number}",
                messages=(Message(role=Role.USER, text=QUESTIONS[number % len(QUESTIONS)]),),
            )
            events: list[RouterEvent] = []

            async def emit(event: RouterEvent, events: list[RouterEvent] = events) -> None:
                events.append(event)

            try:
                await registry.router.start(request, timeout_seconds=60).run(emit)
            except Exception as error:
                ended[type(error).__name__] += 1
            ended["attempts"] += sum(isinstance(each, AttemptEnded) for each in events)
            ended["cut"] += any(
                isinstance(each, AttemptEnded) and each.attempt.outcome == "cut" for each in events
            )
            if events and isinstance(events[-1], Completed):
                ended["completed"] += 1
                text = "".join(each.text for each in events if isinstance(each, TextDelta))
                ended["exactly the answer"] += text == script.answer(request)
    return ended


def main() -> None:
    """Print the table."""
    table = Table("cuts", "failures", "calls", "completed", "exactly the answer", "cut", "attempts")
    for cut_rate, failure_rate in ((0.0, 0.0), (0.05, 0.0), (0.05, 0.15), (0.3, 0.15)):
        ended = asyncio.run(run(cut_rate, failure_rate))
        table.add_row(
            f"{cut_rate:.0%}",
            f"{failure_rate:.0%}",
            str(CALLS),
            str(ended["completed"]),
            str(ended["exactly the answer"]),
            str(ended["cut"]),
            str(ended["attempts"]),
        )
    Console().print(table)


if __name__ == "__main__":
    main()
