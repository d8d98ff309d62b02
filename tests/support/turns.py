"""Peers of a turn, by hand. Each is told at construction how it behaves."""

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from parley_services.kit.chat.answer import AnswerSource, FinishReason
from parley_services.kit.chat.attempt import Attempt, AttemptKind, AttemptOutcome
from parley_services.kit.chat.budget import BudgetDecision
from parley_services.kit.chat.cacheable import CacheScope
from parley_services.kit.chat.finding import Finding, FindingStage, GuardrailAction, Severity
from parley_services.kit.chat.message import ResponseFormat, SamplingParameters
from parley_services.kit.chat.subject import Subject
from parley_services.kit.chat.usage import Usage
from parley_services.kit.clock import SystemClock
from parley_services.kit.errors import DependencyUnavailable, KeyInvalid, NotFound
from parley_services.kit.rpc.pacing import Pacer
from parley_services.orchestrator.admission.admission import Admission
from parley_services.orchestrator.admission.key_cache import KeyCache
from parley_services.orchestrator.admission.offline import OfflineAllowance
from parley_services.orchestrator.admission.request import TurnRequest
from parley_services.orchestrator.deadline import Deadline
from parley_services.orchestrator.fallback_guardrails import FallbackGuardrails
from parley_services.orchestrator.finish.shadow import Shadows
from parley_services.orchestrator.generate.generation import Generation
from parley_services.orchestrator.generate.shared_generation import SharedGenerations
from parley_services.orchestrator.prompt.prompting import Prompting
from parley_services.orchestrator.reuse.coalescing import Coalescing
from parley_services.orchestrator.reuse.hits import GivenHits
from parley_services.orchestrator.reuse.lookup import Reuse
from parley_services.orchestrator.reuse.replay import Replay
from parley_services.orchestrator.turn import Stages, Turn
from parley_services.orchestrator.values.accounting import Principal, Reservation
from parley_services.orchestrator.values.cache import CachedAnswer, Held, Hit, Vacant
from parley_services.orchestrator.values.guardrails import InputVerdict, Released, ScanEnded
from parley_services.orchestrator.values.prompts import Prompt
from parley_services.orchestrator.values.router import AnswerEnded, AttemptEnded, RouteChosen, Text

KEY = "key"
REQUEST_ID = "00000000-0000-4000-8000-000000000001"
AWAY = DependencyUnavailable("away", metadata={"dependency": "peer"})


def request(text="Why is the sky blue?", **fields):
    return TurnRequest(**{"request_id": REQUEST_ID, "text": text, **fields})


def finding(action=GuardrailAction.BLOCK, rule_id="injection.test", stage=FindingStage.INPUT):
    return Finding(
        rule_id=rule_id,
        stage=stage,
        action=action,
        severity=Severity.HIGH,
        category="test",
        start=0,
        end=1,
        score=1.0,
    )


def attempt(number=1, cost=1000, kind=AttemptKind.PRIMARY, outcome=AttemptOutcome.SUCCEEDED):
    return Attempt(
        number=number,
        provider="simulated",
        model="small",
        kind=kind,
        outcome=outcome,
        usage=Usage(input_token_count=10, output_token_count=5),
        cost_nano_usd=cost,
    )


