"""The end of a stream as rules see it, with what they may still need of it."""

from dataclasses import dataclass
from typing import Protocol

from parley_services.guardrails.text.normalization import is_plain, origins, visible

CONTEXT_BYTES = 64
"""What is kept before the tail, for the evidence that rules look for in front of a match."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """What is replaced when a match is."""

    start: int
    """First character of the original."""

    end: int
    data_end: int
    """One past the last byte of the folded text."""


class Tail(Protocol):
    """The end of an answer as rules see it."""

    data: bytes
    """The folded text that is kept."""

    start: int
    """Where in `data` the tail begins; what is before it is context only."""

    offset: int
    """How many folded bytes came before `data`."""

    def append(self, text: str) -> None:
        """Add *text*."""
        ...

    def finish(self) -> None:
        """Say that no more text comes."""
        ...

    def place(self, index: int) -> int:
        """Return where in the original the byte at *index* comes from; its end, past the last."""
        ...

    def held_from(self, index: int) -> int:
        """Return from where to hold back if rules ask for it from the byte *index* on."""
        ...

    def extent(self, start: int, end: int) -> Extent:
        """Return what is replaced if the bytes *start* to *end* are."""
        ...

    def written(self, text: str, start: int) -> str:
        """Return *text* as it is written in the place of what begins at the byte *start*."""
        ...

    def meaning(self, written: str, start: int) -> str:
        """Return what *written* means, which begins at the byte *start*."""
        ...

    def is_number(self, start: int) -> bool:
        """Whether a number that may not be text is at the byte *start*."""
        ...

    def settle(self, index: int) -> None:
        """Let the tail begin at *index*."""
        ...


class FoldedTail:
    """
    Folds a text as it comes and forgets what is settled.

    Each character is folded by itself, so the pieces fold to the same as the whole.
    """

    __slots__ = ("_length", "_places", "_shift", "data", "offset", "start")

    def __init__(self) -> None:
        self.data = b""
        """The folded text that is kept."""

        self.start = 0
        """Where in `data` the tail begins; what is before it is context only."""

        self.offset = 0
        """How many folded bytes came before `data`."""

        self._length = 0
        self._shift = 0
        self._places: list[int] | None = None

    def append(self, text: str) -> None:
        """Add *text*."""
        if is_plain(text):
            added = text.encode()
            if self._places is not None:
                self._places.extend(range(self._length, self._length + len(text)))
        else:
            added = text.translate(visible()).encode(errors="replace")
            if self._places is None:
                self._places = [self._shift + each for each in range(len(self.data))]
            self._places.extend(self._length + each for each in origins(text, visible()))
        self._length += len(text)
        self.data += added

    def place(self, index: int) -> int:
        """Return where in the original the byte at *index* comes from; its end, past the last."""
        if index >= len(self.data):
            return self._length
        return self._shift + index if self._places is None else self._places[index]

    def finish(self) -> None:
        pass

    def held_from(self, index: int) -> int:
        return index

    def extent(self, start: int, end: int) -> Extent:
        return Extent(start=self.place(start), end=self.place(end - 1) + 1, data_end=end)

    def written(self, text: str, start: int) -> str:
        return text

    def meaning(self, written: str, start: int) -> str:
        return written

    def is_number(self, start: int) -> bool:
        return False

    def settle(self, index: int) -> None:
        """Let the tail begin at *index*."""
        self.start = index
        surplus = index - CONTEXT_BYTES
        if surplus <= 0:
            return
        self.data = self.data[surplus:]
        self.start = CONTEXT_BYTES
        self.offset += surplus
        self._shift += surplus
        if self._places is None:
            return
        del self._places[:surplus]
        if self.start == len(self.data):
            # Only context is left, whose places nobody asks for.
            self._places = None
            self._shift = self._length - len(self.data)
