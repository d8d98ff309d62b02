"""One answer of a model as it comes in, and what its attempts used."""

from dataclasses import dataclass, replace

from parley_services.kit.chat.answer import FinishReason
from parley_services.kit.chat.attempt import Attempt, AttemptKind, AttemptOutcome
from parley_services.kit.chat.finding import Finding
from parley_services.kit.chat.usage import Usage
from parley_services.kit.models.tokens import count_tokens
from parley_services.orchestrator.events import FormatOutcome, Switched
from parley_services.orchestrator.finish.reservation_handle import AttemptRecorder
from parley_services.orchestrator.generate.shared_generation import Generated
from parley_services.orchestrator.values.guardrails import ScanEnded
from parley_services.orchestrator.values.router import AnswerEnded, RouteChosen, RouteSwitched


@dataclass(frozen=True, slots=True, kw_only=True)
class _OpenAttempt:
    """A call to a provider of which it is not known yet what it used."""

    provider: str
    model: str
    kind: AttemptKind
    first_piece: int
    """How many pieces of the answer there were before it."""
    first_thought: int
    """How many pieces of reasoning there were before it."""


class Answer:
    """Collects an answer. Its attempts go on the recorder, each exactly once."""

    def __init__(
        self, recorder: AttemptRecorder, *, kind: AttemptKind, input_token_count: int
    ) -> None:
        self._recorder = recorder
        self._kind = kind
        self._input_token_count = input_token_count
        self._pieces: list[str] = []
        self._thoughts: list[str] = []
        self._character_count = 0
        self._open: dict[int, _OpenAttempt] = {}
        self._writing = 0
        self._restart: Switched | None = None
        self._provider = ""
        self._model = ""
        self._cacheable_text = ""
        self._findings: tuple[Finding, ...] = ()
        self.finish_reason = FinishReason.UNSPECIFIED
        self.format_error = ""

    @property
    def text(self) -> str:
        """What the model wrote so far, unguarded."""
        return "".join(self._pieces)

    @property
    def restarts(self) -> bool:
        """Whether what was written so far must be dropped."""
        return self._restart is not None

    @property
    def is_stopped(self) -> bool:
        """Whether it ends before the model is done, by a guardrail or the budget."""
        return self.finish_reason in (FinishReason.CONTENT_FILTER, FinishReason.BUDGET)

    def wrote(self, text: str) -> None:
        """Note a piece of the answer."""
        self._pieces.append(text)
        self._character_count += len(text)

    def thought(self, text: str) -> None:
        """Note a piece of the model's reasoning."""
        self._thoughts.append(text)
        self._character_count += len(text)

    async def is_covered(self) -> bool:
        """Say whether the budget covers the answer so far."""
        return await self._recorder.covers(self._character_count, self._model)

    def attempt_began(self, route: RouteChosen) -> None:
        """Note that a provider is being called, or that it is the one that goes on."""
        kind = AttemptKind.HEDGE if route.is_hedge else self._kind
        self._began(route.attempt_number, route.provider, route.model, kind)

    def attempt_ended(self, attempt: Attempt) -> None:
        """Note what a call to a provider used."""
        self._open.pop(attempt.number, None)
        self._recorder.add(attempt)

    def all_attempts_told(self) -> None:
        """Note that the router has reported every call that it made."""
        self._open.clear()

    def switched(self, event: RouteSwitched) -> None:
        """Note that another route goes on."""
        self._began(event.attempt_number, event.to_provider, event.to_model, self._kind)
        if event.restarts:
            self._restart = Switched(
                from_model=event.from_model,
                to_model=event.to_model,
                reason=event.reason,
                restarts=True,
            )

    def take_restart(self) -> Switched | None:
        """Return the restart that is due, if any, and drop what was written before it."""
        restart, self._restart = self._restart, None
        if restart is not None:
            self._pieces.clear()
            self._character_count = 0
            self._open = {
                number: replace(attempt, first_piece=0) for number, attempt in self._open.items()
            }
        return restart

    def ended(self, event: AnswerEnded) -> None:
        """Note that the model is done."""
        self._provider, self._model = event.provider, event.model
        if not self.is_stopped:
            self.finish_reason = event.finish_reason

    def scan_ended(self, result: ScanEnded) -> None:
        """Note the guardrails' verdict, unless the text is dropped anyway."""
        if self.restarts:
            return
        self._cacheable_text = result.cacheable_text
        self._findings = result.findings
        self.format_error = result.format_error
        if result.blocked:
            self.finish_reason = FinishReason.CONTENT_FILTER

    def close(self) -> None:
        """
        Note the attempts that are still open: they were cancelled or lost.

        The provider's figures never came, so their usage is our own count, marked estimated.
        """
        for number, attempt in list(self._open.items()):
            # Of two that are open at once only one has written.
            written, thought = 0, 0
            if number == self._writing:
                model = attempt.model
                written = count_tokens("".join(self._pieces[attempt.first_piece :]), model)
                thought = count_tokens("".join(self._thoughts[attempt.first_thought :]), model)
            self.attempt_ended(
                Attempt(
                    number=number,
                    provider=attempt.provider,
                    model=attempt.model,
                    kind=attempt.kind,
                    outcome=AttemptOutcome.CANCELLED,
                    usage=Usage(
                        input_token_count=self._input_token_count,
                        output_token_count=written + thought,
                        reasoning_token_count=thought,
                        estimated=True,
                    ),
                )
            )

    def generated(self, format_outcome: FormatOutcome) -> Generated:
        """Return how the generation ended."""
        return Generated(
            finish_reason=self.finish_reason,
            provider=self._provider,
            model=self._model,
            attempts=tuple(self._recorder.attempts),
            cacheable_text=self._cacheable_text,
            findings=self._findings,
            format_outcome=format_outcome,
        )

    def _began(self, number: int, provider: str, model: str, kind: AttemptKind) -> None:
        self._provider, self._model, self._writing = provider, model, number
        if number not in self._open:
            self._open[number] = _OpenAttempt(
                provider=provider,
                model=model,
                kind=kind,
                first_piece=len(self._pieces),
                first_thought=len(self._thoughts),
            )