@dataclass
class FakeAccounting:
    decision: BudgetDecision = BudgetDecision.ALLOW
    downgrade_model: str = ""
    covered: int = 0
    refusal: Exception | None = None
    extension: Exception | int = 0
    away: bool = False
    may_act_for_users: bool = True
    has_hard_budget: bool = False
    max_age_seconds: float = 5.0
    authenticated: int = 0
    reserved: list = field(default_factory=list)
    extended: list = field(default_factory=list)

    async def authenticate(self, secret_sha256, *, timeout_seconds):
        self.authenticated += 1
        if self.away:
            raise AWAY
        if secret_sha256.hex() != (
            "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"
        ):
            raise KeyInvalid("The API key is unknown: use another one.")
        return Principal(
            subject=Subject(tenant_id="acme", user_id="owner", key_id="k1"),
            may_chat=True,
            may_act_for_users=self.may_act_for_users,
            max_age_seconds=self.max_age_seconds,
            has_hard_budget=self.has_hard_budget,
        )

    async def reserve(self, request, *, timeout_seconds):
        if self.away:
            raise AWAY
        self.reserved.append(request)
        await asyncio.sleep(0)
        if self.refusal is not None:
            raise self.refusal
        return Reservation(
            reservation_id="r1",
            decision=self.decision,
            downgrade_model=self.downgrade_model,
            covered_output_token_count=self.covered,
        )

    async def extend(
        self,
        *,
        request_id,
        reservation_id,
        step,
        output_token_count,
        model,
        timeout_seconds,
    ):
        self.extended.append({"step": step, "output_token_count": output_token_count})
        if isinstance(self.extension, Exception):
            raise self.extension
        return self.extension


class FakeModelCatalogue:
    """Knows every model but `no-such`; the group `cheap` is priced as `small`."""

    def price_name(self, name):
        if name == "no-such":
            raise NotFound("No such model.", resource_type="model", resource_name=name)
        return "small" if name == "cheap" else name


class FakeScan:
    """Releases what comes before *stop_at*, or before *leaves_at*, where it goes away."""

    def __init__(self, guardrails):
        self._guardrails = guardrails
        self._queue = asyncio.Queue()

    async def send(self, text):
        self._queue.put_nowait(text)

    async def end(self):
        self._queue.put_nowait(None)

    async def results(self):
        released, blocked = "", False
        guardrails = self._guardrails
        while not blocked and (text := await self._queue.get()) is not None:
            stop_at, leaves_at = guardrails.stop_at, guardrails.leaves_at
            blocked = bool(stop_at) and stop_at in text
            leaves = bool(leaves_at) and leaves_at in text
            if blocked or leaves:
                text = text.partition(stop_at if blocked else leaves_at)[0]
            released += text
            yield Released(text)
            if leaves:
                raise AWAY
        faults = guardrails.format_errors
        yield ScanEnded(
            blocked=blocked,
            cacheable_text=released,
            format_error=faults.pop(0) if faults else "",
            findings=(finding(stage=FindingStage.OUTPUT, rule_id="banned.test"),)
            if blocked
            else (),
        )


@dataclass
class FakeGuardrails:
    away: bool = False
    blocks: bool = False
    stop_at: str = ""
    leaves_at: str = ""
    format_errors: list = field(default_factory=list)
    redactions: dict = field(default_factory=dict)
    waits: asyncio.Event | None = None
    checked: list = field(default_factory=list)

    async def check_input(self, texts, *, request_id, tenant_id, template, timeout_seconds):
        if self.away:
            raise AWAY
        if self.waits is not None:
            await self.waits.wait()
        self.checked.append([each.text for each in texts])
        redacted = []
        for each in texts:
            text = each.text
            for old, new in self.redactions.items():
                text = text.replace(old, new)
            redacted.append(text)
        return InputVerdict(
            texts=tuple(redacted),
            findings=(finding(GuardrailAction.REDACT, "pii.test"),) if self.redactions else (),
            placeholders=(),
            blocking=finding() if self.blocks else None,
        )

    @asynccontextmanager
    async def scan_output(self, context, *, timeout_seconds):
        yield FakeScan(self)


@dataclass
class FakePrompts:
    away: bool = False
    scope: CacheScope = CacheScope.TENANT
    response_format: ResponseFormat = field(default_factory=ResponseFormat)
    shadow_arms: tuple = ()
    retains_texts: bool = False
    extra_cacheable: frozenset = frozenset()
    rendered: list = field(default_factory=list)
    rated: list = field(default_factory=list)

    async def render(self, request, *, timeout_seconds):
        if self.away:
            raise AWAY
        self.rendered.append(request)
        return Prompt(
            template=request.template,
            version=2,
            experiment_id="",
            arm="",
            system_text="Be kind.",
            user_text=request.variables["text"],
            model="default",
            parameters=SamplingParameters(temperature=0.5),
            response_format=self.response_format,
            cache_scope=self.scope,
            shadow_arms=self.shadow_arms,
            retains_texts=self.retains_texts,
            extra_cacheable=self.extra_cacheable,
        )

    async def rate(self, *, request_id, tenant_id, stars, comment, timeout_seconds):
        self.rated.append({"tenant_id": tenant_id, "stars": stars, "comment": comment})


