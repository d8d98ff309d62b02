"""Enums and points of time, as messages have them and as the domain has them."""

from datetime import UTC, datetime
from enum import Enum
from typing import Any, Protocol, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

E = TypeVar("E", bound=Enum)


class EnumType(Protocol):
    """The wrapper that protobuf generates for an enum."""

    def Name(self, number: Any) -> str: ...

    def Value(self, name: str) -> Any: ...


def enum_from(kind: type[E], wrapper: EnumType, prefix: str, number: int, default: E) -> E:
    """Return the domain's value for *number*; *default* for zero and for unknown numbers."""
    try:
        return kind[wrapper.Name(number).removeprefix(f"{prefix}_")]
    except (KeyError, ValueError):
        return default


def enum_to(wrapper: EnumType, prefix: str, value: Enum) -> Any:
    """Return the number that stands for *value*."""
    return wrapper.Value(f"{prefix}_{value.name}")


def moment(message: Timestamp) -> datetime:
    """Return a timestamp as a time in UTC."""
    return message.ToDatetime(UTC)
