"""What a turn calls outside of itself: the whole seam, on one page."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from parley_services.orchestrator.values.accounting import (
    Principal,
    Reservation,
    ReservationRequest,
)
from parley_services.orchestrator.values.cache import Found, GivenHit, Partition
from parley_services.orchestrator.values.guardrails import (
    InputText,
    InputVerdict,
    OutputContext,
    ScanResult,
)
from parley_services.orchestrator.values.prompts import Prompt, PromptRequest
from parley_services.orchestrator.values.records import PendingTurn, Record
from parley_services.orchestrator.values.router import ModelCall, RouterEvent


class Accounting(Protocol):
    """Accounting, as a turn sees it."""

    async def authenticate(self, secret_sha256: bytes, *, timeout_seconds: float) -> Principal:
        """Say whose key it is. Raises KeyInvalid, DependencyUnavailable, DeadlineExceeded."""
        ...

    async def reserve(self, request: ReservationRequest, *, timeout_seconds: float) -> Reservation:
        """
        Set aside what a turn may cost.

        Raises RateLimited, BudgetExhausted, ConcurrencyLimited, PriceUnknown,
        DependencyUnavailable, DeadlineExceeded.
        """
        ...

    async def extend(
        self,
        *,
        request_id: str,
        reservation_id: str,
        step: int,
        output_token_count: int,
        model: str,
        timeout_seconds: float,
    ) -> int:
        """
        Set more aside and return how many output tokens are covered now.

        Raises BudgetExhausted, DependencyUnavailable, DeadlineExceeded.
        """
        ...


class OutputScan(Protocol):
    """A scan under way. `send` and `end` may run beside the iteration."""

    async def send(self, text: str) -> None:
        """Hand over the next piece of the answer. Does nothing after the scan ended."""
        ...

    async def end(self) -> None:
        """Say that the answer is over. Does nothing after the scan ended."""
        ...

    def results(self) -> AsyncIterator[ScanResult]:
        """Yield what the scan finds; ScanEnded is last."""
        ...


class Guardrails(Protocol):
    """The guardrails, as a turn sees them."""

    async def check_input(
        self,
        texts: Sequence[InputText],
        *,
        request_id: str,
        tenant_id: str,
        template: str,
        timeout_seconds: float,
    ) -> InputVerdict:
        """Judge *texts*. Raises DependencyUnavailable or DeadlineExceeded."""
        ...

    def scan_output(
        self, context: OutputContext, *, timeout_seconds: float
    ) -> AbstractAsyncContextManager[OutputScan]:
        """Open a scan. Leaving the context ends it, whatever its state."""
        ...


class Prompts(Protocol):
    """The prompt registry, as a turn sees it."""

    async def render(self, request: PromptRequest, *, timeout_seconds: float) -> Prompt:
        """
        Pick the version and render it.

        Raises NotFound, InvalidArgument, DependencyUnavailable, DeadlineExceeded.
        """
        ...

    async def rate(
        self,
        *,
        request_id: str,
        tenant_id: str,
        stars: int,
        comment: str,
        timeout_seconds: float,
    ) -> None:
        """Record a rating. Raises NotFound, InvalidArgument, DependencyUnavailable."""
        ...


class PromptSnapshot(Protocol):
    """The last snapshot of all templates, kept in this process."""

    def render(self, request: PromptRequest) -> Prompt:
        """Render as the registry would. Raises DependencyUnavailable without a snapshot."""
        ...


class Cache(Protocol):
    """The semantic cache, as a turn sees it."""

    async def lookup(
        self,
        partition: Partition,
        text: str,
        *,
        request_id: str,
        is_fallback: bool,
        lock_seconds: float,
        timeout_seconds: float,
    ) -> Found:
        """
        Look for an answer; on a miss take its generation lock for *lock_seconds*, if above 0.

        Raises DependencyUnavailable or DeadlineExceeded.
        """
        ...

    async def report_hit(self, hit: GivenHit, *, correct: bool, timeout_seconds: float) -> None:
        """Say whether a hit was right. Raises NotFound, DependencyUnavailable."""
        ...

    async def release(self, tenant_id: str, lock_id: str, *, timeout_seconds: float) -> None:
        """Release a generation lock. Raises DependencyUnavailable."""
        ...


class Router(Protocol):
    """The model router, as a turn sees it."""

    def generate(
        self, call: ModelCall, *, timeout_seconds: float
    ) -> AsyncGenerator[RouterEvent, None]:
        """
        Stream an answer; AnswerEnded is last.

        Raises NotFound for an unknown model, ProviderUnavailable if no route answered,
        DependencyUnavailable if the router is unavailable, DeadlineExceeded. Closing the generator
        cancels the call.
        """
        ...


class ModelCatalogue(Protocol):
    """What can be asked for, as the model router last said."""

    def price_name(self, name: str) -> str:
        """
        Return the model that stands for *name* when a turn is priced before it is routed.

        For a group that is its first model. A name that is not known is returned as it is while
        the router was never reached. Raises NotFound otherwise.
        """
        ...


class PostTurnWriter(Protocol):
    """Takes what must be written and sees that it is, also after a crash."""

    def begin(self, turn: PendingTurn) -> int:
        """
        Note that a turn begins, and return the number of the note.

        If this process dies before the turn is settled, its next run ends the reservation.
        Raises Overloaded if so much is unwritten that no new turn may begin.
        """
        ...

    def forget(self, outbox_id: int) -> None:
        """Drop the note of a turn for which nothing was set aside."""
        ...

    def put(self, record: Record, *, outbox_id: int = 0) -> None:
        """
        Take *record*; a settlement takes the place of the note of its turn.

        Never blocks and never raises for want of a peer.
        """
        ...