@dataclass
class Snapshot:
    """The local snapshot: has none, or renders as *prompts* does."""

    prompt: Prompt | None = None

    def render(self, request):
        if self.prompt is None:
            raise AWAY
        return self.prompt


@dataclass
class FakeCache:
    away: bool = False
    answer: str = ""
    fallback_answer: str = ""
    looked_up: list = field(default_factory=list)
    reported: list = field(default_factory=list)
    locks: dict = field(default_factory=dict)
    """The holder of each text's lock, as all replicas with this cache see it."""

    async def lookup(
        self, partition, text, *, request_id, is_fallback, lock_seconds, timeout_seconds
    ):
        self.looked_up.append((partition, text, is_fallback))
        await asyncio.sleep(0)
        if self.away:
            raise AWAY
        answer = self.fallback_answer if is_fallback else self.answer
        if not answer:
            if not lock_seconds:
                return Vacant()
            holder = self.locks.setdefault(text, request_id)
            return Vacant(lock_id=text) if holder == request_id else Held()
        return Hit(
            entry_id="e1",
            source=AnswerSource.CACHE_FALLBACK if is_fallback else AnswerSource.CACHE_EXACT,
            similarity=1.0,
            probability=0.97,
            answer=CachedAnswer(
                text=answer,
                provider="simulated",
                model="small",
                usage=Usage(),
                cost_nano_usd=700,
            ),
            create_time=datetime(2026, 1, 1, tzinfo=UTC),
            age_seconds=3.0,
        )

    async def report_hit(self, hit, *, correct, timeout_seconds):
        if self.away:
            raise AWAY
        self.reported.append((hit.entry_id, hit.probability, correct))

    async def release(self, tenant_id, lock_id, *, timeout_seconds):
        if self.away:
            raise AWAY
        self.locks.pop(lock_id, None)


class ScriptedRouter:
    """
    Streams *script*: text, router events, exceptions to raise, events to wait for, and
    seconds that the model takes.

    Without an AnswerEnded of its own it closes the answer with one attempt.
    """

    def __init__(self, *script, again=()):
        self._scripts = [script, *again]
        self.calls = []
        self.closed = 0

    async def generate(self, call, *, timeout_seconds):
        self.calls.append(call)
        script = self._scripts[min(len(self.calls), len(self._scripts)) - 1]
        try:
            yield RouteChosen(
                provider="simulated", model="small", attempt_number=call.first_attempt_number
            )
            for step in script:
                await asyncio.sleep(0)
                match step:
                    case str():
                        yield Text(step)
                    case Exception():
                        raise step
                    case asyncio.Event():
                        await step.wait()
                    case float():
                        await asyncio.sleep(step)
                    case AnswerEnded():
                        yield step
                        return
                    case _:
                        yield step
            yield AttemptEnded(attempt(number=call.first_attempt_number, kind=call.kind))
            yield AnswerEnded(finish_reason=FinishReason.STOP, provider="simulated", model="small")
        finally:
            self.closed += 1


@dataclass
class MemoryWriter:
    records: list = field(default_factory=list)
    full: Exception | None = None
    begun: dict = field(default_factory=dict)
    """Turns that are neither settled nor forgotten, by their numbers."""

    def begin(self, turn):
        if self.full is not None:
            raise self.full
        number = id(turn)
        self.begun[number] = turn
        return number

    def forget(self, outbox_id):
        del self.begun[outbox_id]

    def put(self, record, *, outbox_id=0):
        self.records.append(record)
        if outbox_id:
            del self.begun[outbox_id]

    def of(self, kind):
        return [record for record in self.records if isinstance(record, kind)]


