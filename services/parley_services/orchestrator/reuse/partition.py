"""What must be equal for one answer to serve two turns."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from parley_services.kit.chat.message import (
    Message,
    ResponseFormat,
    SamplingParameters,
    Tool,
    ToolChoice,
)
from parley_services.orchestrator.values.cache import Partition


@dataclass(frozen=True, slots=True, kw_only=True)
class FingerprintInputs:
    """What the fingerprint covers: all that shapes an answer beside the user's text."""

    system_text: str
    history: tuple[Message, ...]
    variables: Mapping[str, str]
    documents: tuple[str, ...]
    parameters: SamplingParameters
    tools: tuple[Tool, ...]
    tool_choice: ToolChoice
    response_format: ResponseFormat

    def fingerprint(self) -> bytes:
        """Return the SHA-256 of a canonical form of these circumstances."""
        form = orjson.dumps(
            {
                "system": self.system_text,
                "history": self.history,
                "variables": dict(self.variables),
                "documents": self.documents,
                "parameters": self.parameters,
                # How to choose among no tools shapes no answer.
                "tools": (self.tools, self.tool_choice) if self.tools else (),
                "format": self.response_format,
            },
            option=orjson.OPT_SORT_KEYS,
        )
        return hashlib.sha256(form).digest()


def coalescing_key(partition: Partition, *about: str) -> bytes:
    """Return what two turns share if one generation can serve both; *about* is the rest of it."""
    whole = orjson.dumps(
        (
            partition.tenant_id,
            partition.user_id,
            partition.template,
            partition.template_version,
            partition.model_class,
            partition.fingerprint.hex(),
            about,
        )
    )
    return hashlib.sha256(whole).digest()
