"""Where each call to a provider is written down before it is made."""

from datetime import datetime
from typing import Protocol

from parley_services.kit.chat.attempt import Attempt
from parley_services.model_router.generation import GenerationRequest


class AttemptLog(Protocol):
    """
    Keeps attempts until they are booked, also if this process or its caller dies.

    An attempt is written as it would be booked if nothing more were heard of it: cancelled,
    with our own count of what passed.
    """

    def begin(self, request: GenerationRequest, attempt: Attempt, *, last_time: datetime) -> int:
        """
        Write down an attempt that is about to be made and return the number of the note.

        By *last_time* the call of which it is a part is over. Raises Overloaded if it cannot
        be written; it must not be made then.
        """
        ...

    def update(self, number: int, request: GenerationRequest, attempt: Attempt) -> None:
        """Write down how far an attempt is, or how it ended."""
        ...


class NoAttemptLog:
    """Writes nothing: what a caller does not book is lost."""

    def begin(self, request: GenerationRequest, attempt: Attempt, *, last_time: datetime) -> int:
        return 0

    def update(self, number: int, request: GenerationRequest, attempt: Attempt) -> None:
        pass
