"""One answer of a model as it comes in, and what its attempts used."""

from services.kit.prices import TokenUsage
from services.kit.tokens import count_tokens
from services.orchestrator.events import Switched
from services.orchestrator.flight import Generated
from services.orchestrator.guarding import ScanEnded
from services.orchestrator.lease import Lease
from services.orchestrator.routing import AnswerEnded, RouteSwitched
from services.orchestrator.values import (
    Attempt,
    AttemptKind,
    AttemptOutcome,
    Finding,
    FinishReason,
    FormatOutcome,
)


class Answer:
    """Collects an answer. Its attempts go to the lease, each exactly once."""

    def __init__(self, lease: Lease, *, input_token_count: int) -> None:
        self._lease = lease
        self._input_token_count = input_token_count
        self._pieces: list[str] = []
        self._character_count = 0
        self._attempt_start = 0
        self._open: tuple[str, str] | None = None
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

    async def is_covered(self) -> bool:
        """Say whether the budget covers the answer so far."""
        return await self._lease.covers(self._character_count, self._model)

    def attempt_began(self, provider: str, model: str) -> None:
        """Note that a provider is being called."""
        self._provider, self._model = provider, model
        self._open = (provider, model)
        self._attempt_start = len(self._pieces)

    def attempt_ended(self, attempt: Attempt) -> None:
        """Note what a call to a provider used."""
        self._open = None
        self._attempt_start = len(self._pieces)
        self._lease.add(attempt)

    def all_attempts_told(self) -> None:
        """Note that the router has reported every call that it made."""
        self._open = None

    def switched(self, event: RouteSwitched) -> None:
        """Note that another route goes on."""
        self.attempt_began(event.to_provider, event.to_model)
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
            self._character_count = self._attempt_start = 0
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
        Note the attempt that is still open: it was cancelled or lost.

        The provider's figures never came, so its usage is our own count, marked estimated.
        """
        if self._open is None:
            return
        provider, model = self._open
        written = "".join(self._pieces[self._attempt_start :])
        self.attempt_ended(
            Attempt(
                number=len(self._lease.attempts) + 1,
                provider=provider,
                model=model,
                kind=AttemptKind.PRIMARY,
                outcome=AttemptOutcome.CANCELLED,
                usage=TokenUsage(
                    input_token_count=self._input_token_count,
                    output_token_count=count_tokens(written, model),
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
            attempts=tuple(self._lease.attempts),
            cacheable_text=self._cacheable_text,
            findings=self._findings,
            format_outcome=format_outcome,
        )
