from datetime import timedelta

from parley_services.kit.chat.attempt import Attempt, AttemptKind, AttemptOutcome
from parley_services.kit.chat.message import Message, Role
from parley_services.kit.chat.subject import Subject
from parley_services.kit.chat.usage import Usage
from parley_services.model_router.generation import GenerationRequest
from parley_services.model_router.peers.accounting import JournalledAttempts

from tests.support.clock import ManualClock

REQUEST = GenerationRequest(
    request_id="r1",
    messages=(Message(role=Role.USER, text="A secret question"),),
    subject=Subject(tenant_id="acme", team_id="core", user_id="ada", key_id="k1"),
)


class Notes:
    """An `AttemptJournal` that keeps what it is given."""

    def begin(self, attempt, *, due_time):
        self.begun, self.due_time = attempt, due_time
        return 7

    def update(self, number, attempt):
        self.updated = (number, attempt)


def attempt(output):
    return Attempt(
        number=3,
        provider="openai",
        model="m",
        kind=AttemptKind.PRIMARY,
        outcome=AttemptOutcome.CANCELLED,
        usage=Usage(input_token_count=9, output_token_count=output, estimated=True),
        cost_nano_usd=9,
        price_version="v1",
        duration_seconds=0.5,
    )


def test_an_attempt_is_noted_with_whose_it_is_and_told_after_its_call():
    notes, clock = Notes(), ManualClock()
    attempts = JournalledAttempts(notes, clock=clock, report_delay_seconds=5)
    last_time = clock.now() + timedelta(seconds=30)
    number = attempts.begin(REQUEST, attempt(0), last_time=last_time)
    attempts.update(number, REQUEST, attempt(4))
    begun, (updated_number, updated) = notes.begun, notes.updated
    assert (number, updated_number) == (7, 7)
    assert notes.due_time == last_time.timestamp() + 5
    assert begun.request_id == "r1"
    assert (begun.subject.tenant_id, begun.subject.key_id) == ("acme", "k1")
    assert (begun.attempt.number, begun.attempt.usage.output_token_count) == (3, 0)
    assert updated.attempt.usage.output_token_count == 4
    assert b"secret" not in updated.SerializeToString()
