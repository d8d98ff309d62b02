"""Kills processes of a suite under load, and holds the ledger against what was produced."""

import asyncio
import random
import sqlite3
import uuid
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import grpc
from parley.accounting.v1 import accounting_service_pb2 as pb
from parley.accounting.v1 import accounting_service_pb2_grpc as pb_grpc
from parley.orchestrator.v1 import orchestrator_service_pb2 as chat_pb
from parley_client import Parley, ParleyError

from tests.support.counting_provider import counting_provider, mark_of
from tests.support.processes import KEY, SERVICES, suite
from tests.support.waiting import eventually

LANES = 8
CHAT_SECONDS = 6
INPUT_NANO_USD, OUTPUT_NANO_USD = 1_000, 3_000
"""Of a token: 1 and 3 dollars a million."""

PRICES = "prices: [{provider: fake, model: m, input: 1, output: 3}]\n"
POLICY = "default_model: fake/m\n"
ROUTER = """
default_group: default
providers:
  simulated: {{kind: simulated}}
  fake: {{kind: openai_compatible, base_url: "{url}"}}
models: {{m: {{provider: fake, context: 100000, max_output: 1000}}}}
groups: {{default: [m]}}
"""


def environment(folder, provider):
    (folder / "prices.yaml").write_text(PRICES)
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "router.yaml").write_text(ROUTER.format(url=provider.url))
    return {
        "PARLEY_MODEL_ROUTER_CONFIG_PATH": str(folder / "router.yaml"),
        "PARLEY_MODEL_ROUTER_SIMULATE": "never",
        "PARLEY_MODEL_ROUTER_PRICES_PATH": str(folder / "prices.yaml"),
        "PARLEY_MODEL_ROUTER_FIRST_PAUSE_SECONDS": "0.01",
        "PARLEY_MODEL_ROUTER_JITTER_SECONDS": "0",
        "PARLEY_MODEL_ROUTER_RETRY_SHARE": "1",
        "PARLEY_ACCOUNTING_PRICES_PATH": str(folder / "prices.yaml"),
        "PARLEY_ACCOUNTING_POLICY_PATH": str(folder / "policy.yaml"),
        "PARLEY_ACCOUNTING_USER_REQUESTS_PER_MINUTE": "0",
        "PARLEY_ACCOUNTING_LEASE_GRACE_SECONDS": "4",
        "PARLEY_ACCOUNTING_LEASE_CHECK_INTERVAL_SECONDS": "0.5",
        "PARLEY_MODEL_ROUTER_ATTEMPT_REPORT_DELAY_SECONDS": "1",
        "PARLEY_MODEL_ROUTER_ATTEMPT_REPORT_INTERVAL_SECONDS": "0.5",
        "PARLEY_ORCHESTRATOR_ORPHANED_TURN_RELEASE_DELAY_SECONDS": "2.5",
        # As under a hard budget: no turn runs of which accounting does not know.
        "PARLEY_ORCHESTRATOR_OFFLINE_TURN_LIMIT": "0",
    }


class Load:
    """Turns that run one after the other in several lanes, whatever becomes of them."""

    def __init__(self, parley):
        self.completed = 0
        self._parley = parley
        self._lanes = [asyncio.create_task(self._lane()) for _ in range(LANES)]

    async def _lane(self):
        while True:
            request_id = str(uuid.uuid4())
            stream = self._parley.chat(
                f"What about {mark_of(request_id)}?",
                request=chat_pb.ChatRequest(request_id=request_id, model="m"),
                timeout_seconds=CHAT_SECONDS,
            )
            try:
                await stream.read()
            except ParleyError:
                # A process that is down refuses at once: leave the processor to its restart.
                await asyncio.sleep(0.02)
            else:
                self.completed += 1

    async def stop(self):
        for lane in self._lanes:
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)


class Books:
    """Accounting as its operator sees it."""

    def __init__(self, address):
        self._channel = grpc.aio.insecure_channel(address)
        self._stub = pb_grpc.AccountingServiceStub(self._channel)

    async def watch_reservations(self):
        """Give the tenant a budget, so that what is set aside for it can be read."""
        allowance = pb.Allowance(
            level=pb.SUBJECT_LEVEL_TENANT,
            tenant_id="default",
            subject_id="default",
            budgets=[pb.Budget(period=pb.BUDGET_PERIOD_TOTAL, limit_nano_usd=10**15)],
        )
        await self._stub.SetAllowance(pb.SetAllowanceRequest(allowance=allowance), timeout=20)

    async def reserved(self):
        found = await self._stub.ListAllowances(pb.ListAllowancesRequest(), timeout=20)
        return found.allowances[0].budgets[0].reserved_nano_usd

    async def entries(self):
        found, token = [], ""
        while True:
            page = await self._stub.ListEntries(
                pb.ListEntriesRequest(tenant_id="default", page_size=1000, page_token=token),
                timeout=60,
            )
            found += page.entries
            token = page.next_page_token
            if not token:
                return found

    async def faults(self):
        return list((await self._stub.VerifyLedger(pb.VerifyLedgerRequest(), timeout=60)).faults)

    async def total(self):
        summary = await self._stub.GetCostSummary(pb.GetCostSummaryRequest(), timeout=60)
        return summary.total.cost_nano_usd

    async def close(self):
        await self._channel.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to."""

    killed: Counter
    """How often each service's process was killed."""
    calls: list
    entries: list
    faults: list
    """Of the chain and of the balances."""
    summed: int
    """What the summary says was spent."""


