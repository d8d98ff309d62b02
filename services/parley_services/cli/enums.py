"""How commands show the values of an enum."""

import re
from collections.abc import Collection
from typing import Any, Protocol

from google.protobuf.descriptor import EnumDescriptor


class ProtoEnum(Protocol):
    """An enum as protoc generates it."""

    @property
    def DESCRIPTOR(self) -> EnumDescriptor: ...

    def Name(self, number: Any) -> str: ...

    def values(self) -> Collection[Any]: ...


def short_name(enum: ProtoEnum, number: int) -> str:
    """
    Return the name of *number* without the enum's prefix, in lower case.

    `short_name(Severity, 3)` is "high". A number that this release does not know is shown as
    it is.
    """
    if number not in enum.values():
        return str(number)
    prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", enum.DESCRIPTOR.name).upper() + "_"
    return enum.Name(number).removeprefix(prefix).lower()
