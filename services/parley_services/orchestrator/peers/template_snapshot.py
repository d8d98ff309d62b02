"""The last snapshot of all templates, kept up to date by a watch of the prompt registry."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb
from parley.prompt_registry.v1 import prompt_registry_service_pb2_grpc as pb_grpc

from parley_services.kit.errors import DependencyUnavailable
from parley_services.orchestrator.peers.prompt_registry import (
    PEER,
    prompt_from_proto,
    render_to_proto,
)
from parley_services.orchestrator.peers.watching import watching
from parley_services.orchestrator.values.prompts import Prompt, PromptRequest
from parley_services.prompt_registry import from_proto, to_proto
from parley_services.prompt_registry.templates.snapshot import TemplateSnapshot


class WatchedTemplates:
    """`PromptSnapshot` by the registry's own rules over the last snapshot it sent."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: pb_grpc.PromptRegistryServiceAsyncStub = pb_grpc.PromptRegistryServiceStub(
            channel
        )
        self._snapshot: TemplateSnapshot | None = None

    def render(self, request: PromptRequest) -> Prompt:
        if self._snapshot is None:
            raise DependencyUnavailable(
                "The prompt registry is unavailable and no template is known: try again later.",
                metadata={"dependency": PEER},
            )
        message = render_to_proto(request)
        prompt = self._snapshot.render(
            template=request.template,
            selector=from_proto.selector(message),
            keys=from_proto.assignment_keys(message.keys),
            variables=request.variables,
        )
        return prompt_from_proto(to_proto.prompt(prompt))

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Keep the snapshot up to date while the context lasts."""
        async with watching(PEER, self._call, self._take):
            yield

    def _call(self, timeout_seconds: float) -> "grpc.aio.UnaryStreamCall[Any, Any]":
        revision = self._snapshot.revision if self._snapshot is not None else 0
        return self._stub.WatchTemplates(
            pb.WatchTemplatesRequest(after_revision=revision), timeout=timeout_seconds
        )

    def _take(self, message: pb.WatchTemplatesResponse) -> None:
        self._snapshot = from_proto.snapshot(self._snapshot or TemplateSnapshot(), message)
