"""
JSON as a text that rules can judge, and back.

Rules judge what the values mean, not how they are written: without escapes, each beside its
key, and all of them in a row, since a text may be spread over several values. What is
replaced is replaced inside of a value, so that JSON stays JSON.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import orjson

_TOKEN: Final = re.compile(r'(?P<string>"[^"\\]*(?:\\.[^"\\]*)*")|(?P<number>-?[0-9][-+.0-9eE]*)')
"""Valid JSON is taken for granted: then these are all its keys and values but for true, false
and null."""

_KEY_END: Final = re.compile(r"[ \t\r\n]*:")
_ESCAPE: Final = re.compile(r"\\u[dD][89abAB]..\\u....|\\u....|\\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonToken:
    """A key or a value."""

    start: int
    """First character in the JSON, a quote for a string."""

    end: int
    text: str
    """What it means."""

    is_key: bool
    is_number: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of the meaning of a token."""

    token: JsonToken
    start: int
    end: int


class JoinedTokens:
    """Tokens as one text, which knows where each part of it comes from."""

    def __init__(self, parts: Iterable[JsonToken | str]) -> None:
        """*parts* are tokens and what stands between them."""
        self._tokens: list[JsonToken] = []
        self._starts: list[int] = []
        texts: list[str] = []
        length = 0
        for part in parts:
            if isinstance(part, JsonToken):
                self._tokens.append(part)
                self._starts.append(length)
            text = part if isinstance(part, str) else part.text
            texts.append(text)
            length += len(text)
        self.text = "".join(texts)

    def pieces(self, start: int, end: int) -> list[Piece]:
        """Return the parts of tokens that `text` has from *start* to *end*."""
        found = []
        first = max(bisect_right(self._starts, start) - 1, 0)
        for token, begin in zip(self._tokens[first:], self._starts[first:], strict=True):
            if begin >= end:
                break
            piece = Piece(
                token=token,
                start=max(start - begin, 0),
                end=min(end - begin, len(token.text)),
            )
            if piece.start < piece.end:
                found.append(piece)
        return found


class JsonText:
    """A JSON text whose values are judged and replaced."""

    def __init__(self, text: str) -> None:
        """*text* is valid JSON."""
        self._text = text
        self._replaced: dict[JsonToken, list[tuple[int, int, str]]] = {}
        self.tokens = list(_tokens(text))

    def by_key(self) -> JoinedTokens:
        """Return all keys and values, each value beside its key, one a line."""
        return JoinedTokens(
            part for token in self.tokens for part in (token, ": " if token.is_key else "\n")
        )

    def in_a_row(self) -> JoinedTokens:
        """Return the values without their keys. Words go on from one to the next; numbers do
        not, since a column of figures is none of what its digits in a row may look like."""
        return JoinedTokens(
            part
            for token in self.tokens
            if not token.is_key
            for part in (("\n", token, "\n") if token.is_number else (token, " "))
        )

    def replace(self, pieces: Iterable[Piece], text: str) -> None:
        """
        Put *text* in the place of the first of *pieces*, and take the others away.

        A number becomes a string. Of pieces that overlap, the first one given counts.
        """
        for piece in pieces:
            replaced = self._replaced.setdefault(piece.token, [])
            if all(piece.end <= start or end <= piece.start for start, end, _ in replaced):
                replaced.append((piece.start, piece.end, text))
                text = ""

    def changes_number(self) -> bool:
        """Whether a number becomes a string."""
        return any(token.is_number for token in self._replaced)

    def span(self, pieces: Iterable[Piece]) -> tuple[int, int]:
        """Return the characters of the JSON from the first of *pieces* to the last one."""
        spans = [_raw_span(self._text, piece) for piece in pieces]
        return min(start for start, _ in spans), max(end for _, end in spans)

    def result(self) -> str:
        """Return the JSON with everything replaced; what is not stays as it was written."""
        parts: list[str] = []
        end = 0
        for token in sorted(self._replaced, key=lambda each: each.start):
            parts += (self._text[end : token.start], _written(token, self._replaced[token]))
            end = token.end
        return "".join((*parts, self._text[end:]))


def _tokens(text: str) -> Iterator[JsonToken]:
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        is_number = match.lastgroup == "number"
        written = match.group()
        yield JsonToken(
            start=start,
            end=end,
            text=written if is_number else _meaning(written),
            is_key=not is_number and _KEY_END.match(text, end) is not None,
            is_number=is_number,
        )


def _meaning(string: str) -> str:
    if "\\" not in string:
        return string[1:-1]
    meaning: str = orjson.loads(string)
    return meaning


def _written(token: JsonToken, replaced: list[tuple[int, int, str]]) -> str:
    if token.is_number:
        return orjson.dumps(next(text for *_, text in replaced)).decode()
    parts: list[str] = []
    end = 0
    for start, stop, text in sorted(replaced):
        parts += (token.text[end:start], text)
        end = stop
    return orjson.dumps("".join((*parts, token.text[end:]))).decode()


def _raw_span(text: str, piece: Piece) -> tuple[int, int]:
    token = piece.token
    if token.is_number:
        return token.start, token.end
    written = text[token.start + 1 : token.end - 1]
    if len(written) == len(token.text):
        return token.start + 1 + piece.start, token.start + 1 + piece.end
    places = [token.start + 1 + each for each in _places(written)]
    return places[piece.start], places[piece.end]


def _places(written: str) -> Iterator[int]:
    """Yield where each character that *written*, with escapes, means begins, and its end."""
    place = 0
    for escape in _ESCAPE.finditer(written):
        yield from range(place, escape.start() + 1)
        place = escape.end()
    yield from range(place, len(written) + 1)
