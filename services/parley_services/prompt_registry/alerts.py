"""Alerts about rollbacks, by log or webhook. Imports neither grpc nor protobuf."""

from collections.abc import Callable
from typing import Final, Protocol

import httpx
import structlog
from tenacity import (
    AsyncRetrying,
    RetryError,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

from parley_services.prompt_registry.experiments.rollback_records import Rollback

log = structlog.get_logger()

ATTEMPTS: Final = 4
TIMEOUT_SECONDS: Final = 5.0


class Alerts(Protocol):
    """Sends an alert about a rollback. Never raises: an alert must not stop the registry."""

    async def send(self, rollback: Rollback) -> None: ...


class LogAlerts:
    """Logs a line at level warning."""

    async def send(self, rollback: Rollback) -> None:
        log.warning(
            "rolled_back",
            template=rollback.template,
            template_version=rollback.from_version,
            reason=rollback.measure,
        )


class WebhookAlerts:
    """Posts a JSON object to a URL, in up to 4 attempts, and logs the line as well."""

    def __init__(
        self,
        url: str,
        *,
        new_client: Callable[[], httpx.AsyncClient],
        max_pause_seconds: float = 10.0,
    ) -> None:
        self._url = url
        self._new_client = new_client
        self._max_pause_seconds = max_pause_seconds
        self._log = LogAlerts()

    async def send(self, rollback: Rollback) -> None:
        await self._log.send(rollback)
        body = {
            "event": "prompt_rolled_back",
            "text": (
                f"Template {rollback.template} went from version {rollback.from_version} back "
                f"to {rollback.to_version}: {rollback.reason}"
            ),
            "template": rollback.template,
            "experiment_id": rollback.experiment_id,
            "from_version": rollback.from_version,
            "to_version": rollback.to_version,
            "measure": rollback.measure,
            "observed": rollback.observed,
            "bound": rollback.bound,
            "reason": rollback.reason,
            "time": rollback.create_time.isoformat(),
        }
        try:
            async for attempt in AsyncRetrying(
                stop=stop_after_attempt(ATTEMPTS),
                wait=wait_exponential_jitter(
                    multiplier=min(0.5, self._max_pause_seconds), max=self._max_pause_seconds
                ),
                retry=retry_if_exception_type(httpx.HTTPError),
            ):
                with attempt:
                    async with self._new_client() as client:
                        response = await client.post(self._url, json=body, timeout=TIMEOUT_SECONDS)
                        response.raise_for_status()
        except RetryError:
            log.error("alert_not_delivered", template=rollback.template, attempts=ATTEMPTS)
