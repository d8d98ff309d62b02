"""What happened in a turn so far: time per stage, findings, parts that were unavailable."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from parley_services.kit.chat.finding import Finding
from parley_services.kit.clock import Clock
from parley_services.orchestrator.events import Degraded, StageTiming, TurnStage


@dataclass(slots=True)
class _Span:
    stage: TurnStage
    start: float
    end: float | None = None


class Trace:
    """Collects what `completed` reports. One per turn, used by one task at a time."""

    def __init__(self, clock: Clock, request_id: str) -> None:
        self._clock = clock
        self.request_id = request_id
        self._start = clock.monotonic()
        self._spans: list[_Span] = []
        self._degradations: list[Degraded] = []
        self.findings: list[Finding] = []
        self.first_delta_seconds: float | None = None
        self._told = 0

    @property
    def timings(self) -> tuple[StageTiming, ...]:
        """The stages that ended, in the order of their start."""
        return tuple(
            StageTiming(stage=span.stage, seconds=span.end - span.start)
            for span in self._spans
            if span.end is not None
        )

    @property
    def degradations(self) -> tuple[Degraded, ...]:
        """The parts that were unavailable, each once."""
        return tuple(self._degradations)

    def elapsed(self) -> float:
        """Return the seconds since the turn began."""
        return self._clock.monotonic() - self._start

    @contextmanager
    def stage(self, stage: TurnStage) -> Iterator[None]:
        """Time a stage."""
        span = _Span(stage, self._clock.monotonic())
        self._spans.append(span)
        try:
            yield
        finally:
            span.end = self._clock.monotonic()

    def degrade(self, component: str, effect: str) -> None:
        """Note that *component* is unavailable; a second note about it changes nothing."""
        if all(each.component != component for each in self._degradations):
            self._degradations.append(Degraded(component=component, effect=effect))

    def news(self) -> list[Degraded]:
        """Return the parts that were found unavailable since the last call."""
        told, self._told = self._told, len(self._degradations)
        return self._degradations[told:]

    def delta_sent(self) -> None:
        """Note the first delta."""
        if self.first_delta_seconds is None:
            self.first_delta_seconds = self.elapsed()
