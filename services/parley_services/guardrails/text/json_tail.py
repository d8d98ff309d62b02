"""The end of a stream of JSON as rules see it: what its strings and numbers mean."""

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

import orjson

from parley_services.guardrails.text.folded_tail import CONTEXT_BYTES, Extent
from parley_services.guardrails.text.normalization import is_plain, visible

BETWEEN_VALUES: Final = "\x1f"
"""What brackets and commas look like to rules: nothing that a pattern goes on over."""

MAX_NUMBER_CHARACTERS: Final = 400
"""A number is held back until it is over, since only all of it can become a string. Longer
ones than a double's 309 digits are taken for text."""

_STRUCTURE: Final = "{}[],"
_NUMBER: Final = re.compile(rf"-?[0-9][-+.0-9eE]{{0,{MAX_NUMBER_CHARACTERS}}}")
_PLAIN_IN_STRING: Final = re.compile(r'[^"\\]+')
_PLAIN_OUTSIDE: Final = re.compile(r'[^"{}\[\],:0-9\-]+|-')
_ESCAPE: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\[^u]", re.S
)
_UNFINISHED_ESCAPE: Final = re.compile(
    r"\\(?:u(?:[0-9a-fA-F]{0,3}"
    r"|[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?)?)?"
)
"""Also a first half of a pair whose second half may come."""
_MEANINGS: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


@dataclass(slots=True, kw_only=True)
class _Token:
    """A string or a number, by its place in all folded text."""

    start: int
    end: int | None
    """None while the string goes on."""

    is_number: bool
    raw_start: int = 0
    raw_end: int = 0