async def run(folder: Path, *, apart, kills):
    """
    Run a suite whose state is in *folder*, kill *kills* times, and read the books at the end.

    Waits until every reservation has ended and every journal is empty.
    """
    draw = random.Random(f"kill {'apart' if apart else 'one_process'}")
    async with counting_provider(
        seed=1, failure_rate=0.05, cut_rate=0.05, word_seconds=0.005
    ) as provider:
        with suite(apart=apart, environment=environment(folder, provider)) as running:
            books = Books(running.addresses["accounting"])
            await books.watch_reservations()
            killed = await kill_under_load(running, provider, draw, kills)

            async def settled():
                return not waiting_records(running.folder) and await books.reserved() == 0

            await eventually(settled)
            entries = await books.entries()
            faults, summed = await books.faults(), await books.total()
            await books.close()
    return Outcome(
        killed=killed, calls=provider.calls, entries=entries, faults=faults, summed=summed
    )


def waiting_records(folder):
    """Return how many records of the router and the orchestrator are not delivered yet."""
    count = 0
    for name in ("model_router/attempts.db", "orchestrator/outbox.db"):
        with closing(sqlite3.connect(folder / name)) as connection:
            count += connection.execute("SELECT count(*) FROM records").fetchone()[0]
    return count


async def kill_under_load(running, provider, draw, count):
    """Kill processes at random moments, restart them, and let all of them work at the end."""
    killed = Counter()
    # Each service in turn first, so that also a short run kills the ones that matter.
    first = ["accounting", "model_router", "orchestrator", "all"]
    async with Parley(running.address, api_key=KEY) as parley:
        load = Load(parley)
        try:
            for number in range(count):
                await provider.until_written(provider.written + draw.randint(1, 400))
                target = first[number] if number < len(first) else draw.choice([*SERVICES, "all"])
                names = () if target == "all" or not running.apart else (target,)
                await asyncio.to_thread(running.stop, *names, kill=True)
                await asyncio.to_thread(running.start, *names)
                killed[target if running.apart else "one process"] += 1
            await provider.until_written(provider.written + 400)
            assert load.completed > count
        finally:
            await load.stop()
    return killed


def judge(calls, entries):
    """Hold the entries against the calls, turn by turn; return what was found, in numbers."""
    calls_of, entries_of = defaultdict(list), defaultdict(list)
    for call in calls:
        calls_of[call.mark].append(call)
    for entry in entries:
        entries_of[mark_of(entry.request_id)].append(entry)
    found = Counter(turns=len(calls_of), calls=len(calls), entries=len(entries))
    for mark in calls_of.keys() | entries_of.keys():
        estimates = [
            entry for entry in entries_of[mark] if entry.account == pb.LEDGER_ACCOUNT_EXPIRY
        ]
        # An estimate of a lease that ended is taken back once it is known what was used.
        assert sum(entry.cost_nano_usd for entry in estimates) == 0, mark
        found["estimates at expiry, taken back"] += bool(estimates)
        attempts = [
            entry for entry in entries_of[mark] if entry.account != pb.LEDGER_ACCOUNT_EXPIRY
        ]
        judge_attempts(calls_of[mark], attempts, found)
    found["nano-dollars by the provider's count"] = sum(map(cost_of, calls))
    found["nano-dollars booked"] = sum(entry.cost_nano_usd for entry in entries)
    return dict(found)


def judge_attempts(made, attempts, found):
    """Hold the attempts of a turn against its calls."""
    numbers = [entry.attempt_number for entry in attempts]
    assert len(set(numbers)) == len(numbers)
    # A router may have died between noting a call and making it. Nobody can know whether it
    # was made, so its input is booked, marked estimated.
    excess = len(attempts) - len(made)
    assert 0 <= excess <= sum(map(is_noted, attempts)), (made, attempts)
    found["noted, never made"] += excess
    told = Counter(usage_key(call.usage) for call in made if call.usage is not None)
    produced = max((call.written for call in made), default=0)
    for entry in attempts:
        usage = entry.usage
        expected = (
            usage.input_token_count * INPUT_NANO_USD + usage.output_token_count * OUTPUT_NANO_USD
        )
        assert entry.cost_nano_usd == expected
        if usage.estimated:
            assert usage.output_token_count <= produced
            found["by our own count, estimated"] += 1
        elif usage.input_token_count:
            assert told[usage_key(usage)] > 0, entry
            told[usage_key(usage)] -= 1
            found["exact"] += 1
        else:
            found["failed, free"] += 1


def cost_of(call):
    """Return what the provider would bill for *call*: what it wrote, whoever read it."""
    if call.failed:
        return 0
    return call.input_token_count * INPUT_NANO_USD + call.written * OUTPUT_NANO_USD


def is_noted(entry):
    """Say whether an entry may stand for a call that was noted and never made."""
    return entry.usage.estimated and not entry.usage.output_token_count


def usage_key(usage):
    return usage.input_token_count, usage.output_token_count
