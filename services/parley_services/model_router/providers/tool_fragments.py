"""A call of a tool while its arguments come in."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from parley_services.kit.chat.message import ToolCall
from parley_services.model_router.providers.provider import ToolCallDone


@dataclass(slots=True, kw_only=True)
class ToolFragments:
    """Collects the pieces of one call."""

    id: str = ""
    name: str = ""
    _pieces: list[str] = field(default_factory=list)

    def add(self, arguments: Any) -> None:
        """Add a piece of JSON text, or whole arguments that are decoded already."""
        if isinstance(arguments, str):
            self._pieces.append(arguments)
        elif arguments is not None:
            self._pieces.append(orjson.dumps(arguments).decode())

    def join(self) -> ToolCallDone | None:
        """Return the call, or None while it has no name or its arguments are no JSON."""
        arguments = "".join(self._pieces).strip() or "{}"
        try:
            orjson.loads(arguments)
        except orjson.JSONDecodeError:
            return None
        if not self.name:
            return None
        return ToolCallDone(ToolCall(id=self.id, name=self.name, arguments_json=arguments))