class Bench:
    """A whole turn over fakes."""

    def __init__(self, *script, clock=None, **parts):
        self.clock = clock or SystemClock()
        self.accounting = parts.pop("accounting", None) or FakeAccounting()
        self.guardrails = parts.pop("guardrails", None) or FakeGuardrails()
        self.baseline = parts.pop("baseline", None) or FakeGuardrails()
        self.prompts = parts.pop("prompts", None) or FakePrompts()
        self.cache = parts.pop("cache", None) or FakeCache()
        self.router = parts.pop("router", None) or ScriptedRouter(*script)
        self.writer = parts.pop("writer", None) or MemoryWriter()
        self.snapshot = parts.pop("snapshot", None) or Snapshot()
        self.offline = OfflineAllowance(turn_limit=parts.pop("turn_limit", 2))
        guard = FallbackGuardrails(
            service=self.guardrails,
            baseline=self.baseline,
            fail_closed=parts.pop("fail_closed", False),
            check_timeout_seconds=1.0,
        )
        self.key_cache = KeyCache(
            self.accounting,
            self.clock,
            timeout_seconds=1.0,
            stale_seconds=60.0,
            capacity=2,
        )
        pacer = Pacer()
        generation = Generation(self.router, guard, pacer)
        self.shadows = Shadows(
            generation,
            self.writer,
            self.clock,
            concurrency=parts.pop("shadow_concurrency", 4),
            timeout_seconds=60.0,
        )
        self.stages = Stages(
            admission=Admission(
                key_cache=self.key_cache,
                accounting=self.accounting,
                models=FakeModelCatalogue(),
                guard=guard,
                writer=self.writer,
                offline=self.offline,
                clock=self.clock,
                max_input_tokens=parts.pop("max_input_tokens", 100),
                reserve_timeout_seconds=1.0,
            ),
            prompting=Prompting(
                registry=self.prompts, snapshot=self.snapshot, render_timeout_seconds=1.0
            ),
            reuse=Reuse(
                cache=self.cache,
                coalescing=Coalescing(
                    cache=self.cache,
                    clock=self.clock,
                    wait_seconds=parts.pop("coalesce_wait_seconds", 30.0),
                ),
                lookup_timeout_seconds=1.0,
            ),
            hits=GivenHits(),
            replay=Replay(guard=guard),
            generation=generation,
            shared_generations=SharedGenerations(coalesce_deadline_tolerance_seconds=1.0),
            writer=self.writer,
            shadows=self.shadows,
            pacer=pacer,
            clock=self.clock,
        )
        assert not parts, f"unknown parts: {parts}"

    def turn(self, turn_request=None, *, secret=KEY, seconds=60.0):
        return Turn(
            self.stages,
            turn_request or request(),
            secret=secret,
            deadline=Deadline(self.clock, seconds),
        )

    async def run(self, turn_request=None, **arguments):
        """Run a turn to its end and return its events."""
        return [event async for event in self.turn(turn_request, **arguments).events()]

    async def run_until_error(self, turn_request=None, **arguments):
        """Run a turn that fails; return its events and its error."""
        events = []
        try:
            async for event in self.turn(turn_request, **arguments).events():
                events.append(event)
        except Exception as error:
            return events, error
        raise AssertionError("the turn did not fail")


async def start(bench, turn_request=None, **arguments):
    """Start a turn in a task that collects its events; return both."""
    events = []

    async def collect():
        async for event in bench.turn(turn_request, **arguments).events():
            events.append(event)
        return events

    return asyncio.create_task(collect()), events


async def cancel(task):
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def text_of(events):
    """Return the answer that *events* add up to."""
    return "".join(event.text for event in events if type(event).__name__ == "Delta")


def kinds_of(events):
    """Return the names of the events, equal neighbours once."""
    names = [type(event).__name__ for event in events]
    return [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name]
