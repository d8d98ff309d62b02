"""The last snapshot of all templates, kept up to date by a watch of the prompt registry."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import structlog
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb
from parley.prompt_registry.v1 import prompt_registry_service_pb2_grpc as pb_grpc

from services.kit.errors import DependencyUnavailable
from services.orchestrator.peers.prompt_registry import PEER, prompt_of, render_message
from services.orchestrator.prompting import Prompt, PromptRequest
from services.prompt_registry.messages import keys_from, prompt_to, selector_from, updated
from services.prompt_registry.snapshot import TemplateSnapshot

log = structlog.get_logger()

WATCH_SECONDS = 600.0
"""Length of one watch. It is then opened again, so that a half-open connection is noticed."""

FIRST_PAUSE_SECONDS = 0.2
MAX_PAUSE_SECONDS = 5.0


class WatchedTemplates:
    """`LocalPrompts` by the registry's own rules over the last snapshot it sent."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: pb_grpc.PromptRegistryServiceAsyncStub = pb_grpc.PromptRegistryServiceStub(
            channel
        )
        self._snapshot: TemplateSnapshot | None = None

    def render(self, request: PromptRequest) -> Prompt:
        if self._snapshot is None:
            raise DependencyUnavailable(
                "The prompt registry is away and no template is known: try again later.",
                metadata={"dependency": PEER},
            )
        message = render_message(request)
        prompt = self._snapshot.render(
            template=request.template,
            selector=selector_from(message),
            keys=keys_from(message.keys),
            variables=request.variables,
        )
        return prompt_of(prompt_to(prompt))

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Keep the snapshot up to date while the context lasts."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _watch(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                async for message in self._call():
                    self._snapshot = updated(self._snapshot or TemplateSnapshot(), message)
                    pause = FIRST_PAUSE_SECONDS
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                    log.debug("watch_ended", peer=PEER, code=error.code().name)
            await asyncio.sleep(pause)
            pause = min(MAX_PAUSE_SECONDS, pause * 2)

    async def _call(self) -> AsyncIterator[pb.WatchTemplatesResponse]:
        revision = self._snapshot.revision if self._snapshot is not None else 0
        call = self._stub.WatchTemplates(
            pb.WatchTemplatesRequest(after_revision=revision), timeout=WATCH_SECONDS
        )
        try:
            async for message in call:
                yield message
        finally:
            call.cancel()
