"""What happened in a turn so far: time per stage, findings, parts that were away."""

from collections.abc import Iterator
from contextlib import contextmanager

from parley_services.kit.chat.finding import Finding
from parley_services.kit.clock import Clock
from parley_services.orchestrator.events import Degraded, StageTiming


class Trace:
    """Collects what `completed` reports. One per turn, used by one task at a time."""

    def __init__(self, clock: Clock, request_id: str) -> None:
        self._clock = clock
        self.request_id = request_id
        self._start = clock.monotonic()
        self._timings: list[StageTiming] = []
        self._degradations: list[Degraded] = []
        self.findings: list[Finding] = []
        self.first_delta_seconds: float | None = None
        self._told = 0

    @property
    def timings(self) -> tuple[StageTiming, ...]:
        """The stages that ended, in the order of their end."""
        return tuple(self._timings)

    @property
    def degradations(self) -> tuple[Degraded, ...]:
        """The parts that were away, each once."""
        return tuple(self._degradations)

    def elapsed(self) -> float:
        """Return the seconds since the turn began."""
        return self._clock.monotonic() - self._start

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage."""
        start = self._clock.monotonic()
        try:
            yield
        finally:
            self._timings.append(StageTiming(stage=name, seconds=self._clock.monotonic() - start))

    def degrade(self, component: str, effect: str) -> None:
        """Note that *component* is away; a second note about it changes nothing."""
        if all(each.component != component for each in self._degradations):
            self._degradations.append(Degraded(component=component, effect=effect))

    def news(self) -> list[Degraded]:
        """Return the parts that were found away since the last call."""
        told, self._told = self._told, len(self._degradations)
        return self._degradations[told:]

    def delta_sent(self) -> None:
        """Note the first delta."""
        if self.first_delta_seconds is None:
            self.first_delta_seconds = self.elapsed()
