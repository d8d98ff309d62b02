"""Calls of tools while their arguments come in."""

from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from parley_services.kit import bounded_json
from parley_services.kit.chat.message import ToolCall
from parley_services.model_router.providers.provider import ToolCallDone
from parley_services.model_router.providers.surrogates import mend_surrogates

ARGUMENTS_BOUNDS: Final = bounded_json.JsonBounds(max_bytes=16 * 1024 * 1024)
"""A call may write a whole file."""


@dataclass(slots=True, kw_only=True)
class ToolFragments:
    """Collects the pieces of one call."""

    id: str = ""
    name: str = ""
    _pieces: list[str] = field(default_factory=list)

    def add(self, arguments: Any) -> None:
        """Add a piece of JSON text, or whole arguments that are decoded already."""
        if isinstance(arguments, str):
            if arguments:
                self._pieces.append(arguments)
        elif arguments is not None:
            self._pieces.append(orjson.dumps(arguments).decode())

    @property
    def text(self) -> str:
        """What came so far."""
        return "".join(self._pieces)

    @property
    def is_whole(self) -> bool:
        """Whether arguments came, and they are JSON."""
        return bool(self._pieces) and _is_json(self.text)

    def join(self) -> ToolCallDone | None:
        """Return the call, or None while it has no name or its arguments are no JSON."""
        arguments = self.text.strip() or "{}"
        if not _is_json(arguments):
            arguments = mend_surrogates(arguments)
            if not _is_json(arguments):
                return None
        if not self.name:
            return None
        call_id, name = mend_surrogates(self.id), mend_surrogates(self.name)
        return ToolCallDone(ToolCall(id=call_id, name=name, arguments_json=arguments))


class IndexedCalls:
    """
    The open calls of an answer by the index that their fragments name.

    Servers differ: some give no index, some use one index for several calls, some repeat id
    and name in each fragment. An id that is new at its index opens a call, unless it is a
    server's habit to draw one for each fragment of the same call.
    """

    def __init__(self) -> None:
        self._calls: list[ToolFragments] = []
        self._by_key: dict[object, ToolFragments] = {}
        self._last: ToolFragments | None = None

    def __len__(self) -> int:
        """Return how many calls are open."""
        return len(self._calls)

    @property
    def text(self) -> str:
        """All arguments that came so far."""
        return "".join(call.text for call in self._calls)

    def add(self, index: object, call_id: str, name: str, arguments: Any) -> None:
        """Add a fragment. Raises ValueError for one that belongs to no call."""
        call = self._call_of(index, call_id, name)
        call.id = call.id or call_id
        call.name = call.name or name
        call.add(arguments)

    def take(self) -> list[ToolFragments]:
        """Return the calls in the order in which they began, and forget them."""
        calls, self._calls = self._calls, []
        self._by_key.clear()
        self._last = None
        return calls

    def _call_of(self, index: object, call_id: str, name: str) -> ToolFragments:
        key = index
        if key is None:
            # Without an index a fragment that has an id or a name opens a call.
            key = call_id or (len(self._calls) if name else None)
        if key is None:
            if self._last is None:
                raise ValueError("a fragment of no call")
            return self._last
        call = self._by_key.get(key)
        if call is None or _opens(call, call_id, name):
            call = ToolFragments()
            self._calls.append(call)
            self._by_key[key] = call
        self._last = call
        return call


def _opens(call: ToolFragments, call_id: str, name: str) -> bool:
    """Return whether a fragment with that id and name begins another call than *call*."""
    if call_id and call.id and call_id != call.id:
        return bool(name) or call.is_whole
    return bool(name) and not call_id and call.is_whole


def _is_json(text: str) -> bool:
    try:
        bounded_json.load(text, ARGUMENTS_BOUNDS)
    except bounded_json.JsonRefused:
        return False
    return True
