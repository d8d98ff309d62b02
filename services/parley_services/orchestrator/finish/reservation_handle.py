"""What one turn may spend and has spent."""

from datetime import datetime
from typing import Protocol

from parley_services.kit.chat.answer import AnswerSource
from parley_services.kit.chat.attempt import Attempt
from parley_services.kit.chat.subject import Subject
from parley_services.kit.errors import BudgetExhausted, ServiceError
from parley_services.orchestrator.deadline import Deadline
from parley_services.orchestrator.ports import Accounting, PostTurnWriter
from parley_services.orchestrator.values.accounting import Reservation
from parley_services.orchestrator.values.records import Settlement

CHARACTERS_PER_TOKEN = 4
"""English prose on GPT and Claude tokenizers; a middle value is enough to know when to extend."""

EXTEND_TIMEOUT_SECONDS = 1.0


class AttemptRecorder(Protocol):
    """Where the attempts of an answer are noted, and what says when the money ends."""

    attempts: list[Attempt]

    def add(self, attempt: Attempt) -> None:
        """Note an attempt."""
        ...

    async def covers(self, output_characters: int, model: str) -> bool:
        """Say whether the budget covers an answer of so many characters."""
        ...


class ReservationHandle:
    """
    A reservation with the attempts that were made under it.

    It is settled exactly once, by whoever ends the turn; settling again does nothing.
    """

    def __init__(
        self,
        *,
        request_id: str,
        subject: Subject,
        reservation: Reservation,
        accounting: Accounting,
        writer: PostTurnWriter,
        deadline: Deadline,
        tags: dict[str, str],
        outbox_id: int,
    ) -> None:
        """*outbox_id* is what the writer noted the turn under."""
        self.request_id = request_id
        self.subject = subject
        self.reservation = reservation
        self.template = ""
        self.template_version = 0
        self.attempts: list[Attempt] = []
        self.is_shared = False
        """Whether a shared generation has taken it over and will settle it."""
        self._accounting = accounting
        self._writer = writer
        self._deadline = deadline
        self._tags = tags
        self._outbox_id = outbox_id
        self._covered = reservation.covered_output_token_count
        self._step = 0
        self._settled = False

    def add(self, attempt: Attempt) -> None:
        """Note an attempt."""
        self.attempts.append(attempt)

    async def covers(self, output_characters: int, model: str) -> bool:
        """
        Say whether the budget covers an answer of so many characters; extend it if need be.

        While accounting is unavailable the answer goes on: its cost is booked when it ends.
        """
        tokens = output_characters // CHARACTERS_PER_TOKEN
        if not self._covered or tokens < self._covered:
            return True
        self._step += 1
        try:
            self._covered = await self._accounting.extend(
                request_id=self.request_id,
                reservation_id=self.reservation.reservation_id,
                step=self._step,
                output_token_count=tokens,
                model=model,
                timeout_seconds=self._deadline.timeout(EXTEND_TIMEOUT_SECONDS),
            )
        except BudgetExhausted:
            return False
        except ServiceError:
            self._covered = 0
        return True

    def settle(
        self,
        *,
        end_time: datetime,
        source: AnswerSource = AnswerSource.UNSPECIFIED,
        saved_cost_nano_usd: int = 0,
        model: str = "",
    ) -> None:
        """Hand what was spent to the writer. Without attempts and source, give the money back."""
        if self._settled:
            return
        self._settled = True
        self._writer.put(
            Settlement(
                request_id=self.request_id,
                reservation_id=self.reservation.reservation_id,
                subject=self.subject,
                attempts=tuple(self.attempts),
                source=source,
                saved_cost_nano_usd=saved_cost_nano_usd,
                template=self.template,
                template_version=self.template_version,
                tags=self._tags,
                end_time=end_time,
                model=model,
            ),
            outbox_id=self._outbox_id,
        )
