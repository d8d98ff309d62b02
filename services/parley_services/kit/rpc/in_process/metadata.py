"""Turns metadata as callers give it into metadata as the other side sees it on the wire."""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from grpc.aio import InternalError, Metadata

Value: TypeAlias = str | bytes


class Metadatum(NamedTuple):
    """One entry; a tuple with names, as grpc hands to handlers."""

    key: str
    value: Value


Pairs: TypeAlias = tuple[Metadatum, ...]
"""Metadata in the order in which it was given; a key may come more than once."""

_KEY_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")


def on_the_wire(metadata: Metadata | Iterable[tuple[str, Value]] | None) -> Pairs:
    """
    Return *metadata* as the other side receives it: bytes under `-bin` keys, else str.

    Raises `grpc.aio.InternalError` for a key or a value that HTTP/2 cannot carry, as grpc does.
    """
    if not metadata:
        return ()
    return tuple([_datum(key, value) for key, value in metadata])


def _datum(key: str, value: Value) -> Metadatum:
    if _is_binary(key):
        if not isinstance(value, bytes):
            raise InternalError(f"metadata was invalid: {key!r} takes bytes")
    elif isinstance(value, bytes):
        value = value.decode("ascii")
    elif not value.isascii():
        raise InternalError(f"metadata was invalid: the value of {key!r} is not ASCII")
    return Metadatum(key, value)


@lru_cache(maxsize=256)
def _is_binary(key: str) -> bool:
    if not key or not _KEY_CHARACTERS.issuperset(key):
        raise InternalError(f"metadata was invalid: {key!r} is not a legal key")
    return key.endswith("-bin")
