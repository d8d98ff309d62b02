import grpc
import pytest
from parley.accounting.v1 import accounting_service_pb2 as pb
from parley.accounting.v1 import accounting_service_pb2_grpc as pb_grpc
from parley.chat.v1 import attempt_pb2, subject_pb2, usage_pb2
from parley_services.kit.errors import DependencyUnavailable, InvalidArgument, Overloaded
from parley_services.kit.storage.attempt_journal import AttemptJournal
from parley_services.kit.storage.journal import Journal

from tests.support.clock import ManualClock
from tests.support.serving import served
from tests.support.waiting import until


def attempt(number=1, output=0, tenant_id="acme"):
    return pb.TurnAttempt(
        request_id="r1",
        subject=subject_pb2.Subject(tenant_id=tenant_id),
        attempt=attempt_pb2.Attempt(
            number=number, usage=usage_pb2.Usage(input_token_count=9, output_token_count=output)
        ),
    )


class Ledger(pb_grpc.AccountingServiceServicer):
    """Takes attempts unless it is *away* or one of them is of a tenant that it *refuses*."""

    def __init__(self):
        self.told = []
        self.away = False
        self.refuses = ""

    async def ReportAttempts(self, request, context):
        if self.away:
            raise DependencyUnavailable("The database is away.")
        if self.refuses in {each.subject.tenant_id for each in request.attempts}:
            raise InvalidArgument.field("subject.tenant_id", "must be printable")
        self.told += request.attempts
        return pb.ReportAttemptsResponse(booked_count=len(request.attempts))


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
async def channel(ledger):
    def register(server):
        pb_grpc.add_AccountingServiceServicer_to_server(ledger, server)

    async with served("in_process", register) as channel:
        yield channel


@pytest.fixture
def attempts(tmp_path, channel, clock):
    return journalled(tmp_path, channel, clock)


def journalled(folder, channel, clock, *, record_limit=100):
    return AttemptJournal(
        Journal(folder / "attempts.db"),
        channel,
        clock=clock,
        interval_seconds=0.001,
        record_limit=record_limit,
    )


def begin(attempts, clock, **fields):
    return attempts.begin(attempt(**fields), due_time=clock.now().timestamp() + 35)


async def test_accounting_is_told_once_the_call_is_over_and_not_before(attempts, ledger, clock):
    note = begin(attempts, clock)
    attempts.update(note, attempt(output=7))
    clock.advance(34)
    await attempts.tell()
    assert ledger.told == []
    clock.advance(1)
    await attempts.tell()
    (told,) = ledger.told
    assert (told.request_id, told.subject.tenant_id) == ("r1", "acme")
    assert (told.attempt.number, told.attempt.usage.output_token_count) == (1, 7)
    await attempts.tell()
    assert len(ledger.told) == 1


async def test_what_a_killed_process_wrote_is_told_by_the_next(tmp_path, channel, ledger, clock):
    killed = journalled(tmp_path, channel, clock)
    killed.update(begin(killed, clock), attempt(output=3))
    begin(killed, clock, number=2)
    clock.advance(35)
    async with journalled(tmp_path, channel, clock).telling():
        await until(lambda: len(ledger.told) == 2)
    assert [each.attempt.usage.output_token_count for each in ledger.told] == [3, 0]


async def test_nothing_is_forgotten_while_accounting_is_away(attempts, ledger, clock):
    begin(attempts, clock)
    clock.advance(35)
    ledger.away = True
    with pytest.raises(DependencyUnavailable):
        await attempts.tell()
    ledger.away = False
    async with attempts.telling():
        await until(lambda: ledger.told)


async def test_telling_goes_on_by_itself_when_accounting_is_back(attempts, ledger, clock):
    begin(attempts, clock)
    clock.advance(35)
    ledger.away = True
    async with attempts.telling():
        ledger.away = False
        await until(lambda: ledger.told)


async def test_one_that_is_refused_does_not_hold_up_the_others(tmp_path, channel, ledger, clock):
    attempts = journalled(tmp_path, channel, clock)
    ledger.refuses = "evil"
    begin(attempts, clock, number=1)
    begin(attempts, clock, tenant_id="evil", number=2)
    begin(attempts, clock, number=3)
    clock.advance(35)
    await attempts.tell()
    assert [each.attempt.number for each in ledger.told] == [1, 3]
    ((_, reason),) = Journal(tmp_path / "attempts.db").refusals()
    assert reason == "ERROR_REASON_INVALID_ARGUMENT"


async def test_attempts_of_nobody_are_not_written(tmp_path, channel, clock):
    attempts = journalled(tmp_path, channel, clock)
    attempts.update(begin(attempts, clock, tenant_id=""), attempt())
    assert len(Journal(tmp_path / "attempts.db")) == 0


async def test_a_full_journal_refuses_until_accounting_was_told(tmp_path, channel, ledger, clock):
    attempts = journalled(tmp_path, channel, clock, record_limit=1)
    begin(attempts, clock)
    with pytest.raises(Overloaded):
        begin(attempts, clock, number=2)
    clock.advance(35)
    await attempts.tell()
    begin(attempts, clock, number=2)


async def test_a_full_disk_refuses_the_call_and_keeps_what_was_written(
    tmp_path, channel, ledger, clock, monkeypatch
):
    attempts = journalled(tmp_path, channel, clock)
    note = begin(attempts, clock)

    def full(*_arguments, **_options):
        raise DependencyUnavailable("The disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "add", full)
        patched.setattr(Journal, "replace", full)
        with pytest.raises(Overloaded):
            begin(attempts, clock, number=2)
        attempts.update(note, attempt(output=7))
    clock.advance(35)
    await attempts.tell()
    assert [each.attempt.usage.output_token_count for each in ledger.told] == [0]


async def test_an_accounting_that_cannot_be_reached_is_away(tmp_path, clock):
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        attempts = journalled(tmp_path, channel, clock)
        begin(attempts, clock)
        clock.advance(35)
        with pytest.raises(DependencyUnavailable):
            await attempts.tell()
    assert len(Journal(tmp_path / "attempts.db")) == 1
