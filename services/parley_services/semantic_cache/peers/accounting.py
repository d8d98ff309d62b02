"""Tells accounting what embeddings cost."""

import secrets
from typing import Final

from parley.accounting.v1 import accounting_service_pb2 as pb
from parley.chat.v1 import attempt_pb2, subject_pb2

from parley_services.kit.chat import to_proto
from parley_services.kit.chat.usage import Usage
from parley_services.kit.clock import Clock
from parley_services.kit.models.prices import Price
from parley_services.kit.storage.attempt_journal import AttemptJournal
from parley_services.semantic_cache.embed.billing import Payer

FIRST_NUMBER: Final = 1_000_000
"""Attempts of models are numbered far below it."""

_SLACK_SECONDS: Final = 1.0


class JournalledBills:
    """
    `Bills` in a journal, from which accounting is told soon after the call.

    An attempt is known by its number in the turn. Nobody numbers the embeddings of one turn
    over several caches, so the number is drawn: two of one turn meet once in 10⁹ turns.
    """

    def __init__(
        self,
        journal: AttemptJournal,
        *,
        clock: Clock,
        provider: str,
        model: str,
        price: Price,
        price_version: str,
        call_seconds: float,
    ) -> None:
        """A call is over after *call_seconds*; accounting is told then."""
        self._journal = journal
        self._clock = clock
        self._provider = provider
        self._model = model
        self._price = price
        self._price_version = price_version
        self._call_seconds = call_seconds
        self._numbers: dict[int, int] = {}

    def begin(self, payer: Payer, *, token_count: int) -> int:
        attempt_number = FIRST_NUMBER + secrets.randbelow(10**9)
        usage = Usage(input_token_count=token_count, estimated=True)
        message = self._message(payer, attempt_number, usage)
        due_time = self._clock.now().timestamp() + self._call_seconds + _SLACK_SECONDS
        note = self._journal.begin(message, due_time=due_time)
        self._numbers[note] = attempt_number
        return note

    def end(self, number: int, payer: Payer, *, token_count: int, estimated: bool) -> None:
        usage = Usage(input_token_count=token_count, estimated=estimated)
        self._journal.update(number, self._message(payer, self._numbers.pop(number), usage))

    def _message(self, payer: Payer, attempt_number: int, usage: Usage) -> pb.TurnAttempt:
        return pb.TurnAttempt(
            request_id=payer.request_id or f"embedding-{attempt_number}",
            subject=subject_pb2.Subject(tenant_id=payer.tenant_id),
            attempt=attempt_pb2.Attempt(
                number=attempt_number,
                provider=self._provider,
                model=self._model,
                kind=attempt_pb2.ATTEMPT_KIND_EMBEDDING,
                usage=to_proto.usage(usage),
                cost_nano_usd=self._price.cost_nano_usd(usage) if usage.input_token_count else 0,
                price_version=self._price_version,
            ),
            end_time=to_proto.timestamp(self._clock.now()),
        )
