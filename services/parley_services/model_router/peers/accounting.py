"""Reports every attempt to accounting, once the turn that it was made for is over."""

from datetime import datetime, timedelta

from parley.accounting.v1 import accounting_service_pb2 as pb

from parley_services.kit.chat import to_proto
from parley_services.kit.chat.attempt import Attempt
from parley_services.kit.clock import Clock
from parley_services.kit.storage.attempt_journal import AttemptJournal
from parley_services.model_router.generation import GenerationRequest


class JournalledAttempts:
    """
    An `AttemptLog` in a journal.

    The caller books its attempts itself when its turn ends, and accounting leaves those as
    they are. So only what nobody could book any more is booked from here.
    """

    def __init__(
        self, journal: AttemptJournal, *, clock: Clock, report_delay_seconds: float
    ) -> None:
        """Report an attempt *report_delay_seconds* after its call's last moment."""
        self._journal = journal
        self._clock = clock
        self._report_delay = timedelta(seconds=report_delay_seconds)

    def begin(self, request: GenerationRequest, attempt: Attempt, *, last_time: datetime) -> int:
        due_time = (last_time + self._report_delay).timestamp()
        return self._journal.begin(self._message(request, attempt), due_time=due_time)

    def update(self, number: int, request: GenerationRequest, attempt: Attempt) -> None:
        self._journal.update(number, self._message(request, attempt))

    def _message(self, request: GenerationRequest, attempt: Attempt) -> pb.TurnAttempt:
        return pb.TurnAttempt(
            request_id=request.request_id,
            subject=to_proto.subject(request.subject),
            attempt=to_proto.attempt(attempt),
            end_time=to_proto.timestamp(self._clock.now()),
        )