class JsonTail:
    """
    Reads JSON as it comes, as `FoldedTail` reads text.

    Of a string its meaning is seen, of a number its digits, of a colon a colon and a space, so
    that a value stands beside its key. A number is seen when it is over. Whatever is no JSON
    is seen as the text that it is.
    """

    __slots__ = (
        "_begins",
        "_ends",
        "_in_string",
        "_length",
        "_pending",
        "_token_starts",
        "_tokens",
        "data",
        "offset",
        "start",
    )

    def __init__(self) -> None:
        self.data = b""
        """The folded text that is kept."""

        self.start = 0
        """Where in `data` the tail begins; what is before it is context only."""

        self.offset = 0
        """How many folded bytes came before `data`."""

        self._length = 0
        self._begins: list[int] = []
        self._ends: list[int] = []
        self._tokens: list[_Token] = []
        self._token_starts: list[int] = []
        self._pending = ""
        self._in_string = False

    def append(self, text: str) -> None:
        self._read(self._pending + text, is_over=False)

    def finish(self) -> None:
        self._read(self._pending, is_over=True)

    def place(self, index: int) -> int:
        return self._begins[index] if index < len(self.data) else self._length

    def held_from(self, index: int) -> int:
        """Return where to hold back from so that no number is shown in part."""
        token = self._token_at(index + self.offset)
        if token is None or not token.is_number:
            return index
        return max(token.start - self.offset, self.start)

    def extent(self, start: int, end: int) -> Extent:
        """Return what is replaced if the bytes *start* to *end* are: all of a number, and no
        more than one string."""
        token = self._token_at(start + self.offset)
        if token is None:
            return Extent(start=self._begins[start], end=self._ends[end - 1], data_end=end)
        stop = len(self.data) if token.end is None else token.end - self.offset
        if token.is_number:
            return Extent(start=token.raw_start, end=token.raw_end, data_end=stop)
        stop = min(end, stop)
        return Extent(start=self._begins[start], end=self._ends[stop - 1], data_end=stop)

    def written(self, text: str, start: int) -> str:
        """Return *text* as it is written in the place of what begins at the byte *start*."""
        token = self._token_at(start + self.offset)
        if token is None:
            return text
        written = orjson.dumps(text).decode()
        return written if token.is_number else written[1:-1]

    def meaning(self, written: str, start: int) -> str:
        """Return what *written* means, which begins at the byte *start*."""
        token = self._token_at(start + self.offset)
        if token is None or token.is_number or "\\" not in written:
            return written
        return _ESCAPE.sub(lambda match: _meaning(match.group()), written)

    def is_number(self, start: int) -> bool:
        token = self._token_at(start + self.offset)
        return token is not None and token.is_number

    def settle(self, index: int) -> None:
        self.start = index
        surplus = index - CONTEXT_BYTES
        if surplus <= 0:
            return
        self.data = self.data[surplus:]
        del self._begins[:surplus], self._ends[:surplus]
        self.start = CONTEXT_BYTES
        self.offset += surplus
        over = bisect_right(self._token_starts, self.offset) - 1
        if over > 0:
            del self._tokens[:over], self._token_starts[:over]

    def _token_at(self, place: int) -> _Token | None:
        """Return the string or number that *place* in all folded text is inside of."""
        index = bisect_right(self._token_starts, place) - 1
        if index < 0:
            return None
        token = self._tokens[index]
        return token if token.end is None or place < token.end else None

    def _add_token(self, token: _Token) -> None:
        self._tokens.append(token)
        self._token_starts.append(token.start)

    def _read(self, text: str, *, is_over: bool) -> None:
        """Read of *text* as much as is certain; the rest waits for more, unless *is_over*."""
        begin = self._length
        place = 0
        folded = bytearray(self.data)
        while place < len(text):
            size = self.offset + len(folded)
            end, meaning = self._next(text, place, begin, size, is_over)
            if end == place:
                break
            if meaning is None:
                self._add_as_it_is(folded, text[place:end], begin + place)
            else:
                added = meaning.translate(visible()).encode(errors="replace")
                # What stands between values is invisible, and stays.
                added = added or (BETWEEN_VALUES.encode() if meaning == BETWEEN_VALUES else b"")
                folded += added
                self._begins += [begin + place] * len(added)
                self._ends += [begin + end] * len(added)
            place = end
        self.data = bytes(folded)
        self._length = begin + place
        self._pending = text[place:]

    def _next(
        self, text: str, place: int, begin: int, size: int, is_over: bool
    ) -> tuple[int, str | None]:
        """
        Return where what begins at *place* ends, and what it means if that is something else.

        It ends where it begins if more text is needed. *begin* is where *text* begins in the
        original, *size* how much folded text is before *place*.
        """
        symbol = text[place]
        if self._in_string:
            if symbol == '"':
                self._in_string = False
                self._tokens[-1].end = size
                return place + 1, ""
            if symbol == "\\":
                return _escape(text, place, is_over)
            plain = _PLAIN_IN_STRING.match(text, place)
            assert plain is not None
            return plain.end(), None
        if symbol == '"':
            self._in_string = True
            self._add_token(_Token(start=size, end=None, is_number=False))
            return place + 1, ""
        if symbol in _STRUCTURE:
            return place + 1, BETWEEN_VALUES
        if symbol == ":":
            return place + 1, ": "
        number = _NUMBER.match(text, place)
        if number is None:
            if symbol == "-" and place + 1 == len(text) and not is_over:
                return place, None
            plain = _PLAIN_OUTSIDE.match(text, place)
            assert plain is not None
            return plain.end(), None
        end = number.end()
        is_whole = end < len(text) or is_over
        if not is_whole and end - place < MAX_NUMBER_CHARACTERS:
            return place, None
        self._add_token(
            _Token(
                start=size,
                end=size + end - place,
                is_number=True,
                raw_start=begin + place,
                raw_end=begin + end,
            )
        )
        return end, None

    def _add_as_it_is(self, folded: bytearray, text: str, begin: int) -> None:
        if is_plain(text):
            folded += text.encode()
            self._begins += range(begin, begin + len(text))
            self._ends += range(begin + 1, begin + len(text) + 1)
            return
        for place, symbol in enumerate(text, begin):
            added = visible()[ord(symbol)].encode(errors="replace")
            folded += added
            self._begins += [place] * len(added)
            self._ends += [place + 1] * len(added)


def _escape(text: str, place: int, is_over: bool) -> tuple[int, str | None]:
    if not is_over and _UNFINISHED_ESCAPE.fullmatch(text, place):
        return place, None
    escape = _ESCAPE.match(text, place)
    if escape is None:
        return place + 1, None
    return escape.end(), _meaning(escape.group())


def _meaning(escape: str) -> str:
    if not escape.startswith("\\u"):
        return _MEANINGS.get(escape[1], escape[1])
    try:
        meaning: str = orjson.loads(f'"{escape}"')
    except orjson.JSONDecodeError:
        # Half of a pair.
        return "\ufffd"
    return meaning
