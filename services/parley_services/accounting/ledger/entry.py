"""
The ledger: an append-only book in which every entry is chained to the one before.

Each entry is a transfer between two accounts, so debits equal credits at all times: it
debits what the money was spent on (`usage`, `shadow`, `expiry`) and credits whom it is owed
to (`provider/openai`). A tenant's entries are one stream, numbered from 1 without gaps.
A correction is a new entry with a negative cost; nothing is ever changed.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import orjson

from parley_services.kit.chat.attempt import AttemptKind
from parley_services.kit.chat.subject import Subject
from parley_services.kit.chat.usage import Usage
from parley_services.kit.chat.wire_enum import WireEnum

GENESIS = bytes(32)
"""What stands for the hash before the first entry of a stream."""


class Account(WireEnum):
    """What money is spent on."""

    UNSPECIFIED = 0
    USAGE = 1
    SHADOW = 2
    """Calls beside the answer. They count against the suite's budgets, not the user's."""
    EXPIRY = 3
    """The estimate for a turn whose end nobody reported, and its correction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One booking. `sequence` and `row_hash` are given by `append`."""

    tenant_id: str
    request_id: str
    attempt_number: int
    """From 1; 0 for an entry without a call to a provider."""
    account: Account
    is_correction: bool = False
    subject: Subject
    provider: str = ""
    model: str = ""
    kind: AttemptKind = AttemptKind.PRIMARY
    usage: Usage = field(default_factory=Usage)
    cost_nano_usd: int = 0
    saved_cost_nano_usd: int = 0
    price_version: str = ""
    template: str = ""
    template_version: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    turn_count: int = 0
    """1 on one entry of each turn, so that turns can be summed."""
    attempt_count: int = 0
    """1 for a call to a provider."""
    cache_hit_count: int = 0
    """1 for a turn that the cache answered."""
    end_time_us: int
    """When the turn ended, in microseconds since 1970. Summaries go by it."""
    create_time_us: int
    """When it was booked, in microseconds since 1970."""
    sequence: int = 0
    row_hash: bytes = b""

    @property
    def counter_account(self) -> str:
        """The account that is credited."""
        return f"provider/{self.provider}" if self.provider else "provider/none"

    def hash_after(self, previous_hash: bytes, sequence: int) -> bytes:
        """
        Return the hash that the entry has at the place *sequence*, behind *previous_hash*.

        It is SHA-256 over the hash before and every field, in a form without ambiguity.
        """
        usage = self.usage
        fields = [
            sequence,
            self.tenant_id,
            self.request_id,
            self.attempt_number,
            self.account.key,
            self.is_correction,
            self.subject.team_id,
            self.subject.user_id,
            self.subject.key_id,
            self.provider,
            self.model,
            self.kind.key,
            usage.input_token_count,
            usage.cached_input_token_count,
            usage.cache_write_token_count,
            usage.output_token_count,
            usage.reasoning_token_count,
            usage.estimated,
            self.cost_nano_usd,
            self.saved_cost_nano_usd,
            self.price_version,
            self.template,
            self.template_version,
            sorted(self.tags.items()),
            self.turn_count,
            self.attempt_count,
            self.cache_hit_count,
            self.end_time_us,
            self.create_time_us,
        ]
        return hashlib.sha256(previous_hash + orjson.dumps(fields)).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHead:
    """The last entry of a tenant's stream."""

    tenant_id: str
    sequence: int = 0
    row_hash: bytes = GENESIS


def append(head: StreamHead, entry: Entry) -> tuple[StreamHead, Entry]:
    """Return *entry* chained behind *head*, and the new head."""
    sequence = head.sequence + 1
    row_hash = entry.hash_after(head.row_hash, sequence)
    chained = replace(entry, sequence=sequence, row_hash=row_hash)
    return StreamHead(tenant_id=head.tenant_id, sequence=sequence, row_hash=row_hash), chained


