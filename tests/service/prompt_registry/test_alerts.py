"""Alerts on rollbacks, over real HTTP on the loopback."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import orjson
import pytest
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb
from parley_services.prompt_registry.alerts import ATTEMPTS, WebhookAlerts
from parley_services.prompt_registry.experiments.rollback_records import Rollback

from tests.support.prompts import START
from tests.support.waiting import until

TIMEOUT = 10
ROLLBACK = Rollback(
    template="greeting",
    experiment_id="greeting-v2",
    from_version=2,
    to_version=1,
    reason="It was worse.",
    measure="error_rate",
    observed=0.5,
    bound=0.1,
    is_automatic=True,
    create_time=START,
)


@dataclass
class Hook:
    """An HTTP server that answers with *statuses* in turn, the last one for ever."""

    statuses: list[int]
    bodies: list[dict] = field(default_factory=list)
    url: str = ""

    async def answer(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = (
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        self.bodies.append(orjson.loads(await reader.readexactly(length)))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def hook(*statuses):
    made = Hook(list(statuses))
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    async with server:
        yield made


def alerts(url):
    return WebhookAlerts(url, new_client=httpx.AsyncClient, max_pause_seconds=0.0)


async def test_a_rollback_is_posted_with_its_reason_and_numbers():
    async with hook(200) as received:
        await alerts(received.url).send(ROLLBACK)
    (body,) = received.bodies
    assert body["text"] == "Template greeting went from version 2 back to 1: It was worse."
    assert (body["measure"], body["observed"], body["bound"]) == ("error_rate", 0.5, 0.1)
    assert (body["from_version"], body["to_version"]) == (2, 1)


@pytest.mark.parametrize(("statuses", "posts"), [((503, 200), 2), ((500,), ATTEMPTS)])
async def test_an_alert_is_sent_again_and_never_stops_the_registry(statuses, posts):
    async with hook(*statuses) as received:
        await alerts(received.url).send(ROLLBACK)
    assert len(received.bodies) == posts


async def test_a_version_that_is_left_by_itself_is_told_to_the_webhook(serve):
    async with hook(200) as received:
        stub = await serve(alert_webhook_url=received.url)
        for number in range(60):
            failed = number % 3 == 0
            outcome = pb.Outcome(
                request_id=str(number),
                template="general_chat",
                version=2 if failed else 1,
                experiment_id="general-chat-v2",
                arm="treatment" if failed else "control",
                error_reason="ERROR_REASON_INTERNAL" if failed else "",
            )
            await stub.ReportOutcome(pb.ReportOutcomeRequest(outcome=outcome), timeout=TIMEOUT)
        await until(lambda: received.bodies)
    assert received.bodies[0]["experiment_id"] == "general-chat-v2"
    assert received.bodies[0]["measure"] == "error_rate"
