"""Alerts on their way to a real HTTP server that does not always take them."""

import asyncio
import base64
import hashlib
import hmac
import json
from contextlib import asynccontextmanager

import pytest

from tests.service.accounting.calls import set_budget, settle
from tests.support.waiting import until

WEBHOOK_SECRET = "whsec"


class Receiver:
    """Answers each request as its script says; None hangs up without an answer."""

    def __init__(self, *script):
        self.posts = []
        self.url = ""
        self._script = list(script)

    async def serve(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                pairs = (line.split(": ", 1) for line in head[1:] if line)
                headers = {name.lower(): value for name, value in pairs}
                body = await reader.readexactly(int(headers["content-length"]))
                self.posts.append((headers, body))
                status = self._script.pop(0) if self._script else 204
                if status is None:
                    return
                writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n".encode())
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def receiving(*script):
    receiver = Receiver(*script)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    async with server:
        yield receiver


@pytest.fixture
def pauses():
    return []


@pytest.fixture
async def open_with(serve, pauses):
    """Opens accounting that posts to a receiver and does not wait between its tries."""

    async def pause(seconds):
        pauses.append(seconds)
        await asyncio.sleep(0)

    async def open_with(receiver):
        return await serve(
            webhook_urls=(receiver.url,), webhook_secret=WEBHOOK_SECRET, webhook_sleep=pause
        )

    return open_with


def signature_of(headers, body):
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(WEBHOOK_SECRET.encode(), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


async def test_an_alert_is_posted_signed_until_it_is_taken(open_with, pauses):
    async with receiving(500, None, 302, 200) as receiver:
        stub = await open_with(receiver)
        await set_budget(stub, 100, hard=False)
        await stub.Settle(settle("r1", cost=80))
        await stub.Settle(settle("r2", cost=20))
        await until(lambda: len(receiver.posts) == 5)
        ids = [headers["webhook-id"] for headers, _ in receiver.posts]
        assert ids == ["alert_1"] * 4 + ["alert_2"]
        assert pauses[:3] == [1.0, 2.0, 4.0]
        for headers, body in receiver.posts:
            assert headers["webhook-signature"] == signature_of(headers, body)
        first, last = json.loads(receiver.posts[0][1]), json.loads(receiver.posts[-1][1])
        assert (first["type"], last["type"]) == ("alert.budget_warning", "alert.budget_exhausted")
        assert first["data"]["subject_id"] == "ada"
        assert (first["data"]["used_nano_usd"], first["data"]["limit_nano_usd"]) == (80, 100)
