"""
What hedging does to the slowest first tokens, and what it costs.

`python -m bench.router_hedging` asks the simulated provider, whose answers begin after about
0.25 s and a few percent of them 3 s later, for 2,000 answers through the whole router. Time is
virtual: it passes only when everybody waits for it, so that the times are exact and the run is
short.
"""

import asyncio
from collections.abc import Sequence

from parley_services.kit.chat.attempt import AttemptKind
from parley_services.kit.chat.message import Message, Role
from parley_services.model_router.app import open_model_router
from parley_services.model_router.generation import GenerationRequest
from parley_services.model_router.providers.provider import TextDelta
from parley_services.model_router.settings import ModelRouterSettings
from parley_services.model_router.stream.events import AttemptEnded, Emit, RouterEvent
from rich.console import Console
from rich.table import Table

from bench.router_failover import QUESTIONS, Registry
from tests.support.virtual_time import VirtualTime

CALLS = 2000
SLOW_SECONDS = 3.0


class Run:
    """What came of all calls."""

    def __init__(self) -> None:
        self.first_tokens: list[float] = []
        self.hedges = 0
        self.cost_nano_usd = 0

    def emit(self, time: VirtualTime, started: float) -> Emit:
        """Return what notes the events of one call."""
        begun = False

        async def note(event: RouterEvent) -> None:
            nonlocal begun
            if isinstance(event, TextDelta) and not begun:
                begun = True
                self.first_tokens.append(time.monotonic() - started)
            if isinstance(event, AttemptEnded):
                self.hedges += event.attempt.kind is AttemptKind.HEDGE
                self.cost_nano_usd += event.attempt.cost_nano_usd

        return note


async def run(slow_rate: float, *, hedging: bool) -> Run:
    """Return what 2,000 calls came to."""
    settings = ModelRouterSettings(
        simulate="always",
        simulated_slow_rate=slow_rate,
        simulated_slow_seconds=SLOW_SECONDS,
        simulated_token_seconds=0,
        hedging=hedging,
    )
    time, result, registry = VirtualTime(), Run(), Registry()
    async with open_model_router(settings, clock=time, sleep=time.sleep) as register:
        register(registry)  # type: ignore[arg-type]
        for number in range(CALLS):
            request = GenerationRequest(
                request_id=f"r{number}",
                messages=(Message(role=Role.USER, text=QUESTIONS[number % len(QUESTIONS)]),),
            )
            call = registry.router.start(request, timeout_seconds=60)
            await time.run(call.run(result.emit(time, time.monotonic())))
    return result


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that *share* of *values* do not exceed."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def main() -> None:
    """Print the table."""
    table = Table("slow", "hedging", "p50 s", "p95 s", "p99 s", "p99.9 s", "hedges", "cost")
    for slow_rate in (0.01, 0.03, 0.1):
        plain = asyncio.run(run(slow_rate, hedging=False))
        hedged = asyncio.run(run(slow_rate, hedging=True))
        for name, each in (("off", plain), ("on", hedged)):
            table.add_row(
                f"{slow_rate:.0%}",
                name,
                *(f"{quantile(each.first_tokens, q):.2f}" for q in (0.5, 0.95, 0.99, 0.999)),
                f"{each.hedges / CALLS:.1%}",
                f"{each.cost_nano_usd / plain.cost_nano_usd - 1:+.1%}",
            )
    Console().print(table)


if __name__ == "__main__":
    main()