class FaultKind(WireEnum):
    """What is wrong with a stream, or with what is kept beside it."""

    UNSPECIFIED = 0
    CHANGED = 1
    """The row is not what was written, or the row before it is not."""
    MISSING = 2
    """A row that was written is not there."""
    REORDERED = 3
    """The row is genuine, but in another's place."""
    BALANCE = 4
    """What a subject has used is not the sum of its entries."""
    HOLD = 5
    """What is set aside for a subject is not the sum of its running turns."""
    ROLLUP = 6
    """What summaries read is not the sum of the entries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A row or a sum that does not fit."""

    tenant_id: str
    """Empty for a sum of the whole suite."""
    sequence: int = 0
    """The row; 0 for a sum."""
    kind: FaultKind
    subject: str = ""
    """Whose sum, as `user/ada`."""
    expected_nano_usd: int = 0
    """What the entries or the turns add up to."""
    found_nano_usd: int = 0

    @property
    def description(self) -> str:
        """The fault in a few words."""
        of = f" of {self.tenant_id}" if self.tenant_id else ""
        if self.sequence:
            return f"entry {self.sequence}{of} is {self.kind.key}"
        whose = f" of {self.subject}" if self.subject else ""
        return (
            f"the {self.kind.key}{whose}{of} is {self.found_nano_usd} nano-dollars "
            f"and should be {self.expected_nano_usd}"
        )


_MOST_UNCLEAR = 64
"""Rows whose true place is looked for. With more, nothing is in its place any more."""


class ChainCheck:
    """
    Walks one stream and notes what does not fit. Feed it all entries in stored order.

    It begins behind the entry *sequence* with the hash *row_hash*, or at the first.
    """

    def __init__(self, tenant_id: str, *, sequence: int = 0, row_hash: bytes = GENESIS) -> None:
        self.checked_count = 0
        self._tenant_id = tenant_id
        self._sequence = sequence
        self._hash = row_hash
        self._missing: list[int] = []
        self._unclear: list[tuple[Entry, bytes]] = []

    def feed(self, entries: Iterable[Entry]) -> None:
        """Check *entries*, which follow those that were fed before."""
        for entry in entries:
            self.checked_count += 1
            gap = range(self._sequence + 1, entry.sequence)
            self._missing += gap
            # After a gap the hash before is not known, so the row cannot be judged.
            if not gap and entry.hash_after(self._hash, entry.sequence) != entry.row_hash:
                self._unclear.append((entry, self._hash))
            # Go on from what is stored: a fault is named once, not with all that follow.
            self._sequence = entry.sequence
            self._hash = entry.row_hash

    def finish(self, head: StreamHead) -> tuple[Fault, ...]:
        """Compare the end with the *head* that is kept apart; return all faults, in order."""
        self._missing += range(self._sequence + 1, head.sequence + 1)
        faults = {sequence: FaultKind.MISSING for sequence in self._missing}
        if head.row_hash != self._hash and self._sequence >= head.sequence:
            faults[self._sequence] = FaultKind.CHANGED
        for entry, _ in self._unclear:
            kind = self._judge(entry)
            if kind is not None:
                faults[entry.sequence] = kind
        return tuple(
            Fault(tenant_id=self._tenant_id, sequence=sequence, kind=kind)
            for sequence, kind in sorted(faults.items())
        )

    def _judge(self, entry: Entry) -> FaultKind | None:
        """Find the place at which *entry* is genuine; None if it is its own."""
        if len(self._unclear) > _MOST_UNCLEAR:
            return FaultKind.CHANGED
        before = {previous for _, previous in self._unclear}
        before |= {other.row_hash for other, _ in self._unclear}
        for other, _ in self._unclear:
            place = other.sequence
            if any(entry.hash_after(previous, place) == entry.row_hash for previous in before):
                return None if other.sequence == entry.sequence else FaultKind.REORDERED
        return FaultKind.CHANGED
