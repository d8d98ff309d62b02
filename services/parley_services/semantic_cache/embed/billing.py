"""Where each call to a paid embedder is written down before it is made."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """The turn that a text is embedded for."""

    tenant_id: str
    request_id: str = ""
    """Empty outside of a turn, as for `explain`."""


class Bills(Protocol):
    """Sees to it that what an embedder costs is booked, whoever dies."""

    def begin(self, payer: Payer, *, token_count: int) -> int:
        """
        Write down a call that reads *token_count* tokens by our own count.

        Returns the number of the note. Raises Overloaded if it cannot be written; the call
        must not be made then.
        """
        ...

    def end(self, number: int, payer: Payer, *, token_count: int, estimated: bool) -> None:
        """Write down what the call used, 0 if the endpoint refused it."""
        ...
