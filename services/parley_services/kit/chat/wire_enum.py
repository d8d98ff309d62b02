"""The base of every enum that stands in a proto."""

from enum import IntEnum
from typing import Self


class WireEnum(IntEnum):
    """
    An enum whose members carry the numbers of their namesakes in the protos.

    So a value is converted by its number, in both directions. A number that a newer peer sent
    and this process does not know is read as UNSPECIFIED, 0.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self:
        return cls(0)

    @property
    def key(self) -> str:
        """The name in lower case, as it stands in files, tables and reports."""
        return self.name.lower()
