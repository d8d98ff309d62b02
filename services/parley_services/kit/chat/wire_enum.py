"""The base of every enum that stands in a proto."""

from enum import IntEnum
from typing import Any, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


class WireEnum(IntEnum):
    """
    An enum whose members carry the numbers of their namesakes in the protos.

    So a value is converted by its number, in both directions. A number that a newer peer sent
    and this process does not know is read as UNSPECIFIED, 0.

    Files and tables hold the key, never the number: `Role.USER.key` is `user`, and
    `Role.from_key("user")` is the way back.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self:
        return cls(0)

    @property
    def key(self) -> str:
        """The name in lower case, as it stands in files, tables and reports."""
        return self.name.lower()

    @classmethod
    def from_key(cls, key: str) -> Self:
        """Return the member with this *key*. Raises ValueError for an unknown key."""
        for member in cls:
            if member.key == key:
                return member
        raise ValueError(f"{key[:32]} is not one of {', '.join(cls.written_keys())}")

    @classmethod
    def written_keys(cls) -> list[str]:
        """Return the keys that somebody may write into a file: all but `unspecified`."""
        return [member.key for member in cls if member]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let pydantic read members by their keys, or as they are, and nothing else."""

        written = cls.written_keys()

        def read(value: object) -> WireEnum:
            if isinstance(value, cls):
                return value
            if isinstance(value, str) and value in written:
                return cls.from_key(value)
            raise ValueError(f"use one of {', '.join(written)}")

        return core_schema.no_info_plain_validator_function(read)
