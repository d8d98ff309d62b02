"""
Posts alerts to the operator's URLs, signed, at least once each and in order.

The table of alerts is the outbox: an alert is committed with what caused it, and a URL's
position moves on only after the URL has taken it. The form and the signature are those of
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md.
"""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import orjson

from parley_services.accounting.clock_reader import from_us
from parley_services.accounting.limits.alerts import Alert
from parley_services.accounting.workers.change_notifier import ChangeNotifier
from parley_services.kit.clock import Clock

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_AT_ONCE = 50

Post = Callable[[str, bytes, Mapping[str, str]], Awaitable[bool]]
"""Sends a body with headers to a URL; says whether it was taken. It does not raise."""


class Deliveries(Protocol):
    """The alerts and how far each URL has got."""

    async def after(self, number: int, *, limit: int) -> list[Alert]:
        """Return alerts after *number*, oldest first."""
        ...

    async def delivered(self, url: str) -> int:
        """Return the last alert that *url* has taken."""
        ...

    async def note_delivered(self, url: str, number: int) -> None:
        """Note that *url* has taken all alerts up to *number*."""
        ...


class Webhook:
    """Delivers alerts to one URL."""

    def __init__(
        self,
        url: str,
        *,
        secret: str,
        deliveries: Deliveries,
        post: Post,
        notifier: ChangeNotifier,
        clock: Clock,
        poll_interval_seconds: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._url = url
        self._secret = secret.encode()
        self._deliveries = deliveries
        self._post = post
        self._notifier = notifier
        self._clock = clock
        self._poll_interval_seconds = poll_interval_seconds
        self._sleep = sleep

    async def run(self) -> None:
        """Deliver until cancelled. Raises DependencyUnavailable while the database is away."""
        while True:
            await self.deliver_waiting()
            await self._notifier.wait(self._poll_interval_seconds)

    async def deliver_waiting(self) -> None:
        """Deliver all alerts that wait, each until it is taken."""
        position = await self._deliveries.delivered(self._url)
        while alerts := await self._deliveries.after(position, limit=_AT_ONCE):
            for alert in alerts:
                await self._deliver(alert)
                position = alert.alert_number
                await self._deliveries.note_delivered(self._url, position)

    async def _deliver(self, alert: Alert) -> None:
        pause_seconds = _FIRST_PAUSE_SECONDS
        body = body_of(alert)
        while not await self._post(self._url, body, self._headers(alert, body)):
            await self._sleep(pause_seconds)
            pause_seconds = min(pause_seconds * 2, _LONGEST_PAUSE_SECONDS)

    def _headers(self, alert: Alert, body: bytes) -> dict[str, str]:
        identity = f"alert_{alert.alert_number}"
        timestamp = str(int(self._clock.now().timestamp()))
        return {
            "content-type": "application/json",
            "webhook-id": identity,
            "webhook-timestamp": timestamp,
            "webhook-signature": sign(self._secret, identity, timestamp, body),
        }


def body_of(alert: Alert) -> bytes:
    """Return *alert* as JSON."""
    return orjson.dumps(
        {
            "type": f"alert.{alert.kind.key}",
            "timestamp": from_us(alert.create_time_us),
            "data": {
                "alert_number": alert.alert_number,
                "tenant_id": alert.key.tenant_id,
                "level": alert.key.level.key,
                "subject_id": alert.key.subject_id,
                "message": alert.message,
                "used_nano_usd": alert.used_nano_usd,
                "limit_nano_usd": alert.limit_nano_usd,
            },
        }
    )


def sign(secret: bytes, identity: str, timestamp: str, body: bytes) -> str:
    """Return the signature header: HMAC-SHA256 over the id, the time and the body."""
    signed = f"{identity}.{timestamp}.".encode() + body
    digest = hmac.new(secret, signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()
